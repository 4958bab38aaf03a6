"""Services that are newer than the time of a group's rollback: they are stopped when the others are proven.

A stop keeps the containers and the settings, and the ledger has it. So `invoke start` undoes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from release.deploy.core.operations import OperationContext
from release.deploy.core.place import describe
from release.deploy.environment import identify
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.execution import operate
from release.deploy.execution.operate import Done, Request, Subject
from release.errors import MixedState, ReleaseError
from release.ledger.query import Event
from release.programs.interruption import Interruption
from release.values import Struct

_WHY: Final = "it did not run at the time of the rollback"
_LONGEST: Final = 3_600_000
"""Milliseconds for which the lock is valid."""


class Stopped(Struct, frozen=True, kw_only=True):
    """The end of one stop."""

    text: str
    record: dict[str, Any]


def subject_of(live: LiveEnvironment, *, answers: bool) -> list[Subject]:
    """Return the subject of the stop; nothing if nothing runs. Raises NotReady, EngineError."""
    if not identify.look(live).running:
        return []
    return [operate.find(live, "stop", None, answers=answers)]


def still_due(lives: Iterable[LiveEnvironment], started: Event, *, answers: bool) -> list[Subject]:
    """Return what an interrupted rollback had still to stop; not what was deployed again since its start."""
    since = ((live, live.current()) for live in lives)
    old = [live for live, event in since if event is not None and event.recorded_at < started.recorded_at]
    return [one for live in old for one in subject_of(live, answers=answers)]


def rows(subject: Subject) -> list[tuple[str, str]]:
    """Return the stop as rows of the plan."""
    start = subject.live.place.command("start")
    return [
        ("release", subject.release.body.version),
        ("containers", "\n".join(describe([each]) for each in subject.instances)),
        ("why", f"{_WHY}; it is stopped after the others, and `{start}` starts it again"),
    ]


def to_json(subject: Subject) -> dict[str, Any]:
    """Return the stop as JSON data of a plan."""
    return {"attempt": subject.attempted, **dict(rows(subject))}


def stop_all(
    subjects: Sequence[Subject], message: str, interruption: Interruption
) -> tuple[list[Stopped], MixedState | None]:
    """Stop the services; return the ends, and the error of the one that still runs."""
    done: list[Stopped] = []
    try:
        done.extend(_stopped(each, message, interruption) for each in subjects)
    except MixedState as error:
        return done, error
    return done, None


def _stopped(subject: Subject, message: str, interruption: Interruption) -> Stopped:
    operations, last_first = subject.live.target.operations, subject.instances[::-1]

    def work(_: str, context: OperationContext) -> Done:
        return Done(detail=operations.stop(last_first, context))

    request = Request(found=subject, message=message or _WHY, longest=_LONGEST)
    try:
        ended = operate.carry_out(request, work, interruption)
    except ReleaseError as error:
        raise MixedState(
            subject.attempted,
            f"{error.found}; the other services were rolled back",
            f"`{subject.live.place.command('stop')} --message WHY` stops it",
        ) from error
    text = f"{subject.live.place} {subject.release.body.version} stopped: {ended.detail}"
    return Stopped(text=text, record=ended.record)
