"""Stop-first: the new container takes the place of the old one, or the old one serves again.

The old container is stopped and kept, with its name, until the new one is proven; then it goes and the new
one gets the name. So putting back is starting what is still there. New containers are found by their
deployment's label, not remembered: nothing is lost when a call to the engine is cut in the middle.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from release.deploy.docker import DEPLOYMENT, SERVING, Ours, Place, describe, look
from release.deploy.health import Watch, await_healthy, warn_unreachable
from release.errors import DeploymentFailed, EngineError, MixedState, ReleaseError, Restored
from release.events import Emit, Failed, Finished, Started, Warned
from release.images.engine import ContainerSpec, Engine
from release.process import Cancellation
from release.redact import Mask
from release.runspec import Probe


@dataclass(frozen=True, kw_only=True)
class Swap:
    """What is to be done at a place: the new container, how it is proven, and how the old one is."""

    place: Place
    deployment: str
    version: str
    container: ContainerSpec
    probe: Probe | None
    old_probe: Probe | None
    """Of what runs now: it must answer again if it has to be put back."""
    old_grace: int
    """Milliseconds that what runs now has to stop."""
    health_timeout: int
    """Milliseconds."""
    before: Ours
    """What was there when the plan was made."""

    def __str__(self) -> str:
        """For people: `0.2.0 of api in production`."""
        return f"{self.version} of {self.place}"


@dataclass(frozen=True, kw_only=True)
class Crew:
    """What a rollout works with."""

    engine: Engine
    emit: Emit
    cancellation: Cancellation
    mask: Mask


def swap(crew: Crew, order: Swap) -> str:
    """Put the new container in the place of what runs; the evidence that it serves, in a few words.

    Raises:
        DeploymentFailed: nothing was touched, or nothing ran before and nothing runs now.
        Restored: what ran before runs again, proven in the same way.
        MixedState: that failed too; the message lists what is where.
    """
    try:
        new = crew.engine.create(order.container)
        crew.cancellation.check()
    except BaseException as error:
        raise _withdraw(crew, order, error) from error
    try:
        evidence = _bring_up(crew, order, new)
    except BaseException as error:
        raise _put_back(crew, order, error) from error
    _settle(crew, order, new)
    return evidence


def _bring_up(crew: Crew, order: Swap, new: str) -> str:
    engine = crew.engine
    if order.before.running:
        with step(crew.emit, "stop") as say:
            for old in order.before.running:
                engine.stop(old.id, grace=order.old_grace)
            say(", ".join(old.name for old in order.before.running))
    crew.cancellation.check()
    with step(crew.emit, "start") as say:
        engine.start(new)
        say(order.container.name or new)
    with step(crew.emit, "health") as say:
        evidence = _prove(crew, order, new)
        say(evidence)
    return evidence


def _prove(crew: Crew, order: Swap, new: str) -> str:
    """Healthy, and running the very image of the record."""
    watch = _watch(crew, order, new)
    watch = replace(watch, probe=order.probe, check=crew.cancellation.check)
    warn_unreachable(watch)
    evidence = await_healthy(watch)
    state = crew.engine.state(new)
    if state is None or state.image != order.container.image:
        found = state.image if state is not None else "nothing"
        raise DeploymentFailed(
            f"prove that {order} runs", f"the container runs {found}, not {order.container.image}"
        )
    return evidence


def _watch(crew: Crew, order: Swap, container: str) -> Watch:
    return Watch(
        engine=crew.engine,
        container=container,
        probe=order.old_probe,
        timeout=order.health_timeout,
        emit=crew.emit,
        mask=crew.mask,
    )


def _settle(crew: Crew, order: Swap, new: str) -> None:
    """The new one serves: remove what it replaces, give it the name. A failure here changes nothing."""
    try:
        for old in (*order.before.running, *order.before.stopped):
            crew.engine.remove(old.id)
        crew.engine.rename(new, order.place.container)
    except EngineError as error:
        crew.emit(Warned(text=f"{order} serves, but tidying up failed: {error.attempted}: {error.found}"))


def _withdraw(crew: Crew, order: Swap, error: BaseException) -> ReleaseError:
    """The new container could not be made: take it away; nothing else was touched."""
    left = _remove_new(crew, order)
    if left is not None:
        return _mixed(crew, order, error, left)
    return DeploymentFailed(
        f"deploy {order}", f"{_why(crew, error)}; nothing was touched", crew.mask(_hint(error)), _tail(error)
    )


def _put_back(crew: Crew, order: Swap, error: BaseException) -> ReleaseError:
    """Remove the new container and start what ran before; the error that says how that went."""
    crew.emit(Warned(text=f"{_why(crew, error)}: putting back what ran before"))
    removal, start = _remove_new(crew, order), _start_old(crew, order)
    if (left := removal or start) is not None:
        return _mixed(crew, order, error, left)
    if not order.before.running:
        return DeploymentFailed(
            f"deploy {order}",
            f"{_why(crew, error)}; nothing ran before, and nothing runs now",
            "read the lines above, then deploy again",
            _tail(error),
        )
    return Restored(
        f"deploy {order}",
        f"{_why(crew, error)}; what ran before runs again: {describe(order.before.running)}",
        "read the lines above before the next attempt",
        _tail(error),
    )


def _remove_new(crew: Crew, order: Swap) -> BaseException | None:
    """Remove every container of this deployment; the error if that does not work."""
    try:
        for container in crew.engine.containers(order.place.labels(SERVING) | {DEPLOYMENT: order.deployment}):
            crew.engine.stop(container.id, grace=order.container.stop_grace)
            crew.engine.remove(container.id)
    except ReleaseError as error:
        return error
    return None


def _start_old(crew: Crew, order: Swap) -> BaseException | None:
    """Start what ran before and wait until it serves; the error if it does not."""
    try:
        for old in order.before.running:
            crew.engine.start(old.id)
        for old in order.before.running:
            await_healthy(_watch(crew, order, old.id))
    except ReleaseError as error:
        return error
    return None


def _mixed(crew: Crew, order: Swap, error: BaseException, left: BaseException) -> MixedState:
    """Say exactly what is where, as far as the engine still answers."""
    try:
        ours = look(crew.engine, order.place)
        state = f"running: {describe(ours.running)}; stopped: {describe(ours.stopped)}"
    except EngineError as silent:
        state = (
            f"the engine does not say what runs ({silent.found}); before: {describe(order.before.running)}"
        )
    return MixedState(
        f"deploy {order}",
        f"{_why(crew, error)}; putting back what ran before failed too ({_why(crew, left)}). {state}",
        "`invoke status`; `docker logs` and `docker start` with the names above; then deploy or roll back",
        _tail(error),
    )


@contextmanager
def step(emit: Emit, name: str) -> Iterator[Callable[[str], None]]:
    """Tell the begin and the end of a step; the block may say in a few words what came of it."""
    began, said = time.monotonic(), [""]
    emit(Started(name=name))
    try:
        yield said.append
    except BaseException as error:
        emit(Failed(name=name, duration_ms=elapsed_ms(began), summary=reason(error)))
        raise
    emit(Finished(name=name, duration_ms=elapsed_ms(began), summary=said[-1]))


def elapsed_ms(began: float) -> int:
    """Milliseconds since a reading of the monotonic clock."""
    return round((time.monotonic() - began) * 1000)


def reason(error: BaseException) -> str:
    """Why it failed, without the parts that only a whole message needs."""
    return error.found if isinstance(error, ReleaseError) else type(error).__name__


def _why(crew: Crew, error: BaseException) -> str:
    """The same without secrets: an engine may quote what it was told."""
    return crew.mask(reason(error))


def _hint(error: BaseException) -> str:
    return error.hint if isinstance(error, ReleaseError) else ""


def _tail(error: BaseException) -> tuple[str, ...]:
    return error.tail if isinstance(error, DeploymentFailed) else ()
