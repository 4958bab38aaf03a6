"""Undone migrations: as text, in errors, and as the reason that a later deployment asks first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from release.deploy.core.instance import CommandInstance
from release.deploy.core.place import DEPLOYMENT, VERSION
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.journal import Unfinished
from release.deploy.environment.observe import Observation
from release.deploy.planning.data_command import Kind
from release.deploy.planning.migration_containers import outcome
from release.errors import ReleaseError
from release.ledger import query
from release.ledger.deployments import events_of
from release.ledger.query import Event
from release.records import Deployment
from release.records.events import DataChange, Undoing, Upgrade
from release.text.local_time import local_time
from release.values import Struct

E = TypeVar("E", bound=ReleaseError)
RUN_AGAIN: Final = (
    "check the data and correct the cause; then run the command with `invoke run`, or deploy with --again"
)
"""Next step if the command that runs after a release did not succeed."""


class EarlierChange(Struct, frozen=True, kw_only=True):
    """An attempt that changed the data, without a healthy release since."""

    attempt: str
    """Person and time of the attempt."""
    change: DataChange

    def __str__(self) -> str:
        """Return the attempt as text."""
        text = data_change_text(self.change)
        if runs_after(self.change):
            return f"{text} ({self.attempt})"
        return f"{text} by {self.attempt}, and no release was verified healthy since then"


def runs_after(change: DataChange) -> bool:
    """Return whether the command runs after its release is verified healthy."""
    return isinstance(change, Upgrade) and change.when == "after"


def data_change_text(change: DataChange) -> str:
    """Return what happened to the data, as text."""
    if isinstance(change, Undoing):
        return _undone(change)
    if change.status == "planned":
        return f"data not migrated: `{' '.join(change.command)}` of {change.version} did not run"
    how = "" if change.status == "done" else " perhaps, or in part"
    return f"data migrated{how} by `{' '.join(change.command)}` of {change.version}"


def _undone(undoing: Undoing) -> str:
    count, text = len(undoing.migrations), " ".join(undoing.command)
    noun = "1 migration" if count == 1 else f"{count} migrations"
    names = ", ".join(undoing.migrations)
    if not undoing.migrations:
        return f"migrations of {undoing.version} {'undone' if undoing.status == 'done' else 'perhaps undone'}"
    if undoing.status == "done":
        return f"{noun} of {undoing.version} undone by `{text}` ({names})"
    return f"{noun} of {undoing.version} perhaps undone, completely or in part, by `{text}` ({names})"


def remedy(change: DataChange) -> str:
    """Return what to do if the release does not run."""
    if isinstance(change, Undoing):
        return (
            f"the data may be older than {change.version}: apply its migrations again with that "
            "release, or roll back with --down done"
        )
    if runs_after(change):
        return RUN_AGAIN
    return (
        "the data may be newer than what runs: check that it works with the migrations of "
        f"{change.version}; the next deployment runs the command again, but with the release that runs only "
        "if it has --again"
    )


@contextmanager
def data_first(change: DataChange, service: str = "") -> Iterator[None]:
    """Add to each error of the block that the data was changed before; name the service in a group."""
    try:
        yield
    except ReleaseError as error:
        raise with_data(error, change.model_copy(update={"status": "done"}), service) from error


def with_data(error: E, change: DataChange, service: str = "") -> E:
    """Return the same error, which first says what happened to the data."""
    copy = type(error).__new__(type(error), *error.args)
    vars(copy).update(vars(error))
    name = f"{service}: " if service else ""
    copy.found = f"{name}{data_change_text(change)}; then: {error.found}"
    copy.hint = "; ".join(filter(None, (remedy(change), error.hint)))
    return copy


def earlier_change(
    live: LiveEnvironment,
    containers: tuple[CommandInstance, ...],
    unfinished: Unfinished | None,
    *,
    locked: bool,
    own: str = "",
    kind: Kind = "down",
) -> EarlierChange | None:
    """Return the attempt that changed the data, if no release was verified healthy since.

    Args:
        live: the environment.
        containers: the containers of migration commands.
        unfinished: the deployment that was begun and never ended.
        locked: whether its lock still stands.
        own: the deployment that asks; it is not counted.
        kind: whether it undid migrations ("down"), or migrated the data forward ("up").
    """
    passed = {own}
    if unfinished is not None and not unfinished.doubts:
        mine = unfinished.started
        change = outcome(containers, mine.deployment, _planned(mine, kind), locked=locked)
        if change is not None:
            return EarlierChange(attempt=str(unfinished), change=change)
        passed.add(mine.deployment)
    found = _recorded(live, containers, passed, kind)
    return found or (_unrecorded(live, containers, passed) if kind == "down" else None)


def _planned(deployment: Deployment, kind: Kind) -> DataChange | None:
    return deployment.down if kind == "down" else deployment.up


def _recorded(
    live: LiveEnvironment, containers: tuple[CommandInstance, ...], passed: Iterable[str], kind: Kind
) -> EarlierChange | None:
    """Return the latest such attempt in the ledger."""
    done = set(passed)
    for event in query.deployments(live.workspace.ledger, live.place.service, live.place.environment):
        deployment = event.deployment
        if deployment.status == "healthy":
            return _left_after(event, kind)
        if (
            deployment.deployment not in done
            and (change := _change(containers, deployment, kind)) is not None
        ):
            return EarlierChange(attempt=_attempt(event), change=change)
        done.add(deployment.deployment)
    return None


def _left_after(event: Event, kind: Kind) -> EarlierChange | None:
    """Return the migration command that failed after a release was verified healthy."""
    up = event.deployment.up
    if kind == "down" or up is None or up.status == "done" or not runs_after(up):
        return None
    return EarlierChange(attempt=_attempt(event), change=up)


def _change(containers: tuple[CommandInstance, ...], deployment: Deployment, kind: Kind) -> DataChange | None:
    """Return the change that the attempt's end records; without an end, what its container shows."""
    if deployment.status != "started":
        return _planned(deployment, kind)
    return outcome(containers, deployment.deployment, _planned(deployment, kind), locked=False)


def _unrecorded(
    live: LiveEnvironment, containers: tuple[CommandInstance, ...], passed: Iterable[str]
) -> EarlierChange | None:
    """Return an attempt of another clone that only its container shows."""
    for container in containers:
        name, ledger = container.labels.get(DEPLOYMENT, ""), live.workspace.ledger
        unknown = Undoing(
            migrations=(), command=(), version=container.labels.get(VERSION, ""), status="planned"
        )
        undoing = outcome((container,), name, unknown, locked=True)
        if (
            name not in passed
            and undoing is not None
            and not any(events_of(ledger, live.place.service, name))
        ):
            return EarlierChange(
                attempt=f"the deployment {name}, which this ledger does not have", change=undoing
            )
    return None


def earlier_observed(
    live: LiveEnvironment,
    containers: tuple[CommandInstance, ...],
    observation: Observation,
    own: str = "",
    kind: Kind = "down",
) -> EarlierChange | None:
    """Return the same attempt for the observed state of a plan."""
    return earlier_change(
        live, containers, observation.unfinished, locked=observation.holder is not None, own=own, kind=kind
    )


def _attempt(event: Event) -> str:
    what = "rollback" if event.deployment.reason == "rollback" else "deployment"
    return f"the {what} {event.deployment.deployment} by {event.actor.name}, {local_time(event.recorded_at)}"
