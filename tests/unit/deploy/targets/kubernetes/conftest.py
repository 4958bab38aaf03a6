from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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
