"""Rules of every test without an engine: no pauses, and no temporary files outside of pytest's folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from release import retry

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # no test fails because the machine is slow

_SPREAD = retry._spread


@pytest.fixture(scope="session", autouse=True)
def _temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep temporary files of this process in a folder that pytest removes."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(folder))
        yield


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried at once, as often as ever; a test of the pauses says otherwise."""
    monkeypatch.setattr(retry, "_spread", lambda _: 0.0)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch, _no_pauses: None) -> None:
    """Pauses are made."""
    monkeypatch.setattr(retry, "_spread", _SPREAD)
