from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.cluster.bench import ClusterBench, cluster_bench
from tests.unit.repository import without_own_settings


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[ClusterBench]:
    """A service with three releases, and nothing deployed."""
    without_own_settings(monkeypatch)
    with cluster_bench(tmp_path, monkeypatch, capsys) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterBench]:
    """The same for a module: a repository is slow to make, and rollouts write nothing into it."""
    with pytest.MonkeyPatch.context() as patch:
        without_own_settings(patch)
        with cluster_bench(tmp_path_factory.mktemp("shared"), patch, cast(Any, None)) as made:
            yield made


@pytest.fixture
def place(shared: ClusterBench) -> Iterator[ClusterBench]:
    """The shared service in an empty namespace; 0.3.0 ends at once."""
    shared.cluster.reset()
    shared.clock.seconds = 0
    shared.becomes("0.3.0", "crash")
    yield shared
    shared.cluster.reset()
