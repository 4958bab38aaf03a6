"""HAProxy, through its runtime API: each container takes a free server of a backend.

The backend is written once with servers in maintenance (`server-template`); what they are, and whether they
get requests, is told at run time. Servers that have `resolvers` are told a name and follow it when the engine
gives the container another address; others are told the address. Source: HAProxy 3.0, Management Guide,
section 9.3 ("set server", "show servers state", "show stat").
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Final

from release.config import Proxy as Settings
from release.deploy.core.place import Place
from release.deploy.targets.engine.proxies.admin_connection import AdminConnection, quoted
from release.errors import EngineError, ProxyError
from release.images.engine import ContainerState, Engine, StoredImage
from release.runspec import Healthcheck
from release.values import Struct

_FORMAT: Final = "1"
_RUNNING: Final = 2
"""srv_op_state: SRV_ST_RUNNING."""
_MAINTENANCE: Final = 0x01 | 0x02
"""srv_admin_state: told to rest, or inherited from another server."""
_DRAINING: Final = 0x08 | 0x10
_CONFIRM_SECONDS: Final = 10.0
_INTERVAL_SECONDS: Final = 0.05


class BackendServer(Struct, frozen=True, kw_only=True):
    """One server of the backend, as `show servers state` lists it."""

    name: str
    address: str
    port: str
    domain: str
    """The name that it follows; "-" for a server without resolvers."""
    operational: int
    administrative: int

    @property
    def is_free(self) -> bool:
        """Return whether the server is unused, or its container has left."""
        return bool(self.administrative & _MAINTENANCE)

    @property
    def carries(self) -> bool:
        """Return whether the server gets new requests."""
        resting = self.administrative & (_MAINTENANCE | _DRAINING)
        return self.operational == _RUNNING and not resting

    def holds(self, container: ContainerState, network: str) -> bool:
        """Return whether the server has this container's address or name."""
        if self.is_free:
            return False
        if self.domain != "-":
            return self.domain in (container.name, *container.aliases)
        return self.address != "-" and self.address == container.networks.get(network)


class HAProxy(Struct, frozen=True, kw_only=True, dict=True):
    """A backend of an HAProxy."""

    engine: Engine
    place: Place
    settings: Settings
    port: int
    traffic_with_health: bool = False

    def problems(self, replicas: int) -> Iterable[str]:
        """Yield a problem if HAProxy does not answer, lacks the backend, or has too few servers."""
        try:
            slots = self.slots()
        except EngineError as error:
            yield f"{error.attempted}: {error.found}"
            return
        free = sum(1 for slot in slots if slot.is_free)
        if not free:
            yield (
                f"all {len(slots)} servers of the backend {self.settings.backend} are in use, "
                f"but a rollout needs one more than the {replicas} that serve: raise the count "
                "of server-template"
            )
        elif len(slots) <= replicas:
            yield (
                f"the backend {self.settings.backend} has {len(slots)} servers, but a rollout "
                f"of {replicas} replicas needs one more: raise the count of server-template"
            )

    def image_problem(self, image: StoredImage, check: Healthcheck | None) -> str:  # noqa: ARG002 - the protocol's
        """Return nothing: any image works, because the rollout switches the traffic."""
        return ""

    def cautions(self) -> Iterable[str]:
        """Return no cautions."""
        return ()

    def labels(self) -> Mapping[str, str]:
        """Return no labels: HAProxy reads none."""
        return {}

    def in_traffic(self, containers: Sequence[ContainerState]) -> frozenset[str]:
        """Return the ids of containers whose server gets requests."""
        slots = [slot for slot in self.slots() if slot.carries]
        return frozenset(
            container.id
            for container in containers
            if any(slot.holds(container, self.settings.network) for slot in slots)
        )

    def switch(self, *, into: Sequence[ContainerState], out: Sequence[ContainerState]) -> None:
        """Fill free servers, wait until they get requests, then drain the others."""
        for container in into:
            self._seat(container)
        if into:
            self._confirm(into, lambda carried: carried >= {container.id for container in into}, "takes")
        for slot in self._of(out):
            self._tell(f"set server {self.settings.backend}/{slot.name} state drain")
        if out:
            self._confirm(out, lambda carried: not carried, "leaves")
        self._keep()

    def _seat(self, container: ContainerState) -> None:
        slots = self.slots()
        found = next((slot for slot in slots if slot.holds(container, self.settings.network)), None)
        slot = found or next((slot for slot in slots if slot.is_free), None)
        if slot is None:
            raise ProxyError(
                f"add {container.name} to {self.settings.backend} of {self.settings.container}",
                f"none of its {len(slots)} servers is free",
                "raise the count of its server-template",
            )
        server = f"set server {self.settings.backend}/{slot.name}"
        if found is None:
            self._tell(f"{server} {self._target(slot, container)}")
        self._tell(f"{server} state ready")

    def _target(self, slot: BackendServer, container: ContainerState) -> str:
        """Return the server's new target: a name if the server resolves names, else the address."""
        if slot.domain != "-":
            return f"fqdn {(*container.aliases, container.name)[0]}"
        address = container.networks.get(self.settings.network)
        if not address:
            raise ProxyError(
                f"add {container.name} to {self.settings.backend} of {self.settings.container}",
                f"it has no address on the network {self.settings.network}",
                f"docker network connect {self.settings.network} {container.name}",
            )
        return f"addr {address} port {self.port}"

    def _confirm(
        self, containers: Sequence[ContainerState], done: Callable[[frozenset[str]], bool], verb: str
    ) -> None:
        deadline = time.monotonic() + _CONFIRM_SECONDS
        while not done(self.in_traffic(containers)):
            if time.monotonic() > deadline:
                names = ", ".join(container.name for container in containers)
                raise ProxyError(
                    f"see that {names} {verb} the traffic of {self.settings.backend}",
                    f"after {_CONFIRM_SECONDS:g} s {self.settings.container} has: "
                    + "; ".join(map(_words, self.slots())),
                    f"read its log: docker logs {self.settings.container}",
                )
            time.sleep(_INTERVAL_SECONDS)

    def busy(self, containers: Sequence[ContainerState]) -> int | None:
        """Return the number of open requests on the containers' servers."""
        names = {slot.name for slot in self._of(containers)}
        table = self._ask(f"show stat {self.settings.backend} 4 -1").removeprefix("# ")
        with _reading(f"show stat {self.settings.backend}", self.settings):
            rows = csv.DictReader(table.splitlines())
            return sum(int(row["scur"]) for row in rows if row["svname"] in names)

    def forget(self, containers: Sequence[ContainerState]) -> None:
        """Put the containers' servers into maintenance, so the next rollout can use them."""
        for slot in self._of(containers):
            self._tell(f"set server {self.settings.backend}/{slot.name} state maint")
        self._keep()

    def _of(self, containers: Sequence[ContainerState]) -> Iterator[BackendServer]:
        for slot in self.slots():
            if any(slot.holds(container, self.settings.network) for container in containers):
                yield slot

    def slots(self) -> tuple[BackendServer, ...]:
        """Return the backend's servers. Raises ProxyError if the backend is missing."""
        return _parsed_slots(self._ask(f"show servers state {self.settings.backend}"), self.settings)

    def _tell(self, order: str) -> None:
        """Send a command. The servers' state afterwards shows its result."""
        self._ask(order)

    def _ask(self, words: str) -> str:
        return self._line.ask(f"{words}\n").decode(errors="replace")

    def _keep(self) -> None:
        """Write the servers' state to the file that HAProxy reads at its next start."""
        if self.settings.state_file is None:
            return
        env = {"STATE": self._ask("show servers state"), "FILE": self.settings.state_file}
        write = 'printf %s "$STATE" >"$FILE.new" && mv "$FILE.new" "$FILE"'
        self._line.run(["sh", "-c", write], env)

    @cached_property
    def _line(self) -> AdminConnection:
        return AdminConnection(
            engine=self.engine,
            container=self.settings.container or "",
            address=self.settings.admin or "",
        )


def _parsed_slots(answer: str, settings: Settings) -> tuple[BackendServer, ...]:
    """Return the servers in the answer to `show servers state`: version, column names, one line each."""
    version, _, table = answer.strip().partition("\n")
    if version != _FORMAT:
        raise ProxyError(
            f"read the servers of the backend {settings.backend} in {settings.container}",
            quoted(version) or "no answer",
            "set backend to a backend of its configuration, and give the admin address `level admin`",
        )
    with _reading("show servers state", settings):
        names, *rows = (line.split() for line in table.removeprefix("# ").splitlines())
        return tuple(_seat(dict(zip(names, row, strict=False))) for row in rows)


@contextmanager
def _reading(said: str, settings: Settings) -> Iterator[None]:
    """Raise ProxyError for an answer that is not such a table."""
    try:
        yield
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise ProxyError(
            f"read the answer to `{said}` of HAProxy in {settings.container}",
            f"the answer is not the expected table: {quoted(str(error))}",
            "check that the admin address is the address of this proxy",
        ) from error


def _seat(row: Mapping[str, str]) -> BackendServer:
    return BackendServer(
        name=row["srv_name"],
        address=row["srv_addr"],
        port=row["srv_port"],
        domain=row["srv_fqdn"],
        operational=int(row["srv_op_state"]),
        administrative=int(row["srv_admin_state"]),
    )


def _words(slot: BackendServer) -> str:
    """Return a server in a few words, for messages that list the servers' states."""
    where = slot.domain if slot.domain != "-" else slot.address
    doing = "rests" if slot.is_free else "takes requests" if slot.carries else "takes none"
    return f"{slot.name} ({where}) {doing}"
