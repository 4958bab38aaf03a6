"""Connections to an engine over ssh; each is an `ssh` program that runs `docker system dial-stdio`.

The `docker` command does the same. docker-py would start a program for each request, leave it running, and
allow no time limit. Here a connection is a real socket, and is reused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from release.images import http_limits
from release.programs.environment import ENGINE
from release.programs.process import Command, connect_to_program

CONNECT_SECONDS = 10


def ssh_command(address: str) -> Command:
    """Return the program that connects to the engine at `ssh://[user@]host[:port]`."""
    parts = urlsplit(address)
    words = ["ssh", "-T", "-o", f"ConnectTimeout={CONNECT_SECONDS}"]
    words += ["-l", parts.username] if parts.username else []
    words += ["-p", str(parts.port)] if parts.port else []
    argv = (*words, "--", parts.hostname or "", "docker", "system", "dial-stdio")
    return Command(argv=argv, inherits=ENGINE)


class PoolAdapter(requests.adapters.HTTPAdapter):
    """Adapter of requests that sends all requests through one pool of connections."""

    def __init__(self, pool: urllib3.HTTPConnectionPool) -> None:
        """Open nothing yet."""
        super().__init__()
        self._pool = pool

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> urllib3.HTTPConnectionPool:
        """Return the pool for any URL, because the host in the URL has no meaning."""
        return self._pool

    def request_url(self, request: requests.PreparedRequest, proxies: Mapping[str, str] | None) -> str:  # noqa: ARG002
        """Return the path alone, because there is no proxy."""
        return request.path_url

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._pool.close()
        super().close()


class Adapter(PoolAdapter):
    """Adapter of requests for connections through ssh."""

    def __init__(self, address: str) -> None:
        """Open nothing yet."""
        super().__init__(_Pool("localhost", maxsize=10, program=ssh_command(address)))


class _Connection(urllib3.connection.HTTPConnection):
    """Connection through one program, which urllib3 passes from the pool."""

    response_class = http_limits.Response

    def __init__(self, *args: Any, program: Command, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._program = program

    def connect(self) -> None:
        """Start the program.

        Closing the socket ends the program; http.client calls `close` before an answer is read.
        """
        self.sock = connect_to_program(self._program)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection
