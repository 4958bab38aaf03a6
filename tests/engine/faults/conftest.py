"""What all faults of registries have in common."""

from __future__ import annotations

import pytest

from release import retry


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again in this process is tried soon: as often, but nobody waits for seconds.

    A pause that a registry names itself is as long as it says.
    """
    monkeypatch.setattr(retry, "_spread", lambda seconds: seconds / 20)
