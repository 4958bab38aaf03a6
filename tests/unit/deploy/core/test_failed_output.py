"""Output of a deployment that failed, as it is kept."""

from __future__ import annotations

from release.deploy.core.failed_output import CapturedOutput, shortened


def test_much_output_is_shortened_to_what_a_target_holds() -> None:
    """The last lines stay."""
    lines = tuple(("2026-11-20T10:00:00Z", f"{number} {'x' * 2000}") for number in range(500))
    one = CapturedOutput(deployment="d", version="v", process="", replica="1", lines=lines)
    (kept,) = shortened([one], 400 * 1024)
    assert 0 < len(kept.lines) < 500
    assert kept.lines[-1] == lines[-1]
