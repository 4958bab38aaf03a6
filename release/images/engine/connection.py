"""Connection to an engine: clients, cancellable requests, and translation of errors.

Short requests share one client. Long ones (pull, push, wait, follow) have a connection of their own, which a
cancellation or a deadline can close.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Self, cast

import docker
import requests
import urllib3
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.errors import APIError, DockerException
from docker.utils import parse_host

from release.errors import EngineError, EngineUnreachable
from release.images import connection_failures
from release.images.engine.address import Address, connection_hint, find_address, unreachable_error
from release.images.engine.cancellable_connection import (
    ConnectionCutter,
    Deadline,
    DeadlinePassed,
    cut_at_deadline,
)
from release.images.engine.client import CONNECT_SECONDS, READ_SECONDS, InvalidAnswer
from release.images.engine.client import new_client as client_of
from release.images.values import EngineInfo
from release.programs.cancellation import Cancellation

_ANSWER_SECONDS: Final = 10
"""Limit for the first request to an engine."""
_LONGEST_QUOTE: Final = 500
"""Characters of the engine's error text that a message quotes."""

_FAILURES: Final = (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""Exceptions of docker-py and of the connection if the engine does not answer or refuses."""


class Connection:
    """Connection to an engine that has answered once."""

    host: str
    """Address of the engine, as "unix:///var/run/docker.sock"."""

    info: EngineInfo

    def __init__(self, address: Address, version: Mapping[str, Any]) -> None:
        """Read version and kind of the engine. Call `connect` instead."""
        self.host = address.host
        self._address = address
        self._client = client_of(address, version=version["ApiVersion"], timeout=READ_SECONDS)
        with self._asking("ask for the image store"):
            self.info = _engine_info(version, self._client.info())

    @classmethod
    def connect(cls, *, host: str | None = None, context: str | None = None) -> Self:
        """Connect to the engine of this host or Docker context, or to the one that `docker` would use.

        Raises:
            EngineUnreachable: the engine does not answer.
            UsageError: there is no such context.
        """
        address = find_address(host, context, os.environ)
        try:
            return cls(address, _introduced(address))
        except (*_FAILURES, *STRANGE) as error:
            raise unreachable_error(address, error) from error

    def close(self) -> None:
        """Close all connections; a later call opens new connections."""
        self._client.close()

    def __enter__(self) -> Self:
        """Return this connection."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self.close()

    def command_environment(self) -> dict[str, str]:
        """Return variables that make the `docker` command use this engine (with `--builder default`).

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
        """Yield the API client for a request; translate errors of docker-py into errors of this library.

        Raises:
            EngineError, EngineUnreachable: in place of exceptions of docker-py.
        """
        with self._asking(attempted):
            yield self._client

    @contextmanager
    def _asking(self, attempted: str) -> Iterator[None]:
        """In the block, translate errors of docker-py and of the connection into errors of this library."""
        try:
            yield
        except APIError as error:
            raise EngineError(
                f"{attempted} on {self.host}", engine_error_text(error), _hint(error)
            ) from error
        except (InvalidAnswer, *STRANGE) as error:
            if isinstance(error, requests.RequestException):
                raise self._failed(attempted, error) from error
            raise EngineError(
                f"{attempted} on {self.host}", invalid_answer_reason(error), _STRANGE_HINT
            ) from error
        except _FAILURES as error:
            raise self._failed(attempted, error) from error

    def _failed(self, attempted: str, error: BaseException) -> EngineUnreachable:
        return EngineUnreachable(
            f"{attempted} on the engine at {self._address}",
            connection_failures.failure_text(error)[:_LONGEST_QUOTE],
            connection_hint(self._address, error),
        )

    @contextmanager
    def _line(
        self, cancellation: Cancellation | None = None, *, deadline: Deadline | None = None
    ) -> Iterator[docker.APIClient]:
        """Yield a client with a connection of its own. Raise Cancelled, or DeadlinePassed at the deadline."""
        cancellation = cancellation or Cancellation()
        client = client_of(self._address, version=self.info.api_version, timeout=None)
        scissors = ConnectionCutter(client)
        client.check = scissors.check
        try:
            with cancellation.stopping(scissors.cut), cut_at_deadline(deadline, scissors):
                yield client
        except _FAILURES:
            cancellation.check()
            if scissors.is_cut:
                raise DeadlinePassed from None
            raise
        finally:
            scissors.close()
            client.close()
        cancellation.check()
        if scissors.is_cut:
            raise DeadlinePassed


def _introduced(address: Address) -> Mapping[str, Any]:
    """Return the engine's answer to the request without a version: the API versions that it offers."""
    _knock(address.host)
    with closing(client_of(address, version=DEFAULT_DOCKER_API_VERSION, timeout=_ANSWER_SECONDS)) as client:
        return cast("Mapping[str, Any]", client.version(api_version=False))


def _knock(host: str) -> None:
    """Open and close a local socket, to raise its OSError: docker-py would leave its own socket open."""
    path = str(parse_host(host)).removeprefix("http+unix://")
    if path.startswith("/"):
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(CONNECT_SECONDS)
            knocking.connect(path)


def engine_error_text(error: BaseException) -> str:
    """Return the engine's error text with its status; for other errors, the text of the exception."""
    if isinstance(error, APIError):
        said = str(error.explanation or "no explanation")[:_LONGEST_QUOTE]
        return f"{said} (status {error.status_code})"
    return str(error)[:_LONGEST_QUOTE]


STRANGE: Final = (LookupError, TypeError, ValueError, AttributeError, OverflowError)
"""Exceptions if an answer does not have the documented form."""
_STRANGE_HINT: Final = "check that a Docker Engine answers at this address: `docker version`"


def invalid_answer_reason(error: BaseException) -> str:
    """Return the reason why an answer does not have the documented form."""
    if isinstance(error, InvalidAnswer):
        return str(error)
    return f"its answer is not as the API documents it: {error!r}"[:_LONGEST_QUOTE]


def _hint(error: APIError) -> str:
    """Return the next step for an error status of the engine (Docker Engine API, responses of operations)."""
    code = error.status_code or 0
    if code >= requests.codes.server_error:
        return "read its log: `journalctl -u docker` on its machine; `docker info` shows its state"
    if code == requests.codes.not_found:
        return "it was removed, or never existed: `docker ps -a` and `docker network ls` show what exists"
    if code == requests.codes.conflict:
        return "it exists, or is in use: `docker ps -a` shows the containers; then run it again"
    return "compare the settings with `docker info`; `invoke explain configuration` lists every setting"


def _engine_info(version: Mapping[str, Any], info: Mapping[str, Any]) -> EngineInfo:
    """Return facts of the engine. A containerd store names its snapshotter in the driver's status."""
    kinds = [value for key, value in info.get("DriverStatus") or () if key == "driver-type"]
    if not re.fullmatch(r"\d{1,4}\.\d{1,4}", str(version["ApiVersion"])):
        raise ValueError("its API version is not a version number")
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
    """Return how far the engine's clock is ahead of this machine's, in milliseconds; 0 if it is unknown."""
    if not told:
        return 0
    return round((datetime.fromisoformat(told) - datetime.now(UTC)).total_seconds() * 1000)
