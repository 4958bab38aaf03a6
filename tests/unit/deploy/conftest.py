"""Deployments of these tests are not watched: no test waits for time to pass."""

from __future__ import annotations

import pytest

from release.deploy import watching


@pytest.fixture(autouse=True)
def _not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "DEFAULT", 0)
