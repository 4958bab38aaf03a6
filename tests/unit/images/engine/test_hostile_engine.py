"""An engine, or something at its address, that answers anything: each answer has its limits."""
# ruff: noqa: SIM117 - a server around its client

from __future__ import annotations

import gzip
import itertools
import json
import struct
from collections.abc import Callable, Iterable, Iterator

import pytest

from release.errors import Cancelled, EngineError
from release.images.engine import Engine, containers
from release.images.engine import client as limits
from release.images.engine.answer_stream import LONGEST_MESSAGE, frame_payloads, parse_transfer_messages
from release.images.engine.transfers import MOST_PARTS
from release.programs.cancellation import Cancellation
from release.reference import Digest, Repository
from tests.unit.images.hostile import Hostile, attacking, whole

VERSION = {"ApiVersion": "1.45", "Version": "26.1", "Os": "linux", "Arch": "amd64"}
INFO = {"Name": "here", "DriverStatus": []}
ENDLESS_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MEGABYTE = b"x" * 1_000_000
IMAGE = Digest.of(b"")
QUESTIONS: dict[str, Callable[[Engine], object]] = {
    "a state": lambda engine: engine.state("web"),
    "containers": lambda engine: engine.containers({"a": "b"}),
    "publishers": lambda engine: engine.publishers(),
    "an image": lambda engine: engine.inspect(IMAGE),
    "images": lambda engine: engine.named_images(None),
    "labels": lambda engine: engine.labelled_images({"a": "b"}),
    "networks": lambda engine: engine.labelled_networks({"a": "b"}),
    "a network": lambda engine: engine.has_network("n"),
    "a volume": lambda engine: engine.has_volume("v"),
    "a start": lambda engine: engine.start("web"),
    "a program": lambda engine: engine.execute("web", ["true"], env={}, timeout=300),
    "lines": lambda engine: engine.logs("web", lines=5),
    "a file": lambda engine: engine.read_file("web", "/x"),
    "an end": lambda engine: engine.wait("web", timeout=300, cancellation=Cancellation()),
}


def after_hello(script: Callable[[str], Iterable[bytes]]) -> Callable[[str], Iterable[bytes]]:
    """An engine up to the first real question."""

    def answer(request: str) -> Iterable[bytes]:
        path = request.split()[1]
        if path.endswith("/version"):
            return [whole(json.dumps(VERSION).encode(), "Content-Type: application/json")]
        if path.endswith("/info"):
            return [whole(json.dumps(INFO).encode(), "Content-Type: application/json")]
        return script(request)

    return answer


def connected(server: Hostile) -> Engine:
    """An engine at the server's address."""
    return Engine.connect(host=f"tcp://{server.host}")


def refused(server: Hostile, ask: Callable[[Engine], object]) -> str:
    """The sentence that the question ends with; nothing if the answer was taken."""
    with connected(server) as engine:
        try:
            ask(engine)
        except TimeoutError:  # its own limit of time, for what runs in a container
            return "late"
        except EngineError as error:
            text = str(error)
            assert len(text) < 3000
            return text
    return ""


STRANGE: dict[str, object] = {
    "Id": 5, "Name": [], "Image": {}, "State": "x", "Config": {"Labels": ["a"]}, "NetworkSettings": 3,
    "Labels": ["a"], "RepoTags": 7, "Names": 5, "Ports": "x", "Created": 1, "mode": "x", "ExitCode": [],
    "StatusCode": "x", "RootFS": 5, "HostConfig": None,
}  # fmt: skip


def half() -> Iterator[bytes]:
    """An answer that is cut off."""
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
    raise ConnectionResetError


ANSWERS: dict[str, Callable[[], Iterable[bytes]]] = {
    "endless": lambda: itertools.chain([ENDLESS_HEAD], itertools.repeat(b"f4240\r\n" + MEGABYTE + b"\r\n")),
    "packed": lambda: [whole(gzip.compress(b"[" * 10_000_000), "Content-Encoding: gzip")],
    "deep": lambda: [whole(b"[" * 1_000_000)],
    "deep and closed": lambda: [whole(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)],
    "a huge number": lambda: [whole(b'[{"Id": ' + b"9" * 100_000 + b"}]")],
    "null": lambda: [whole(b"null")],
    "a text": lambda: [whole(b'"x"')],
    "a list": lambda: [whole(b"[[]]")],
    "an object": lambda: [whole(b'{"a": {}}')],
    "other types": lambda: [whole(json.dumps(STRANGE).encode())],
    "a list of other types": lambda: [whole(json.dumps([STRANGE]).encode())],
    "not UTF-8": lambda: [whole(b'{"Id": "\xff"}')],
    "an error": lambda: [whole(b'{"message": ' + b"[" * 100_000, status="500 Broken")],
    "a long error": lambda: [whole(json.dumps({"message": "m" * 1_000_000}).encode(), status="409 No")],
    "an error of another type": lambda: [whole(b'{"message": {"a": [1]}}', status="400 No")],
    "a redirect": lambda: [whole(b"", "Location: http://192.0.2.1/", status="307 There")],
    "headers": lambda: [b"HTTP/1.1 200 OK\r\nX: ", MEGABYTE, b"\r\n\r\n"],
    "half": half,
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
@pytest.mark.attack(
    "An engine, or what answers at its address, sends endless, packed, deep or strange answers",
    "Each whole answer has limits of size, depth and form; the error is one sentence",
)
def test_a_hostile_answer_is_a_sentence(
    answer: Callable[[], Iterable[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An EngineError and nothing else, for every question."""
    monkeypatch.setattr(limits, "LARGEST_ANSWER", 1_000_000)
    monkeypatch.setattr(limits, "READ_SECONDS", 5)
    monkeypatch.setattr(containers, "_LOG_MILLISECONDS", 300)
    monkeypatch.setattr(containers, "_COPY_MS", 300)
    with attacking(after_hello(lambda _request: answer())) as server:
        for ask in QUESTIONS.values():
            refused(server, ask)
        assert server.sent < 100_000_000 or answer is ANSWERS["endless"]  # last lines are read for a while


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_a_hostile_greeting_is_a_sentence(
    answer: Callable[[], Iterable[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the connection begins."""
    monkeypatch.setattr(limits, "LARGEST_ANSWER", 1_000_000)
    with attacking(lambda _request: answer()) as server, pytest.raises(EngineError):
        connected(server)


@pytest.mark.parametrize(
    "begin", [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: ", b""]
)
@pytest.mark.attack(
    "An engine sends one byte after the other",
    "A whole answer has a total time",
)
def test_an_answer_that_drips_is_given_up(begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, in and after its headers."""

    def script(_request: str) -> Iterator[bytes]:
        yield begin
        while True:
            yield server.wait()

    with attacking(after_hello(script)) as server:
        with connected(server) as engine:
            engine._client.timeout = 1
            monkeypatch.setattr(limits, "_MORE_SECONDS", 0.1)
            with pytest.raises(EngineError, match="in time"):
                engine.state("web")


@pytest.mark.attack(
    "An engine does not answer while a command waits for it",
    "A deadline and a signal end the wait before the first byte, too",
)
def test_a_wait_without_an_answer_ends() -> None:
    """The deadline; the cancellation."""
    cancellation = Cancellation()

    def silent(_request: str) -> Iterator[bytes]:
        server.is_over.wait()
        yield b""

    with attacking(after_hello(silent)) as server, connected(server) as engine:
        with pytest.raises(TimeoutError):
            engine.wait("web", timeout=200, cancellation=Cancellation())

        def hear(request: str) -> Iterator[bytes]:
            cancellation.request("interrupted")
            yield from silent(request)

        server.script = after_hello(hear)
        with pytest.raises(Cancelled):
            engine.wait("web", timeout=600_000, cancellation=cancellation)


# --- what comes in pieces


def test_messages_are_taken_apart_however_they_are_cut() -> None:
    """One a line."""
    whole_text = b'{"a": 1}\r\n\r\n{"b": 2}\n{"c": 3}'
    for size in range(1, len(whole_text)):
        chunks = [whole_text[at : at + size] for at in range(0, len(whole_text), size)]
        assert list(parse_transfer_messages(chunks)) == [{"a": 1}, {"b": 2}, {"c": 3}]


@pytest.mark.parametrize(
    "chunks",
    [itertools.repeat(MEGABYTE), [b"[1]\n"], [b"[" * 50_000 + b"\n"], [b"{"]],
    ids=["a line", "a list", "depth", "half"],
)
def test_a_message_of_another_form_is_refused(chunks: Iterable[bytes]) -> None:
    """Too long, not an object, too deep, cut off."""
    with pytest.raises(ValueError, match=r"it is|it has|a line|JSON"):
        list(parse_transfer_messages(chunks))


def test_payloads_are_given_in_pieces() -> None:
    """A frame of 4 GB is never held."""
    frame = struct.pack(">BxxxL", 1, 2**32 - 1)
    found = frame_payloads(itertools.chain([frame], itertools.repeat(MEGABYTE)))
    assert len(next(found)) == len(next(found)) == len(MEGABYTE)
    assert list(frame_payloads([struct.pack(">BxxxL", 2, 3) + b"ab", b"c" + frame[:3]])) == [b"ab", b"c"]


@pytest.mark.attack(
    "An engine reports a transfer without an end: in one line, or in new parts for ever",
    "A line has 64 KiB, a transfer 10000 parts",
)
@pytest.mark.parametrize(
    "pieces",
    [
        lambda: itertools.repeat(b"x" * LONGEST_MESSAGE),
        lambda: (b'{"id": "%d", "status": "x"}\n' % number for number in itertools.count()),
        lambda: [b'{"progressDetail": {"total": "x"}}\n'],
        lambda: [b'{"errorDetail": "x"}\n'],
    ],
    ids=["a line", "parts", "numbers", "an error"],
)
def test_a_hostile_transfer_is_refused(pieces: Callable[[], Iterable[bytes]]) -> None:
    """A pull ends with a sentence."""

    def script(_request: str) -> Iterator[bytes]:
        yield ENDLESS_HEAD
        for piece in pieces():
            yield b"%x\r\n%s\r\n" % (len(piece), piece)
        yield b"0\r\n\r\n"

    reference = Repository("127.0.0.1:9/acme/api").at(IMAGE)
    with attacking(after_hello(script)) as server, connected(server) as engine:
        with pytest.raises(EngineError):
            engine.pull(reference, lambda _come, _known: None)
    assert MOST_PARTS == 10_000
