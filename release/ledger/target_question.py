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
"""Returns the complete command for a name such as "history", with service and environment if needed."""


class Found(Struct, frozen=True, kw_only=True):
    """Release that a target names."""

    release: Record[Release]
    event: Event | None = None
    """Healthy deployment in the environment, if the target is a time or a deployment id."""
    notes: tuple[str, ...] = ()
    """Sentences for the operator: how the target was read, and which releases were skipped."""


class Question(Struct, frozen=True, kw_only=True):
    """Scope in which a target is searched."""

    ledger: Ledger
    service: str
    target: str
    environment: str | None
    command: Command

    @property
    def attempted(self) -> str:
        """Return the attempted action for errors."""
        where = f" in {self.environment}" if self.environment is not None else ""
        return f"find the release {self.target!r} of {self.service}{where}"

    @property
    def place(self) -> str:
        """Return the environment. Raise UsageError if no environment is given."""
        if self.environment is None:
            raise UsageError(self.attempted, "no environment is given", "add --environment NAME")
        return self.environment

    def release(self, record: str) -> Record[Release]:
        """Return a release by the id of its record."""
        return release_record(self.ledger, record)


def not_quarantined(question: Question, candidates: Iterable[Record[Release]]) -> Iterator[Found]:
    """Yield the candidates that are not quarantined, each with notes on the candidates skipped before."""
    passed_over: tuple[str, ...] = ()
    for release in candidates:
        word = active_quarantine(question.ledger, question.service, release.id, question.environment)
        if word is None:
            yield Found(release=release, notes=passed_over)
        else:
            passed_over += (f"{release.body.version} is skipped: it {word}",)


def releases_that_ran(question: Question, environment: str) -> Iterator[Record[Release]]:
    """Yield the releases that ran healthy, newest first, each once."""
    for event in last_run_of_each_release(question.ledger, question.service, environment):
        yield question.release(event.deployment.release)
