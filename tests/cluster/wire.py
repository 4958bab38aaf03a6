"""The API server as HTTP on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from tests.cluster import rules
from tests.cluster.server import PATH, Answer, ClusterServer, Request


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    """Head and body in one packet: else the kernel waits 40 ms between them."""
    cluster: ClusterServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        with self.cluster.lock:
            try:
                status, content, answer = self.cluster.answer(self._request(body))
            except Answer as refused:
                status, content, answer = refused.code, "application/json", json.dumps(refused.body).encode()
            except rules.Refused as wrong:
                told = Answer(422, "Invalid", str(wrong))
                status, content, answer = told.code, "application/json", json.dumps(told.body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - names of http.server

    def _request(self, body: bytes) -> Request:
        parts = urlsplit(self.path)
        self.cluster.log.append(f"{self.command} {parts.path}")
        if self.headers.get("Authorization") != f"Bearer {self.cluster.token}":
            raise Answer(401, "Unauthorized", "Unauthorized")
        found = PATH.fullmatch(parts.path)
        if found is None:
            raise Answer(404, "NotFound", f"the server could not find {parts.path}")
        group, _, _, resource, name, part, rest = found.groups()
        return Request(
            method=self.command,
            group=group or "",
            resource=resource,
            name=name or "",
            part=part or "",
            rest=rest or "",
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            content=self.headers.get("Content-Type", ""),
            body=json.loads(body) if body else None,
        )


class _Empty(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        self.send_response(200 if self.path == "/v2/" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = _serve  # noqa: N815 - names of http.server


@contextmanager
def _listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of loopback, for the block; host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def empty_registry() -> Iterator[str]:
    """Serve a registry without images: its host."""
    with _listening(_Empty) as host:
        yield host


@contextmanager
def served(cluster: ClusterServer) -> Iterator[ClusterServer]:
    """Serve the cluster, for the block."""
    with _listening(type("Handler", (_Handler,), {"cluster": cluster})) as host:
        cluster.url = f"http://{host}"
        yield cluster
