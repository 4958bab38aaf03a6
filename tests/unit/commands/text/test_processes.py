"""Processes of a plan, as people read them."""

from __future__ import annotations

from typing import Any

from release.commands.text.processes import longest_time_text, process_lines
from release.deploy.planning.plan import ProcessStep


def step(process: str, action: Any, **changes: Any) -> ProcessStep:
    known = {"strategy": "stop-first", "replicas": 1, "exclusive": False, "stop_signal": None}
    return ProcessStep(
        process=process, action=action, **{**known, "stop_grace": None, "most_ms": 0, **changes}
    )


def test_each_process_is_a_numbered_line() -> None:
    """With the way it is replaced, and the time that the old one gets."""
    steps = [
        step("mail", "stop", stop_grace=5000),
        step("web", "replace", strategy="start-first", replicas=2, stop_grace=10_000),
        step("worker", "replace", stop_grace=60_000, stop_signal="SIGQUIT"),
        step("beat", "replace", exclusive=True, stop_grace=3000),
        step("cron", "start", exclusive=True),
        step("", "start"),
    ]
    assert process_lines(steps).splitlines() == [
        "1. mail: stopped, for the release does not have it; the old one gets 5s to finish",
        "2. web: start-first, 2 replicas; the old one gets 10s to finish",
        "3. worker: stop-first; the old one gets 1m after SIGQUIT to finish",
        "4. beat: exclusive: the old one has ended before the new one starts; the old one gets 3s to finish",
        "5. cron: exclusive, starts",
        "6. the only process so far: starts",
    ]


def test_the_longest_time_is_told_in_minutes_and_seconds() -> None:
    """Nothing where nothing is replaced."""
    assert longest_time_text(None) == ""
    assert longest_time_text(59_001).startswith("1 min 0 s, if every process takes all its time")
    assert longest_time_text(4000).startswith("4 s, ")
