"""An engine behind a local socket (`unix:///var/run/docker.sock`), with guarded answers."""

from __future__ import annotations

import socket
from typing import Any

import urllib3

from release.images import guard
from release.images.ssh import PoolAdapter


def socket_adapter(path: str) -> PoolAdapter:
    """Return what requests asks for a connection to this socket; it opens as many as are in use at once."""
    return PoolAdapter(_Pool("localhost", maxsize=10, path=path))


class _Connection(urllib3.connection.HTTPConnection):
    """One connection. urllib3 passes `path` on from the pool."""

    response_class = guard.Response

    def __init__(self, *args: Any, path: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._path = path

    def connect(self) -> None:
        """Raises OSError."""
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
