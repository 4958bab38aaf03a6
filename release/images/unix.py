"""Connections to an engine over a local socket (`unix:///var/run/docker.sock`), with limits."""

from __future__ import annotations

import socket
from typing import Any

import urllib3

from release.images import http_limits
from release.images.ssh import PoolAdapter


def socket_adapter(path: str) -> PoolAdapter:
    """Return an adapter of requests for this socket."""
    return PoolAdapter(_Pool("localhost", maxsize=10, path=path))


class _Connection(urllib3.connection.HTTPConnection):
    """Connection to the socket, whose path urllib3 passes from the pool."""

    response_class = http_limits.Response

    def __init__(self, *args: Any, path: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket. Raise OSError."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(self.timeout if isinstance(self.timeout, int | float) else None)
            made.connect(self._path)
        except BaseException:
            made.close()
            raise
        self.sock = made


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection
