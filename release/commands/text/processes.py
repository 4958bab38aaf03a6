"""Processes of a plan as text. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from release.scalars import duration_text
from release.text.control_characters import inert_lines

if TYPE_CHECKING:
    from release.deploy.planning.plan import ProcessStep


def process_lines(steps: Sequence[ProcessStep]) -> str:
    """Return a line for each process, in the order of replacement."""
    return inert_lines(
        f"{number}. {step.process or 'the only process so far'}: {_process_line(step)}"
        for number, step in enumerate(steps, 1)
    )


def longest_time_text(milliseconds: int | None) -> str:
    """Return the time limit of all processes together; empty if no container is replaced."""
    if milliseconds is None:
        return ""
    return f"{_seconds_text(milliseconds)}, if every process takes all its time to stop and to become healthy"


def _process_line(step: ProcessStep) -> str:
    several = f", {step.replicas} replicas" if step.replicas > 1 else ""
    if step.action == "stop":
        return f"stopped, for the release does not have it{several}{_stop_time_text(step)}"
    if step.exclusive:
        how = "exclusive: the old one has ended before the new one starts"
        return f"{how}{_stop_time_text(step)}" if step.action == "replace" else "exclusive, starts"
    return f"{'starts' if step.action == 'start' else step.strategy}{several}{_stop_time_text(step)}"


def _stop_time_text(step: ProcessStep) -> str:
    if step.stop_grace is None:
        return ""
    signal = f" after {step.stop_signal}" if step.stop_signal is not None else ""
    return f"; the old one gets {duration_text(step.stop_grace)}{signal} to finish"


def _seconds_text(milliseconds: int) -> str:
    """Return a time in seconds, or in minutes and seconds."""
    minutes, seconds = divmod(-(-milliseconds // 1000), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
