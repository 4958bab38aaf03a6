"""What the image's command and its health check rely on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from app import server
from app.health import healthy
from app.settings import Settings


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.server.status_by_path.get(self.path) else 503)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Keep quiet."""


@pytest.fixture
def peer() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Answers) as listening:
        listening.status_by_path = {"/healthz": True}
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


def test_a_service_that_answers_200_is_healthy(peer: HTTPServer) -> None:
    assert healthy(peer.server_port)


def test_a_service_that_answers_503_is_not_healthy(peer: HTTPServer) -> None:
    peer.status_by_path = {}
    assert not healthy(peer.server_port)


def test_a_port_where_nobody_listens_is_not_healthy(peer: HTTPServer) -> None:
    with HTTPServer(("127.0.0.1", 0), _Answers) as closed:
        port = closed.server_port
    assert not healthy(port)


def test_the_start_line_is_json_that_names_the_build() -> None:
    line = json.loads(server.start_line(Settings(version="1.2.3", commit="0123abc")))
    assert (
        line.items() >= {"event": "start", "service": "api", "version": "1.2.3", "commit": "0123abc"}.items()
    )


def test_settings_that_are_absent_keep_their_defaults() -> None:
    assert Settings.read({"GREETING": "Hi"}) == Settings(version="0.0.0", commit="unknown", greeting="Hi")
