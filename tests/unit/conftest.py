"""What holds for every test without an engine: nobody is waited for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    """What is tried again is tried at once, as often as ever; a test of the pauses says otherwise."""
    with stamina.set_testing(True, attempts=10, cap=True):
        yield
