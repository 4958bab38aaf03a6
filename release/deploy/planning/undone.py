"""Undone migrations: as text, in errors, and as the reason that a later deployment asks first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from release.deploy.core.place import DEPLOYMENT, VERSION
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.journal import Unfinished
from release.deploy.environment.observe import Observation
from release.deploy.planning.migration_containers import outcome
from release.errors import ReleaseError
from release.images.engine import ContainerState
from release.ledger import query
from release.ledger.deployments import events_of
from release.ledger.query import Event
from release.records import Deployment, Undoing
from release.values import Struct

E = TypeVar("E", bound=ReleaseError)


class EarlierUndoing(Struct, frozen=True, kw_only=True):
    """Attempt that undid migrations, and after which nothing was verified healthy."""

    attempt: str
    """Person and time of the attempt."""
    undoing: Undoing

    def __str__(self) -> str:
        """Return it as text for people."""
        return f"{fact(self.undoing)} by {self.attempt}, and no release was verified healthy since then"


def fact(undoing: Undoing) -> str:
    """Return what happened to the data, as text for people."""
    count, text = len(undoing.migrations), " ".join(undoing.command)
    noun = "1 migration" if count == 1 else f"{count} migrations"
    names = ", ".join(undoing.migrations)
    if not undoing.migrations:
        return f"migrations of {undoing.version} {'undone' if undoing.status == 'done' else 'perhaps undone'}"
    if undoing.status == "done":
        return f"{noun} of {undoing.version} undone by `{text}` ({names})"
    return f"{noun} of {undoing.version} perhaps undone, completely or in part, by `{text}` ({names})"


def remedy(undoing: Undoing) -> str:
    """Return what to do if the older release does not run after all."""
    return (
        f"the data may be older than {undoing.version}: apply its migrations again with that "
        "release, or roll back with --down done"
    )


@contextmanager
def data_first(undoing: Undoing) -> Iterator[None]:
    """Let each error of the block say first that the data was changed already."""
    try:
        yield
    except ReleaseError as error:
        raise with_data(error, undoing.model_copy(update={"status": "done"})) from error


def with_data(error: E, undoing: Undoing) -> E:
    """Return the same error, with what happened to the data before what was found."""
    copy = type(error).__new__(type(error), *error.args)
    vars(copy).update(vars(error))
    copy.found = f"{fact(undoing)}; then: {error.found}"
    copy.hint = "; ".join(filter(None, (remedy(undoing), error.hint)))
    return copy


def earlier_undoing(
    live: LiveEnvironment,
    containers: tuple[ContainerState, ...],
    unfinished: Unfinished | None,
    *,
    locked: bool,
    own: str = "",
) -> EarlierUndoing | None:
    """Return the attempt that undid migrations since something was last verified healthy, if there is one.

    Args:
        live: the environment.
        containers: the containers of migration commands.
        unfinished: the deployment that was begun and never ended.
        locked: whether its lock still stands.
        own: the deployment that asks; it is not counted.
    """
    passed = {own}
    if unfinished is not None and not unfinished.doubts:
        mine = unfinished.started
        undoing = outcome(containers, mine.deployment, mine.down, locked=locked)
        if undoing is not None:
            return EarlierUndoing(attempt=str(unfinished), undoing=undoing)
        passed.add(mine.deployment)
    return _recorded(live, containers, passed) or _unrecorded(live, containers, passed)


def _recorded(
    live: LiveEnvironment, containers: tuple[ContainerState, ...], passed: Iterable[str]
) -> EarlierUndoing | None:
    """Return the latest one in the ledger that no healthy deployment follows."""
    done = set(passed)
    for event in query.deployments(live.workspace.ledger, live.place.service, live.place.environment):
        deployment = event.deployment
        if deployment.status == "healthy":
            return None
        if deployment.deployment not in done and (undoing := _undoing(containers, deployment)) is not None:
            return EarlierUndoing(attempt=_attempt(event), undoing=undoing)
        done.add(deployment.deployment)
    return None


def _undoing(containers: tuple[ContainerState, ...], deployment: Deployment) -> Undoing | None:
    """Return what its end records; without an end, what its container shows."""
    if deployment.status != "started":
        return deployment.down
    return outcome(containers, deployment.deployment, deployment.down, locked=False)


def _unrecorded(
    live: LiveEnvironment, containers: tuple[ContainerState, ...], passed: Iterable[str]
) -> EarlierUndoing | None:
    """Return one of another clone, whose events were not published: only its container shows it."""
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
            return EarlierUndoing(
                attempt=f"the deployment {name}, which this ledger does not have", undoing=undoing
            )
    return None


def earlier_observed(
    live: LiveEnvironment,
    containers: tuple[ContainerState, ...],
    observation: Observation,
    own: str = "",
) -> EarlierUndoing | None:
    """Return the same, for the state that a plan is made for."""
    return earlier_undoing(
        live, containers, observation.unfinished, locked=observation.holder is not None, own=own
    )


def _attempt(event: Event) -> str:
    what = "rollback" if event.deployment.reason == "rollback" else "deployment"
    return f"the {what} {event.deployment.deployment} by {event.actor.name}, {event.recorded_at[:19]}Z"
