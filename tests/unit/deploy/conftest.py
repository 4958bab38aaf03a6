"""Deployments of these tests are not watched: no test waits for time to pass."""

from __future__ import annotations

import pytest

from release.deploy.core import watch_time


@pytest.fixture(autouse=True)
def _not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_time, "DEFAULT", 0)
