"""Connect to one Docker Engine, and to the proxy before a place."""

from __future__ import annotations

from contextlib import ExitStack

from release.config import Environment
from release.deploy.core.place import Place
from release.deploy.core.target import Target
from release.deploy.targets.engine.target import SingleEngine
from release.events import Emit
from release.images.engine import Engine


def open_target(
    place: Place,
    settings: Environment,
    port: int | None,
    stack: ExitStack,
    emit: Emit,  # noqa: ARG001 - other targets warn
) -> Target:
    """See `release.deploy.targets.Opening`. A proxy's code is imported only if there is one."""
    engine = stack.enter_context(Engine.connect(host=settings.host, context=settings.context))
    if settings.proxy is None:
        return SingleEngine(engine=engine, place=place)
    from release.deploy.targets.engine.proxies import stand_before

    reached = settings.proxy.port or port or 0  # 0: by name alone (dns)
    proxy = stand_before(engine, place, settings.proxy, reached)
    return SingleEngine(engine=engine, place=place, proxy=proxy, drain=settings.proxy.drain)
