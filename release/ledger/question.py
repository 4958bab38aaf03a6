"""A question for a release, and its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from release.errors import UsageError
from release.ledger.deployments import Event, last_run_of_each_release
from release.ledger.quarantines import active_quarantine
from release.ledger.releases import (
    release_record,
)
from release.ledger.store import Ledger
from release.records import Record, Release
from release.values import Struct

Command = Callable[[str], str]
"""Makes the whole command of words such as "history": service and environment are named where needed."""


class Found(Struct, frozen=True, kw_only=True):
    """Release that a target means."""

    release: Record[Release]
    event: Event | None = None
    """The healthy deployment that was asked for, by a time or by its id, in the environment asked about."""
    notes: tuple[str, ...] = ()
    """Notes on how it was read, and on skipped releases: sentences for the person who asked."""


class Question(Struct, frozen=True, kw_only=True):
    """Scope in which a target is searched."""

    ledger: Ledger
    service: str
    target: str
    environment: str | None
    command: Command

    @property
    def attempted(self) -> str:
        """For errors."""
        where = f" in {self.environment}" if self.environment is not None else ""
        return f"find the release {self.target!r} of {self.service}{where}"

    @property
    def place(self) -> str:
        """The environment. Raises UsageError: none is named, and this target needs one."""
        if self.environment is None:
            raise UsageError(self.attempted, "no environment is given", "add --environment NAME")
        return self.environment

    def release(self, record: str) -> Record[Release]:
        """A release by its record's id."""
        return release_record(self.ledger, record)


def not_quarantined(question: Question, candidates: Iterable[Record[Release]]) -> Iterator[Found]:
    """The candidates that are not quarantined, each with what was passed over on the way."""
    passed_over: tuple[str, ...] = ()
    for release in candidates:
        word = active_quarantine(question.ledger, question.service, release.id, question.environment)
        if word is None:
            yield Found(release=release, notes=passed_over)
        else:
            passed_over += (f"{release.body.version} is skipped: it {word}",)


def releases_that_ran(question: Question, environment: str) -> Iterator[Record[Release]]:
    """Releases that ran healthy, last one first, each once."""
    for event in last_run_of_each_release(question.ledger, question.service, environment):
        yield question.release(event.deployment.release)
