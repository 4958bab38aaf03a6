"""Containers of commands that change the data: which there are, which still run, and how they ended.

Such a command changes the data, and no failure after it changes that back. So its container stays until the
ledger has the end of the deployment: after a crash it shows whether the command ran and how it ended.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, Literal, cast

from release.deploy.core.instance import CommandInstance
from release.deploy.core.place import DEPLOYMENT, describe
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.identify import runs_release
from release.errors import EngineError, Problem
from release.events import Warned
from release.records.events import C, DataChange, Undoing, Upgrade
from release.secrets.redact import Mask

_LINES: Final = 20
"""Last lines of a command whose operator died."""
_IDLE: Final = ("created", "exited", "dead", "removing")


def find_own(live: LiveEnvironment) -> tuple[CommandInstance, ...]:
    """Return migration containers that run, or whose deployment has no end in the ledger."""
    return find_all(live)[0]


def find_all(live: LiveEnvironment) -> tuple[tuple[CommandInstance, ...], tuple[CommandInstance, ...]]:
    """Return migration containers, and foreign containers with their labels, which are not changed."""
    labelled = live.target.commands.every()
    mine = tuple(each for each in labelled if _has_own_name(live, each) and runs_release(live, each))
    return mine, tuple(each for each in labelled if each not in mine)


def _has_own_name(live: LiveEnvironment, container: CommandInstance) -> bool:
    """Return whether the container has the name of its deployment's migration command."""
    deployment = container.labels.get(DEPLOYMENT, "")
    return container.name in (container_name(live, deployment, kind) for kind in ("down", "up"))


def container_name(live: LiveEnvironment, deployment: str, kind: str) -> str:
    """Return the container's name for a deployment's command of this kind."""
    return live.target.commands.name(deployment, kind)


def _kind(container: CommandInstance) -> str:
    """Return "down" or "up", by the end of its name."""
    return container.name.rpartition("-")[2]


def still_running(live: LiveEnvironment, containers: tuple[CommandInstance, ...]) -> list[Problem]:
    """Return a problem for each container that still changes the data."""
    busy = [container for container in containers if container.status not in _IDLE]
    return [Problem(path=f"migrations.{_kind(each)}", message=_running_text(live, each)) for each in busy]


def _running_text(live: LiveEnvironment, container: CommandInstance) -> str:
    hint = live.target.commands.advice(container.name)
    does = "undoes migrations" if _kind(container) == "down" else "migrates the data"
    return f"{describe([container])} still {does}: {hint}"


def _kind_of(change: DataChange) -> str:
    return "down" if isinstance(change, Undoing) else "up"


def outcome(
    containers: tuple[CommandInstance, ...], deployment: str, planned: C | None, *, locked: bool
) -> C | None:
    """Return the end of a planned command, by its container; None if it never started.

    While the deployment's lock stands, a container that is missing was never made. Later that is not known.
    """
    if planned is None:
        return None
    kind = _kind_of(planned)
    mine = [each for each in containers if (each.labels.get(DEPLOYMENT), _kind(each)) == (deployment, kind)]
    if not mine:
        return None if locked else _with_status(planned, "uncertain")
    container = mine[-1]
    if container.status == "created":
        return None
    done = container.status == "exited" and container.exit_code == 0
    return _with_status(planned, "done" if done else "uncertain", ran=container.argv)


def _with_status(planned: C, status: Literal["done", "uncertain"], *, ran: tuple[str, ...] = ()) -> C:
    return cast(C, planned.model_copy(update={"status": status, "ran": ran or None}))


def at_the_end(found: Upgrade | None, planned: Upgrade | None, end: str) -> Upgrade | None:
    """Return the change that a deployment's end records. A command that did not run stays planned."""
    never_ran = found is None and planned is not None and planned.when == "after" and end == "healthy"
    return planned if never_ran else found


def own_outcome(live: LiveEnvironment, deployment: str, planned: C | None) -> C | None:
    """Return the end of the lock's deployment's command; uncertain if the engine does not answer."""
    if planned is None:
        return None
    try:
        return outcome(find_own(live), deployment, planned, locked=True)
    except EngineError:
        return _with_status(planned, "uncertain")


def written(
    live: LiveEnvironment, containers: tuple[CommandInstance, ...], deployment: str, mask: Mask
) -> tuple[tuple[str, str], ...]:
    """Return the last lines of a deployment's commands, by kind. An unreadable output is left out."""
    found = list[tuple[str, str]]()
    for each in containers:
        if each.labels.get(DEPLOYMENT) == deployment and each.status != "created":
            with suppress(EngineError):
                lines = mask.lines(live.target.commands.logs(each.id, lines=_LINES))
                found.append((_kind(each), "\n".join(lines)))
    return tuple((kind, text) for kind, text in found if text)


def keep_output(live: LiveEnvironment, deployment: str, mask: Mask) -> None:
    """Keep the output of a deployment's ended commands for `logs --failed`: their operator is gone."""
    for each in find_own(live):
        if each.labels.get(DEPLOYMENT) == deployment and each.status in _IDLE:
            live.target.commands.keep_output(each.id, _kind(each), mask)


def remove_ended(live: LiveEnvironment, deployment: str | None = None) -> None:
    """Remove ended containers of one deployment or all, whose results the ledger has."""
    try:
        for container in find_own(live):
            if container.status in _IDLE and deployment in (None, container.labels.get(DEPLOYMENT)):
                live.target.commands.remove(container.id)
    except EngineError as error:
        live.workspace.emit(
            Warned(
                text=f"could not remove a container that changed the data: {error.attempted}: {error.found}"
            )
        )
