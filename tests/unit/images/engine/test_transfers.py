"""What the engine says in the middle of a transfer."""

from __future__ import annotations

import pytest

from release.images.engine.transfers import TransferFailed, raise_transfer_failure


@pytest.mark.parametrize(
    "line",
    [
        {"errorDetail": {"message": "denied"}, "error": "denied"},
        {"error": "denied"},
        {"errorDetail": {"message": "denied"}},
    ],
)
def test_a_failure_inside_a_transfer_is_raised(line: dict[str, object]) -> None:
    """The engine says 200 and puts the error into the stream."""
    with pytest.raises(TransferFailed, match="denied"):
        raise_transfer_failure([{"status": "Pushing"}, line])


def test_a_transfer_without_failure_is_read_to_its_end() -> None:
    """All progress is consumed."""
    progress = iter([{"status": "Pushing"}, {"status": "Pushed"}])
    raise_transfer_failure(progress)
    assert list(progress) == []
