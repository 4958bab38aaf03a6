"""Containers of commands that change the data: which there are, which still run, and how they ended.

Such a command changes the data, and no failure after it changes that back. So its container stays until the
ledger has the end of the deployment: after a crash it shows whether the command ran and how it ended.
"""

from __future__ import annotations

from typing import Final, Literal

from release.deploy.core.place import DEPLOYMENT, describe
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.identify import runs_release
from release.errors import EngineError, Problem
from release.events import Warned
from release.images.engine import ContainerState
from release.records import Undoing

ROLE: Final = "migration"
"""The role in the labels."""
PATH: Final = "migrations.down"
_IDLE: Final = ("created", "exited", "dead", "removing")


def find_own(live: LiveEnvironment) -> tuple[ContainerState, ...]:
    """Return the containers of migration commands: they run, or their deployment has no end in the ledger."""
    return find_all(live)[0]


def find_all(live: LiveEnvironment) -> tuple[tuple[ContainerState, ...], tuple[ContainerState, ...]]:
    """Return the containers of migration commands, and others with their labels: those are left alone."""
    if live.settings.engine != "docker":
        return (), ()
    labelled = tuple(live.engine.containers(live.place.labels(ROLE)))
    mine = tuple(each for each in labelled if each.name == _name(live, each) and runs_release(live, each))
    return mine, tuple(each for each in labelled if each not in mine)


def _name(live: LiveEnvironment, container: ContainerState) -> str:
    """Return the name that the deployment in its labels gives the container of its command."""
    return f"{live.place.fresh(container.labels.get(DEPLOYMENT, ''))}-down"


def still_running(containers: tuple[ContainerState, ...]) -> list[Problem]:
    """Return a problem for each container that still changes the data."""
    busy = [container for container in containers if container.status not in _IDLE]
    return [Problem(path=PATH, message=_running_text(container)) for container in busy]


def _running_text(container: ContainerState) -> str:
    name = container.name
    hint = (
        f"wait for it: `docker wait {name}`, then `docker logs {name}`; `docker stop {name}` stops "
        "it in the middle"
    )
    return f"{describe([container])} still undoes migrations: {hint}"


def outcome(
    containers: tuple[ContainerState, ...], deployment: str, planned: Undoing | None, *, locked: bool
) -> Undoing | None:
    """Return how a planned command ended, by its container; None if it never began.

    While the deployment's lock stands, a container that is missing was never made. Later that is not known.
    """
    if planned is None:
        return None
    mine = [container for container in containers if container.labels.get(DEPLOYMENT) == deployment]
    if not mine:
        return None if locked else _with_status(planned, "uncertain")
    container = mine[-1]
    if container.status == "created":
        return None
    done = container.status == "exited" and container.exit_code == 0
    return _with_status(planned, "done" if done else "uncertain", ran=container.argv)


def _with_status(
    planned: Undoing, status: Literal["done", "uncertain"], *, ran: tuple[str, ...] = ()
) -> Undoing:
    return planned.model_copy(update={"status": status, "ran": ran or None})


def own_outcome(live: LiveEnvironment, deployment: str, planned: Undoing | None) -> Undoing | None:
    """Return how the command of the deployment that holds the lock ended; uncertain without an answer."""
    if planned is None:
        return None
    try:
        return outcome(find_own(live), deployment, planned, locked=True)
    except EngineError:
        return _with_status(planned, "uncertain")


def remove_ended(live: LiveEnvironment, deployment: str | None = None) -> None:
    """Remove the containers that ended, of this deployment or of all: the ledger has their result."""
    try:
        for container in find_own(live):
            if container.status in _IDLE and deployment in (None, container.labels.get(DEPLOYMENT)):
                live.engine.remove(container.id)
    except EngineError as error:
        live.workspace.emit(
            Warned(
                text=f"could not remove a container that undid migrations: {error.attempted}: {error.found}"
            )
        )
