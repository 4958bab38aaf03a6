"""Proxies before the processes of a place on one engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from release.deploy.core.place import ContainerSet, process_of
from release.errors import EngineError
from release.images.engine import ContainerState
from release.values import Struct, replace

if TYPE_CHECKING:
    from release.deploy.targets.engine.proxies import Proxy


class Front(Struct, frozen=True, kw_only=True):
    """The proxy before a process."""

    proxy: Proxy
    drain: int = 0
    """Milliseconds that requests under way may take."""
    key: str = ""
    """Its settings. Two processes with the same ones share their traffic; empty: nobody shares it."""

    @property
    def checks_at_once(self) -> bool:
        """Return whether the proxy ignores the engine's state of the container's health."""
        return not self.proxy.traffic_with_health


FrontOf = Callable[[str], Front | None]
"""The proxy before a process, by its name; the name of the only process is empty."""


def no_front(_: str) -> Front | None:
    """Return None: no process is behind a proxy."""
    return None


def behind(proxy: Proxy, process: str, ours: ContainerSet) -> ContainerSet:
    """Return the containers of a process. Those in traffic are apart from those that wait."""
    mine = of_process(process, ours).running
    about = f"{process}: " if process else ""
    try:
        carried = proxy.in_traffic(mine)
    except EngineError as error:
        return _unclear(ours, f"{about}{error.attempted}: {error.found}")
    if not carried:
        return _unclear(ours, f"{about}the proxy sends no requests to them")
    idle = {one.id for one in mine} - carried
    return replace(
        ours,
        running=tuple(one for one in ours.running if one.id not in idle),
        waiting=(*ours.waiting, *(one for one in mine if one.id in idle)),
    )


def _unclear(ours: ContainerSet, text: str) -> ContainerSet:
    return replace(ours, unclear="; ".join(filter(None, [ours.unclear, text])))


def of_process(process: str, ours: ContainerSet) -> ContainerSet:
    """Return the containers of one process."""

    def mine(containers: Iterable[ContainerState]) -> tuple[ContainerState, ...]:
        return tuple(each for each in containers if process_of(each.labels) == process)

    return replace(ours, running=mine(ours.running), waiting=mine(ours.waiting), stopped=mine(ours.stopped))
