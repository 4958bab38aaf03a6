"""What of the image store needs no engine: streams, and lists that others change meanwhile."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from release.errors import EngineError
from release.images.engine import Engine, images
from release.reference import Repository

ABOUT: Mapping[str, Any] = {
    "/version": {"ApiVersion": "1.45", "Version": "26.1.5", "Os": "linux", "Arch": "amd64"},
    "/info": {"Name": "fake"},
}


@contextmanager
def listing(failures: int) -> Iterator[Engine]:
    """An engine whose list of images answers 404 so often before it comes."""
    left = [404] * failures

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0].removeprefix("/v1.45")
            gone = bool(left) and path == "/images/json" and left.pop() == 404
            found = [{"Id": "x", "RepoTags": ["a/b:1", "a/b:2", "a/c:3"], "Labels": {"k": "v"}}]
            body = json.dumps({"message": "gone"} if gone else ABOUT.get(path, found)).encode()
            self.send_response(404 if gone else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            with Engine.connect(host=f"tcp://127.0.0.1:{server.server_address[1]}") as engine:
                yield engine
        finally:
            server.shutdown()
            serving.join()


def tags(engine: Engine) -> object:
    return engine.tags(Repository("a/b"))


def labelled(engine: Engine) -> object:
    return sorted(engine.labelled_images({"k": "v"}))


@pytest.mark.parametrize(
    ("ask", "found"), [(tags, ("1", "2")), (labelled, ["a/b:1", "a/b:2", "a/c:3"])], ids=["tags", "labels"]
)
def test_an_image_that_goes_while_images_are_listed_is_not_missed(
    ask: Callable[[Engine], object], found: object
) -> None:
    """The engine's list fails as a whole when one image vanishes; the next has all the others."""
    with listing(failures=2) as engine:
        assert ask(engine) == found


def test_an_engine_that_never_lists_its_images_is_an_error() -> None:
    """Nobody asks for ever."""
    with listing(failures=99) as engine, pytest.raises(EngineError, match="list the images of a/b"):
        tags(engine)


def test_chunks_are_read_as_a_file() -> None:
    """However the chunks are cut, empty ones among them."""
    with io.BufferedReader(images._Chunks([b"ab", b"", b"cdef", b"g"]), 3) as stream:
        assert (stream.read(1), stream.read(4), stream.read(), stream.read()) == (b"a", b"bcde", b"fg", b"")
