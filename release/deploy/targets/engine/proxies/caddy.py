"""Caddy, through its admin API: the containers are the upstreams of one `reverse_proxy` handler.

The handler is found by its `@id`; its upstreams are set by name, which the engine resolves at each
connection, so they outlive a new address. Source: Caddy 2 documentation, "API": `GET` and `PATCH
/id/<id>/upstreams`.
"""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Final, cast

from release.config import Proxy as Settings
from release.deploy.core.place import Place
from release.deploy.targets.engine.proxies.admin_connection import AdminConnection, quoted
from release.errors import EngineError, ProxyError
from release.images.engine import ContainerState, Engine, StoredImage
from release.parsing import jsontext
from release.runspec import Healthcheck
from release.values import Struct

_MIGRATES: Final = "/proc/sys/net/ipv4/tcp_migrate_req"
_SHOWN: Final = 60
"""Quoted bytes of an answer of a wrong form."""


_UPSTREAMS: Final = jsontext.Bounds(size=1024 * 1024, depth=20, values=20_000)
"""Of the answer with all upstreams of a handler."""


def _is_upstream(found: object) -> bool:
    return isinstance(found, dict) and isinstance(found.get("dial", ""), str)


class Caddy(Struct, frozen=True, kw_only=True, dict=True):
    """A handler of a Caddy server."""

    engine: Engine
    place: Place
    settings: Settings
    port: int
    traffic_with_health: bool = False

    def problems(self, replicas: int) -> Iterable[str]:  # noqa: ARG002 - the protocol's
        """Yield a problem if Caddy does not answer or lacks the handler."""
        try:
            self.upstreams()
        except EngineError as error:
            yield f"{error.attempted}: {error.found}"

    def image_problem(self, image: StoredImage, check: Healthcheck | None) -> str:  # noqa: ARG002 - the protocol's
        """Return nothing: any image works, because the rollout switches the traffic."""
        return ""

    def cautions(self) -> Iterable[str]:
        """Warn that each change reopens the port: requests that wait at the old port are lost.

        Unless the kernel hands it on: `tcp_migrate_req` of the container's network (Linux documentation, "IP
        Sysctl"), since 5.14.
        """
        with suppress(EngineError):  # that it does not answer is said as a problem
            if self._line.run(["sh", "-c", f"cat {_MIGRATES} || true"], {}).strip() != b"1":
                yield (
                    f"Caddy in {self.settings.container} may lose a request when its upstreams change: start "
                    "it with --sysctl net.ipv4.tcp_migrate_req=1"
                )

    def labels(self) -> Mapping[str, str]:
        """Return no labels: Caddy reads none."""
        return {}

    def in_traffic(self, containers: Sequence[ContainerState]) -> frozenset[str]:
        """Return the ids of the containers among the upstreams."""
        dials = {upstream.get("dial") for upstream in self.upstreams()}
        return frozenset(container.id for container in containers if dials & self._dials(container))

    def switch(self, *, into: Sequence[ContainerState], out: Sequence[ContainerState]) -> None:
        """Change the upstreams once and read them back. Open requests on removed containers continue."""
        known = self.upstreams()
        leaving = {dial for container in out for dial in self._dials(container)}
        kept = [upstream for upstream in known if upstream.get("dial") not in leaving]
        have = {upstream.get("dial") for upstream in kept}
        wanted = [*kept, *({"dial": self._dial(new)} for new in into if not have & self._dials(new))]
        if wanted == known:
            return
        self._ask("PATCH", f"/id/{self.settings.backend}/upstreams", json.dumps(wanted))
        if (found := self.upstreams()) != wanted:
            raise ProxyError(
                f"set the upstreams of {self.settings.backend} in {self.settings.container}",
                f"it was set to {json.dumps(wanted)}, but it has {quoted(json.dumps(found))}",
                "check if another program changes the configuration of Caddy",
            )

    def _dial(self, container: ContainerState) -> str:
        """Return the address with the container's permanent name."""
        return f"{(*container.aliases, container.name)[0]}:{self.port}"

    def _dials(self, container: ContainerState) -> set[str]:
        """Return every address that stands for this container."""
        names = {container.name, *container.aliases, *container.networks.values()} - self._shared
        return {f"{name}:{self.port}" for name in names if name}

    @property
    def _shared(self) -> set[str]:
        return {self.place.any, self.place.at("").any}

    def busy(self, containers: Sequence[ContainerState]) -> int | None:  # noqa: ARG002 - the protocol's
        """Return the open requests of current upstreams. For removed ones, Caddy does not report any."""
        return None

    def forget(self, containers: Sequence[ContainerState]) -> None:
        """Do nothing: Caddy keeps nothing."""

    def upstreams(self) -> list[dict[str, Any]]:
        """Return the upstreams in Caddy's configuration. Raises ProxyError if the handler is missing."""
        path = f"/id/{self.settings.backend}/upstreams"
        said = self._ask("GET", path)
        try:
            found = jsontext.read(said or b"null", _UPSTREAMS) or []
            if not (isinstance(found, list) and all(map(_is_upstream, found))):
                raise ValueError("not a list of upstreams")
        except ValueError as error:
            raise ProxyError(
                f"GET {path} of Caddy in {self.settings.container}",
                f"the answer is not a list of upstreams: {said[:_SHOWN].decode(errors='replace')!r}",
                "check that the admin address is the address of this proxy",
            ) from error
        return cast("list[dict[str, Any]]", found)

    def _ask(self, method: str, path: str, body: str = "") -> bytes:
        """Send one request (RFC 9112) in the proxy's container. Raises ProxyError if it fails."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.settings.admin}\r\nConnection: close\r\n"
        about = f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n\r\n"
        answer = http.client.HTTPResponse(cast(Any, _ReadAnswer(self._line.ask(f"{head}{about}{body}"))))
        attempted = f"{method} {path} of Caddy in {self.settings.container}"
        try:
            answer.begin()
            content = answer.read()
        except (http.client.HTTPException, ValueError, OverflowError) as error:
            raise ProxyError(attempted, quoted(f"{type(error).__name__}: {error}")) from error
        if not 200 <= answer.status < 300:
            said = content.decode(errors="replace").strip()
            hint = "backend must be the `@id` of a reverse_proxy handler in its configuration"
            raise ProxyError(attempted, quoted(f"{answer.status} {answer.reason}: {said}"), hint)
        return content

    @cached_property
    def _line(self) -> AdminConnection:
        return AdminConnection(
            engine=self.engine,
            container=self.settings.container or "",
            address=self.settings.admin or "",
        )


class _ReadAnswer:
    """A complete answer that http.client can read like a socket."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._content)
