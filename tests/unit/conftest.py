"""What holds for every test without an engine: nobody is waited for."""

from __future__ import annotations

import pytest

from release import patience

_SPREAD = patience._spread


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried at once, as often as ever; a test of the pauses says otherwise."""
    monkeypatch.setattr(patience, "_spread", lambda _: 0.0)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch, _no_pauses: None) -> None:
    """Pauses are made."""
    monkeypatch.setattr(patience, "_spread", _SPREAD)
