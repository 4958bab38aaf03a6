"""Connect to one Docker Engine, and to the proxies before a place."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache

from release.config import Environment
from release.deploy.core.place import Place
from release.deploy.core.target import Target
from release.deploy.targets.engine.process_proxies import Front, FrontOf
from release.deploy.targets.engine.target import SingleEngine
from release.events import Emit
from release.images.engine import Engine


def open_target(
    place: Place,
    settings: Environment,
    ports: Mapping[str, int | None],
    stack: ExitStack,
    emit: Emit,  # noqa: ARG001 - other targets warn
) -> Target:
    """Return the target of a place on one engine. See `release.deploy.targets.Opening`."""
    engine = stack.enter_context(Engine.connect(host=settings.host, context=settings.context))
    front_of = cache(fronts(engine, place, settings, ports))
    return SingleEngine(engine=engine, place=place, front_of=front_of, processes=tuple(settings.every))


def fronts(engine: Engine, place: Place, settings: Environment, ports: Mapping[str, int | None]) -> FrontOf:
    """Return a function that gives the proxy before a process. Its code is imported only if there is one."""

    def front_of(process: str) -> Front | None:
        proxy = settings.of(process).proxy
        if proxy is None:
            return None
        from release.deploy.targets.engine.proxies import open_proxy

        port = proxy.port or ports.get(process) or next(filter(None, ports.values()), 0)  # 0: by name (dns)
        return Front(
            proxy=open_proxy(engine, place.at(process), proxy, port),
            drain=proxy.drain,
            key=proxy.model_dump_json() if proxy.kind != "dns" else "",
        )

    return front_of
