"""Start-first, behind a proxy: the new container is healthy before it takes the traffic of the old one.

One replica after the other: start, prove, switch the traffic, prove again. The old container stays as it is
until the traffic has left it; then it drains, stops, and is kept until the last replica is proven. From
that moment the deployment has succeeded: what is left to do can only be told as a warning. Until then
whatever fails gives the traffic back first, and only then takes the new containers away.

Every step asks before it acts - the engine by label, the proxy for who is in traffic - so a rollout that
broke off anywhere can be finished or given back by a later command: see `bring_up` and `give_back`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

from release.deploy.core.place import describe
from release.deploy.core.retry_unreachable import until_back
from release.deploy.core.steps import elapsed_ms, step, tail_of
from release.deploy.targets.engine.health import Healthy, await_healthy
from release.deploy.targets.engine.proxies import Proxy
from release.deploy.targets.engine.restoration import (
    await_old,
    mixed_state,
    nothing_to_restore,
    predecessor_removed,
    remove_new,
    restore_obstacle,
    start_old,
)
from release.deploy.targets.engine.rollout import (
    Replacement,
    RolloutTools,
    masked_reason,
    new_containers,
    prove,
    settle,
    watch_new,
)
from release.errors import DeploymentFailed, ProxyError, ReleaseError, Restored
from release.events import Warned
from release.images.engine import ContainerState

_ASK_SECONDS: Final = 0.1


def bring_up(tools: RolloutTools, order: Replacement, proxy: Proxy, made: Sequence[str]) -> list[Healthy]:
    """Prove every replica and put it into traffic; take the old ones out, but keep them running.

    Also for an interrupted rollout. `order.before` has the other running containers, in traffic or not.
    Raises any error; `give_back` then restores the previous containers.
    """
    proven: list[Healthy] = []
    left = None
    for new, spec, old in zip_longest(made, order.containers, order.before.running):
        if left is not None:
            _retire(tools, order, proxy, [left])
        if new is not None and spec is not None:
            _start(tools, new, spec.name or new)
            with step(tools.emit, "health") as say:
                proven.append(prove(tools, order, new, spec))
                say(proven[-1].evidence)
        _switch(tools, proxy, _states(tools, [new]), [old] if old is not None else [])
        if new is not None:
            await_healthy(watch_new(tools, order, new))
        left = old
    if order.containers:
        _verify_traffic(tools, order, proxy)
    return proven


def _start(tools: RolloutTools, new: str, name: str) -> None:
    tools.cancellation.check()
    with step(tools.emit, "start") as say:
        tools.engine.start(new)
        say(name)


def _switch(
    tools: RolloutTools, proxy: Proxy, into: Sequence[ContainerState], out: Sequence[ContainerState]
) -> None:
    tools.cancellation.check()
    tools.still_mine()
    with step(tools.emit, "switch") as say:
        proxy.switch(into=into, out=out)
        say(f"{_names(into)} in traffic" + (f", {_names(out)} not" if out else ""))


def _states(tools: RolloutTools, ids: Sequence[str | None]) -> list[ContainerState]:
    """Return the current states: a container gets its address when it starts."""
    known = [tools.engine.state(container) for container in ids if container is not None]
    return [state for state in known if state is not None]


def _verify_traffic(tools: RolloutTools, order: Replacement, proxy: Proxy) -> None:
    """Check that the proxy only sends requests to the new containers. Raises ProxyError."""
    wanted = {state.id for state in new_containers(tools, order)}
    there = [*new_containers(tools, order), *_states(tools, [old.id for old in order.before.up])]
    running = [state for state in there if state.status == "running"]
    carried = proxy.in_traffic(running)
    if not wanted <= carried or (carried != wanted and not proxy.traffic_with_health):
        names = _names([state for state in running if state.id in carried])
        raise ProxyError(
            f"verify that {order} gets requests",
            f"the proxy sends requests to: {names or 'no container'}",
            "read the log of the proxy: docker logs NAME",
        )


def _retire(tools: RolloutTools, order: Replacement, proxy: Proxy, old: Sequence[ContainerState]) -> None:
    """Wait for open requests, then stop the container and keep it.

    Its place in the proxy is freed before the stop, so that an interruption leaves no place in use.
    """
    with step(tools.emit, "drain") as say:
        said = _drain(order, proxy, old)
        tools.still_mine()
        proxy.forget(old)
        for container in old:
            tools.stop(container.id, grace=order.old_grace if said else max(order.old_grace, order.drain))
        say(f"{_names(old)} stopped{said}")


def _drain(order: Replacement, proxy: Proxy, old: Sequence[ContainerState]) -> str:
    """Wait until no request is open; return the result. Empty if the proxy does not report requests.

    In that case the container's stop lets requests end, within the longer of its grace and `drain`.
    """
    began = time.monotonic()
    while (count := proxy.busy(old)) is not None:
        if count == 0:
            return ", no request was open"
        if elapsed_ms(began) > order.drain:
            return f", {count} requests were still open after {order.drain / 1000:g} s"
        time.sleep(_ASK_SECONDS)
    return ""


def settle_behind(tools: RolloutTools, order: Replacement, proxy: Proxy, made: Sequence[str]) -> None:
    """Clean up after the new containers serve. A failure is only a warning."""
    up = [state for state in _states(tools, [old.id for old in order.before.up]) if state.status == "running"]
    try:
        if up:
            _retire(tools, order, proxy, up)
        if order.before.stopped:
            proxy.forget(order.before.stopped)
    except ReleaseError as error:
        names = _names(up)
        tools.emit(
            Warned(
                text=f"{order} serves, but {names} could not be removed: {error.attempted}: {error.found}. "
                "The next deployment removes it"
            )
        )
        return
    settle(tools, order, made)


def give_back(tools: RolloutTools, order: Replacement, proxy: Proxy, error: BaseException) -> ReleaseError:
    """Return traffic to the previous containers and remove the new ones; return the resulting error.

    Also for an interrupted rollout: only traffic that is not at the previous containers is moved.
    """
    if (lost := restore_obstacle(tools, order)) is not None:
        return mixed_state(tools, order, error, lost, _traffic(tools, order, proxy))
    if order.lost:
        return predecessor_removed(tools, order, error)
    tools.emit(Warned(text=f"{masked_reason(tools, error)}: what ran before keeps getting the requests"))
    try:
        still = until_back(
            lambda: _traffic_back(tools, order, proxy), milliseconds=order.health_timeout, emit=tools.emit
        )
    except Exception as left:  # noqa: BLE001 - what is where must be told, whatever it was
        return mixed_state(tools, order, error, left, _traffic(tools, order, proxy))
    if (failed := remove_new(tools, order, order.drain)) is not None:
        return mixed_state(tools, order, error, failed, _traffic(tools, order, proxy))
    if not order.before.running:
        return nothing_to_restore(tools, order, error)
    return Restored(
        order.attempt,
        f"{masked_reason(tools, error)}; what ran before gets the requests: {describe(still)}",
        "read the lines above before the next attempt",
        tail_of(error),
    )


def _traffic_back(tools: RolloutTools, order: Replacement, proxy: Proxy) -> list[ContainerState]:
    """Start the previous containers, send the requests to them, and verify it."""
    old = order.before.running
    there = _states(tools, [one.id for one in old])
    stopped = [state for state in there if state.status != "running" or tools.engine.is_stopping(state)]
    again = {state.id for state in stopped}
    if (failed := start_old(tools, order, stopped)) is not None:
        raise failed
    states, new = _states(tools, [one.id for one in old]), list(new_containers(tools, order))
    started = [state for state in new if state.status == "running"]
    if len(states) < len(old):
        raise DeploymentFailed(
            f"restore {order.place}",
            "a container that ran before was removed",
            f"restore the last healthy release: `{order.place.command('rollback')}`",
        )
    if stopped or (started and _moved(proxy, states, started)):
        tools.still_mine()
        with step(tools.emit, "switch") as say:
            proxy.switch(into=states, out=started)
            _drain(order, proxy, started)
            proxy.forget(started)
            say(f"{_names(states)} in traffic again")
    if (failed := await_old(tools, order, [one for one in states if one.id not in again])) is not None:
        raise failed
    return states


def _moved(proxy: Proxy, old: Sequence[ContainerState], new: Sequence[ContainerState]) -> bool:
    """Return whether the traffic is not at the previous containers."""
    carried = proxy.in_traffic([*old, *new])
    return carried != {state.id for state in old}


def _traffic(tools: RolloutTools, order: Replacement, proxy: Proxy) -> str:
    """Return a sentence with the containers in traffic."""
    try:
        there = [*new_containers(tools, order), *_states(tools, [old.id for old in order.before.up])]
        carried = proxy.in_traffic([state for state in there if state.status == "running"])
    except Exception as error:  # noqa: BLE001 - a message that is all there is must come out
        return f"; it is unknown which containers get requests: {masked_reason(tools, error)}"
    return f"; in traffic: {_names([state for state in there if state.id in carried]) or 'none'}"


def _names(containers: Sequence[ContainerState]) -> str:
    return ", ".join(container.name for container in containers)
