"""One request: its header fields, its end, and what is told of a wrong answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from pydantic import ValidationError

from release.errors import Cancelled
from release.network import probe as asking
from release.network.probe import Answer, ask, one_line_text
from release.programs.cancellation import Cancellation
from release.runspec import Probe

PROBE = Probe(port=8000, path="/healthz")

Handle = Callable[[socket.socket, bytes], None]


@contextmanager
def serving(handle: Handle) -> Iterator[tuple[int, list[bytes]]]:
    """A server that hands each connection and its request over; its port, and the requests."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(20)
                    requests.append(connection.recv(65536))
                    handle(connection, requests[-1])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], requests
        server.close()
        thread.join(20)
    assert not thread.is_alive(), "the connection was closed"


def sending(content: bytes) -> Handle:
    return lambda connection, _: connection.sendall(content)


def answer(content: bytes, probe: Probe = PROBE) -> Answer:
    with serving(sending(content)) as (port, _):
        return ask(probe, "127.0.0.1", port)


def drip(begin: bytes, part: bytes, pause: float = 0.05) -> Handle:
    """Send the begin, then a part again and again, until the other side hangs up."""

    def handle(connection: socket.socket, _: bytes) -> None:
        connection.sendall(begin)
        while True:
            connection.sendall(part)
            time.sleep(pause)

    return handle


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: yes\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
@pytest.mark.attack(
    "a release answers its probe a byte each half second",
    "the whole request has one end, and reads are short so that a signal is heard",
)
def test_a_request_ends_however_slowly_its_answer_comes(
    begin: bytes, part: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the status line, in the head, in a header field without end."""
    monkeypatch.setattr(asking, "REQUEST_SECONDS", 0.5)
    with serving(drip(begin, part)) as (port, _):
        found = ask(PROBE, "127.0.0.1", port)
    assert (found.status, found.text[:10]) == (None, "no answer:")


@pytest.mark.attack(
    "a release answers its probe without end",
    "the head of an answer has a limit of bytes, and its body is read for a few of them",
)
def test_an_answer_has_a_size() -> None:
    """A head that is too long is no answer; a body without end is not read."""
    head = b"HTTP/1.1 200 OK\r\n" + b"X-Pad: " + b"x" * 60_000 + b"\r\n"
    endless = head + b"".join(b"X-%d: " % number + b"x" * 60_000 + b"\r\n" for number in range(90))
    with serving(sending(endless)) as (port, _):
        found = ask(PROBE, "127.0.0.1", port)
    assert found.text == "no answer: the answer is longer than 256 KiB"
    with serving(drip(b"HTTP/1.1 500 Oh\r\n\r\n", b"no " * 20_000, 0)) as (port, _):
        found = ask(PROBE, "127.0.0.1", port)
    assert (found.status, found.body[:5], len(found.body) < 200) == (500, "no no", True)


def test_a_wrong_answer_without_its_body_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The body is not waited for."""
    monkeypatch.setattr(asking, "_BODY_SECONDS", 0.1)
    held = threading.Event()
    begin = b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\n"

    def handle(connection: socket.socket, _: bytes) -> None:
        connection.sendall(begin)
        held.wait(20)

    with serving(handle) as (port, _):
        found = ask(PROBE, "127.0.0.1", port)
        held.set()
    assert (found.text, found.body) == ("503 Busy", "")


@pytest.mark.attack(
    "a release holds its probe open while an operator presses Ctrl-C",
    "every wait for an answer checks several times a second if it was cancelled",
)
def test_a_signal_ends_the_wait_for_an_answer() -> None:
    """At the next slice, not at the end of the request."""
    cancellation = Cancellation()
    with serving(drip(b"", b"H")) as (port, requests):

        def check() -> None:
            if requests:
                cancellation.request("SIGINT arrived")
            cancellation.check()

        with pytest.raises(Cancelled):
            ask(PROBE, "127.0.0.1", port, check=check)


@pytest.mark.parametrize(
    ("settings", "lines", "absent"),
    [
        ({}, [b"Host: 127.0.0.1:", b"User-Agent: release-probe"], []),
        ({"host": "api.example"}, [b"Host: api.example\r\n"], [b"127.0.0.1"]),
        (
            {"headers": {"X-Forwarded-Proto": "https", "user-agent": "mine"}},
            [b"X-Forwarded-Proto: https\r\n", b"user-agent: mine\r\n", b"Host: 127.0.0.1:"],
            [b"release-probe"],
        ),
    ],
)
def test_a_probe_may_name_its_host_and_header_fields(
    settings: dict[str, object], lines: list[bytes], absent: list[bytes]
) -> None:
    """Each once; without them the address that is asked is the host."""
    made = Probe.model_validate({"port": 8000, "path": "/healthz", **settings})
    with serving(sending(b"HTTP/1.1 200 OK\r\n\r\n")) as (port, requests):
        assert ask(made, "127.0.0.1", port).satisfies(made)
    (request,) = requests
    assert request.startswith(b"GET /healthz HTTP/1.1\r\n")
    assert all(line in request for line in lines)
    assert not any(line in request for line in absent)
    assert request.lower().count(b"\nhost:") == request.lower().count(b"\nuser-agent:") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "a b"},
        {"host": "a\r\nX: y"},
        {"headers": {"Host": "api.example"}},
        {"headers": {"Transfer-Encoding": "chunked"}},
        {"headers": {"X Y": "1"}},
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"X": "1", "x": "2"}},
    ],
)
def test_a_header_field_cannot_make_another_request(wrong: dict[str, object]) -> None:
    """No line ends, no framing, no field twice."""
    with pytest.raises(ValidationError):
        Probe.model_validate({"port": 8000, **wrong})


def test_redirects_are_answers() -> None:
    """They are not followed; where they lead is told."""
    found = answer(b"HTTP/1.1 301 Moved\r\nLocation: https://api.example/\r\nContent-Length: 0\r\n\r\n")
    assert (found.status, found.whole) == (301, "301 Moved to https://api.example/")


def test_a_wrong_answer_brings_its_first_words() -> None:
    """In one line, and without characters that command a terminal."""
    body = b"<h1>Invalid \x1b[31mHost\r\n::error::header</h1>" + b" and so on" * 100
    found = answer(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert found.whole.startswith("400 Bad Request: <h1>Invalid [31mHost ::error::header</h1> and so on")
    assert len(found.body) < 130
    chunked = b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    assert answer(chunked).body == "abc"


def test_what_is_no_http_is_told_apart_from_silence() -> None:
    """Something speaks there, in another protocol."""
    assert answer(b"SSH-2.0-OpenSSH_9.2\r\n").spoke
    assert not answer(b"").spoke
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert ask(PROBE, "127.0.0.1", port).text == "no answer: Connection refused"


def test_cleaned_text_is_one_short_line() -> None:
    """Bidirectional marks and control characters are spaces."""
    assert one_line_text("a\u202eb\x07 c\n") == "a b c"
