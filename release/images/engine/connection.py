"""The way to an engine: clients, connections that can be cut, and errors that become ours.

Short questions share one client; what may take long (pulls, pushes, waiting, following) has a connection of
its own, which a cancellation or a deadline can cut.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final, Self, cast

import docker
import requests
import urllib3
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.errors import APIError, DockerException
from docker.utils import parse_host

from release.errors import EngineError, EngineUnreachable
from release.images import faults, ssh
from release.images.engine.address import DEFAULT_HOST, Address, find_address, reaching_hint, unreachable
from release.images.values import EngineInfo
from release.process import Cancellation

_CONNECT_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 10
"""For the first question to an engine."""
_READ_SECONDS: Final = 120
"""For any other: the engine may be busy starting a container on a slow disk."""

_FAILURES: Final = (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""All that a call of docker-py raises when the engine, or the way to it, fails."""


class Connection:
    """An engine that answers, and how it is asked."""

    host: str
    """Its address, as "unix:///var/run/docker.sock"."""

    info: EngineInfo

    def __init__(self, address: Address, version: Mapping[str, Any]) -> None:
        """Ask what kind of engine it is; use `connect`."""
        self.host = address.host
        self._address = address
        self._client = _client(address, version=version["ApiVersion"], timeout=_READ_SECONDS)
        with self._asking("ask for the image store"):
            self.info = _engine_info(version, self._client.info())

    @classmethod
    def connect(cls, *, host: str | None = None, context: str | None = None) -> Self:
        """Reach an engine: this address, this Docker context, or the one that `docker` itself would use.

        Raises:
            EngineUnreachable: it does not answer; UsageError: no such context.
        """
        address = find_address(host, context, os.environ)
        try:
            version = _introduced(address)
        except _FAILURES as error:
            raise unreachable(address, error) from error
        return cls(address, version)

    def close(self) -> None:
        """Close its connections; a later call opens new ones."""
        self._client.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self.close()

    def command_environment(self) -> dict[str, str]:
        """Variables that make the `docker` command line talk to this engine (with `--builder default`).

        DOCKER_HOST wins over DOCKER_CONTEXT and the current context; an empty variable counts as none.
        """
        certificates = self._address.certificates
        verify = "1" if self._address.tls is not None and self._address.tls.verify else ""
        return {
            "DOCKER_HOST": self.host,
            "DOCKER_CONTEXT": "",
            "DOCKER_TLS": "1" if certificates else "",
            "DOCKER_TLS_VERIFY": verify,
            "DOCKER_CERT_PATH": str(certificates or ""),
        }

    @contextmanager
    def talking(self, attempted: str) -> Iterator[docker.APIClient]:
        """Its API for a question of another module of this folder; errors become ours in one place.

        Raises:
            EngineError, EngineUnreachable: instead of what docker-py raises.
        """
        with self._asking(attempted):
            yield self._client

    @contextmanager
    def _asking(self, attempted: str) -> Iterator[None]:
        """The one place where errors of docker-py and of the connection become ours."""
        try:
            yield
        except APIError as error:
            raise EngineError(f"{attempted} on {self.host}", explanation(error), _hint(error)) from error
        except _FAILURES as error:
            raise EngineUnreachable(
                f"{attempted} on the engine at {self._address}",
                faults.words(error),
                reaching_hint(self._address, error),
            ) from error

    @contextmanager
    def _line(
        self, cancellation: Cancellation | None = None, *, deadline: Deadline | None = None
    ) -> Iterator[docker.APIClient]:
        """A connection of its own. Raises Cancelled when it was cut, Late when the deadline cut it."""
        cancellation = cancellation or Cancellation()
        client = _client(self._address, version=self.info.api_version, timeout=None)
        scissors = _Scissors(client)
        try:
            with cancellation.stopping(scissors.cut), _cut_at(deadline, scissors):
                yield client
        except _FAILURES:
            cancellation.check()
            if scissors.is_cut:
                raise Late from None
            raise
        finally:
            scissors.close()
            client.close()
        cancellation.check()
        if scissors.is_cut:
            raise Late


class _Client(docker.APIClient):
    """docker-py's client with a short time to connect and a long one to answer."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Split the one timeout of docker-py in two (None waits for ever); trust the engine's authority.

        Left to itself, requests lets REQUESTS_CA_BUNDLE win over the authority that a client was given.
        """
        kwargs["verify"] = self.verify
        timeout = kwargs.get("timeout")
        if timeout is None or isinstance(timeout, int | float):
            kwargs["timeout"] = (_CONNECT_SECONDS, timeout)
        return super().send(request, **kwargs)


def _client(address: Address, *, version: str, timeout: int | None) -> _Client:
    client = _Client(
        base_url=DEFAULT_HOST if address.is_ssh else address.host,
        version=version,
        timeout=_READ_SECONDS,
        tls=address.tls or False,
    )
    if address.is_ssh:
        client.mount("http+docker://", ssh.Adapter(address.host))
    client.timeout = cast(int, timeout)  # None waits for ever; the types of docker-py do not know it
    return client


def _introduced(address: Address) -> Mapping[str, Any]:
    """The engine's answer to the one question that has no version in it: which versions it speaks."""
    _knock(address.host)
    with closing(_client(address, version=DEFAULT_DOCKER_API_VERSION, timeout=_ANSWER_SECONDS)) as client:
        return cast("Mapping[str, Any]", client.version(api_version=False))


def _knock(host: str) -> None:
    """Raise what a local socket raises: docker-py would leave its own socket open then."""
    path = str(parse_host(host)).removeprefix("http+unix://")
    if path.startswith("/"):
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(_CONNECT_SECONDS)
            knocking.connect(path)


class _Scissors:
    """Cuts the connection of a client from another thread: the reader then sees its end at once."""

    def __init__(self, client: _Client) -> None:
        self._responses: list[requests.Response] = []  # one call of docker-py may ask twice
        self._is_cut = False
        client.hooks["response"] = [self._keep]

    def _keep(self, response: requests.Response, **_: object) -> None:
        self._responses.append(response)
        if self._is_cut:
            self.cut()

    def cut(self) -> None:
        """End what is being read now, or will be."""
        self._is_cut = True
        for response in list(self._responses):
            _shut(response)

    def close(self) -> None:
        """Close what was opened."""
        for response in self._responses:
            response.close()

    @property
    def is_cut(self) -> bool:
        """Whether the end was ours."""
        return self._is_cut


def _shut(response: requests.Response) -> None:
    """Stop a blocked read."""
    with suppress(OSError, ValueError, RuntimeError):  # it has ended by itself
        response.raw.shutdown()


class Late(Exception):
    """A deadline cut a connection."""

    def __str__(self) -> str:
        """What it means for a transfer."""
        return "nothing moved for too long, and it was ended"


class Deadline:
    """When a connection is cut, on the monotonic clock; it may be put off."""

    def __init__(self, at: float) -> None:
        """In seconds, as time.monotonic() tells them."""
        self.at = at

    @classmethod
    def after(cls, milliseconds: int) -> Deadline:
        """From now on."""
        return cls(time.monotonic() + milliseconds / 1000)

    def put_off(self, milliseconds: int) -> None:
        """It begins anew."""
        self.at = time.monotonic() + milliseconds / 1000


@contextmanager
def _cut_at(deadline: Deadline | None, scissors: _Scissors) -> Iterator[None]:
    if deadline is None:
        yield
        return
    is_over = threading.Event()

    def watch() -> None:
        while (left := deadline.at - time.monotonic()) > 0:
            if is_over.wait(left):
                return
        scissors.cut()

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        is_over.set()
        watching.join()


def explanation(error: BaseException) -> str:
    """What the engine says, with its status; any other error's own words."""
    if isinstance(error, APIError):
        return f"{error.explanation or 'no explanation'} (status {error.status_code})"
    return str(error)


def _hint(error: APIError) -> str:
    """What helps, by the status alone (Docker Engine API: every operation's responses)."""
    code = error.status_code or 0
    if code >= requests.codes.server_error:
        return "its own log says more: `journalctl -u docker` on its machine; `docker info` tells what it has"
    if code == requests.codes.not_found:
        return "somebody removed it meanwhile, or it never was there: `docker ps -a`, `docker network ls`"
    if code == requests.codes.conflict:
        return "something else is at work there or has it: `docker ps -a` shows what; then try again"
    return "compare the settings with what this engine can do: `docker info`, docs/reference/configuration.md"


def _engine_info(version: Mapping[str, Any], info: Mapping[str, Any]) -> EngineInfo:
    """The containerd store names its snapshotter in the driver's status; a graph driver says other things."""
    kinds = [value for key, value in info.get("DriverStatus") or () if key == "driver-type"]
    return EngineInfo(
        name=info["Name"],
        version=version["Version"],
        api_version=version["ApiVersion"],
        platform=f"{version['Os']}/{version['Arch']}",
        image_store="containerd"
        if any(kind.startswith("io.containerd.snapshotter") for kind in kinds)
        else "graph",
        ahead_ms=_ahead(info.get("SystemTime")),
        data_root=info.get("DockerRootDir") or "",
    )


def _ahead(told: str | None) -> int:
    """Milliseconds between the engine's clock (SystemInfo, SystemTime) and this machine's; 0 if not told."""
    if not told:
        return 0
    return round((datetime.fromisoformat(told) - datetime.now(UTC)).total_seconds() * 1000)
