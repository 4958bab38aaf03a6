"""Proxies in memory that answer as the real ones do, and refuse what the tests do not expect."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from release.images.engine import ContainerState, Executed
from tests.unit.deploy.fakes import FakeEngine, RolloutRequest, state

NETWORK = "edge"


def container(name: str, address: str, **changes: Any) -> ContainerState:
    """A container behind a proxy, with a name that it keeps and one that all have."""
    made = {"networks": {NETWORK: address}, "aliases": (f"{name}-own", "api-production-any"), **changes}
    return state(name, **made)


@dataclass
class FakeHAProxy(FakeEngine):
    """An engine in whose container `lb` an HAProxy listens. Columns as HAProxy 3.0 gives them."""

    slots: dict[str, dict[str, str]] = field(default_factory=dict)
    under_way: dict[str, int] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    deaf: bool = False
    """Whether orders are taken and not done."""

    @classmethod
    def with_slots(cls, count: int, *, domain: str = "-") -> FakeHAProxy:
        """A backend `api` as the configuration leaves it: every server rests."""
        known = {"addr": "0.0.0.0", "port": "8000", "op": "0", "admin": "5", "fqdn": domain}  # noqa: S104
        return cls(slots={f"seat{number}": dict(known) for number in range(1, count + 1)})

    def ran(self, order: RolloutRequest) -> Executed:
        assert (order.container, order.argv[:2], order.timeout > 0) == ("lb", ["sh", "-c"], True)
        if "STATE" in order.env:
            self.files[order.env["FILE"]] = order.env["STATE"]
            return Executed(status=0, output=b"", errors=b"")
        assert order.env["SOCKET"] == "/run/admin.sock"
        return Executed(status=0, output=self._answer(order.env["WORDS"].rstrip("\n")).encode(), errors=b"")

    def _answer(self, words: str) -> str:
        self.said.append(words)
        match words.split():
            case ["show", "servers", "state", *_]:
                return "Can't find backend.\n" if words.endswith("nope") else self._state()
            case ["show", "stat", "api", "4", "-1"]:
                rows = [f"api,{name},{self.under_way.get(name, 0)}" for name in self.slots]
                return "\n".join(["# pxname,svname,scur", *rows]) + "\n"
            case ["set", "server", place, *order]:
                self._order(place.removeprefix("api/"), order)
                return "\n"
        raise AssertionError(f"no such command: {words}")

    def _order(self, slot: str, order: list[str]) -> None:
        known = self.slots[slot]
        match order:
            case ["state", "ready"]:
                known.update({} if self.deaf else {"op": "2", "admin": "4"})
            case ["state", "drain"]:
                known.update(admin="12")
            case ["state", "maint"]:
                known.update(op="0", admin="5")
            case ["addr", address, "port", port]:
                known.update(addr=address, port=port)
            case ["fqdn", name]:
                known.update(fqdn=name, addr="10.0.0.9")
            case _:
                raise AssertionError(f"no such order: {order}")

    def _state(self) -> str:
        names = "be_name srv_name srv_addr srv_op_state srv_admin_state srv_fqdn srv_port"
        rows = [
            f"api {name} {slot['addr']} {slot['op']} {slot['admin']} {slot['fqdn']} {slot['port']}"
            for name, slot in self.slots.items()
        ]
        return "\n".join(["1", f"# {names}", *rows]) + "\n\n"


@dataclass
class FakeCaddy(FakeEngine):
    """An engine in whose container `lb` a Caddy listens."""

    upstreams: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    deaf: bool = False
    migrates: bytes = b"1\n"
    """What the kernel says of connections that wait at a port which is closed."""

    def ran(self, order: RolloutRequest) -> Executed:
        assert (order.container, order.argv[:2], order.timeout > 0) == ("lb", ["sh", "-c"], True)
        if "tcp_migrate_req" in order.argv[2]:
            return Executed(status=0, output=self.migrates, errors=b"")
        assert (order.env["HOST"], order.env["PORT"]) == ("127.0.0.1", "2019")
        head, _, body = order.env["WORDS"].partition("\r\n\r\n")
        request = head.splitlines()[0]
        self.said.append(request)
        if "/id/api/upstreams" not in request:
            return self._answer("404 Not Found", {"error": "unknown object ID"})
        if request.startswith("PATCH") and not self.deaf:
            self.upstreams = json.loads(body)
        return self._answer("200 OK", self.upstreams)

    def _answer(self, status: str, content: object) -> Executed:
        body = json.dumps(content)
        text = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
        return Executed(status=0, output=text.encode(), errors=b"")
