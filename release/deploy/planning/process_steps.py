"""Processes in a plan: their order, the way each is replaced, and the time that this may take at most."""

from __future__ import annotations

from collections.abc import Iterator

from release.config import Environment
from release.deploy.planning.current import Current
from release.deploy.planning.plan import ProcessStep
from release.runspec import RunSpec


def process_steps(settings: Environment, current: Current, new: RunSpec) -> tuple[ProcessStep, ...]:
    """Return a step for each process, in order; none if one process replaces one process.

    Args:
        settings: of the environment today, for proxies and health timeouts.
        current: what runs.
        new: the settings that the target is to run with.
    """
    if new.processes is None and not any(each.process for each in current.containers.every):
        return ()
    return tuple(_steps(settings, current, new))


def _steps(settings: Environment, current: Current, new: RunSpec) -> Iterator[ProcessStep]:
    gone = sorted({each.process for each in current.containers.up} - new.every.keys())
    early = [name for name in gone if settings.of(name).proxy is None]
    for name in (*early, *new.every, *(name for name in gone if name not in early)):
        yield _step(name, settings.of(name), current, new)


def _step(name: str, settings: Environment, current: Current, new: RunSpec) -> ProcessStep:
    spec, proxy = new.every.get(name), settings.proxy
    up = sum(each.process == name for each in current.containers.up)
    old = current.spec.every.get(name) if current.spec is not None else None
    known = old or spec or new
    stops = up * (known.stop_grace + (proxy.drain if proxy is not None else 0))
    starts = spec.replicas * settings.health_timeout if spec is not None else 0
    return ProcessStep(
        process=name,
        action="stop" if spec is None else "replace" if up else "start",
        strategy=settings.replacement,
        replicas=spec.replicas if spec is not None else up,
        exclusive=name in new.exclusive,
        stop_signal=known.stop_signal,
        stop_grace=known.stop_grace if up else None,
        most_ms=stops + starts,
    )
