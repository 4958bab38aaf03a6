"""Possible targets of a rollback, for an operator who has not chosen yet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from release.deploy.environment.environment import EnvironmentRef
from release.ledger import query
from release.ledger.deployments import last_run_of_each_release
from release.ledger.query import Event, QuarantineState
from release.records import Record, Release
from release.values import Struct

_OFFERED: Final = 9


class Candidate(Struct, frozen=True, kw_only=True):
    """A release that ran here and was verified healthy, with its last deployment."""

    release: Record[Release]
    event: Event
    word: QuarantineState | None
    """Quarantine of it."""
    is_current: bool
    """True: it runs now."""


def candidates(env_ref: EnvironmentRef, running: Record[Release] | None) -> tuple[Candidate, ...]:
    """Return the last releases that were healthy here, newest first. `running` is the current one."""
    ledger, place = env_ref.workspace.ledger, env_ref.place
    found = []
    for event in islice(last_run_of_each_release(ledger, place.service, place.environment), _OFFERED):
        release = env_ref.release_of(event)
        if release is not None:
            word = query.active_quarantine(ledger, place.service, release.id, place.environment)
            is_current = running is not None and running.id == release.id
            found.append(Candidate(release=release, event=event, word=word, is_current=is_current))
    return tuple(found)


def chosen(offered: Sequence[Candidate], default: str, answer: str) -> str | None:
    """Return the target for an answer: a number of the list, or the default if empty; None if neither.

    Args:
        offered: as `candidates` gave them, counted from 1.
        default: the target of an empty answer.
        answer: what was typed.
    """
    if not answer:
        return default
    if answer.isdecimal() and 1 <= int(answer) <= len(offered):
        return offered[int(answer) - 1].release.body.version
    return None
