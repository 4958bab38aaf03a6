"""Run a command that changes the data in a container of its own, before anything is replaced."""

from __future__ import annotations

from typing import Final

from release.deploy.core.steps import step
from release.deploy.core.target import RolloutContext
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.planning.downgrade import Down
from release.deploy.planning.migration_containers import ROLE
from release.errors import DeploymentFailed, EngineError, ReleaseError
from release.events import Progress
from release.images.engine import ContainerSpec
from release.values import replace

_LINES: Final = 1000
"""Most lines of the command's output that are shown."""


def run(live: LiveEnvironment, down: Down, deployment: str, context: RolloutContext) -> None:
    """Run the command to its end and show its output; its container stays. Raises DeploymentFailed."""
    attempted = (
        f"undo migrations with `{' '.join(down.undoing.command)}` in the image of {down.identity.version}"
    )
    with step(context.emit, "down") as report:
        container = _begun(live, _named(live, down, deployment), attempted, context)
        try:
            status = live.engine.wait(container, timeout=down.timeout, cancellation=context.cancellation)
        except (TimeoutError, ReleaseError) as error:
            found = (
                error.found if isinstance(error, ReleaseError) else f"it did not end within {down.timeout} ms"
            )
            raise _failed(attempted, f"{found}{_halted(live, container)}", ()) from error
        lines = _written(live, container, context)
        for line in lines:
            context.emit(Progress(name="down", text=line))
        if status != 0:
            raise _failed(attempted, f"exit status {status}", lines)
        report(" ".join(down.undoing.command))


def _named(live: LiveEnvironment, down: Down, deployment: str) -> ContainerSpec:
    identity = replace(down.identity, deployment=deployment)
    return replace(
        down.container,
        name=f"{live.place.fresh(deployment)}-down",
        labels=live.place.labels(ROLE) | identity.labels(),
    )


def _begun(live: LiveEnvironment, spec: ContainerSpec, attempted: str, context: RolloutContext) -> str:
    """Start the container. Raises DeploymentFailed with the engine's error: no data was touched."""
    try:
        container = live.engine.create(spec)
        context.cancellation.check()
        live.engine.start(container)
    except ReleaseError as error:
        found, hint = context.mask(error.found), context.mask(error.hint)
        raise DeploymentFailed(attempted, f"{found}; nothing was changed", hint) from error
    return container


def _halted(live: LiveEnvironment, container: str) -> str:
    """Stop the container, and return a note if that fails."""
    try:
        live.engine.stop(container, grace=0)
    except EngineError as error:
        return f", and it may still run ({error.attempted}: {error.found})"
    return ""


def _written(live: LiveEnvironment, container: str, context: RolloutContext) -> tuple[str, ...]:
    """Return its last lines without secrets, or why they cannot be read."""
    try:
        return context.mask.lines(live.engine.logs(container, lines=_LINES))
    except EngineError as error:
        return (f"cannot {error.attempted}: {error.found}",)


def _failed(attempted: str, found: str, lines: tuple[str, ...]) -> DeploymentFailed:
    return DeploymentFailed(
        attempted,
        f"{found}; what runs was not changed",
        "check the data, because a part may be undone. Correct it, then roll back with --down "
        "again to run the command once more, or with --down done to skip it",
        lines[-20:],
    )
