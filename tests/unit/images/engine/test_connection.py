"""Where an engine is sought, and what is said when it is not there."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest
import requests
from docker.errors import APIError

from release.errors import EngineError, EngineUnreachable, UsageError
from release.images.engine import Engine


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DOCKER_CONFIG of this test's own, and no DOCKER_ variables."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder / "config.json"


def test_an_engine_that_is_not_there_says_where_it_was_sought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address, who gave it, what was found and what to do."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    with pytest.raises(EngineUnreachable) as caught:
        Engine.connect()
    assert f"{tmp_path}/no.sock (from DOCKER_HOST)" in caught.value.attempted
    assert caught.value.found == "the socket does not exist"
    assert "start Docker" in caught.value.hint


def test_a_socket_that_nobody_listens_on_is_refused(tmp_path: Path) -> None:
    """The engine has stopped and left its socket."""
    path = tmp_path / "old.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    with pytest.raises(EngineUnreachable, match="connection refused"):
        Engine.connect(host=f"unix://{path}")


def test_an_engine_that_hangs_up_is_unreachable(tmp_path: Path) -> None:
    """Something listens, takes the question, and closes the connection without an answer."""
    path = tmp_path / "rude.sock"
    with socket.socket(socket.AF_UNIX) as rude:
        rude.bind(str(path))
        rude.listen()

        def hang_up() -> None:
            for _ in range(2):
                rude.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(EngineUnreachable, match="closed the connection"):
            Engine.connect(host=f"unix://{path}")
        thread.join()


def test_a_port_that_nobody_listens_on_is_refused() -> None:
    """The same over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(EngineUnreachable, match="connection refused"):
        Engine.connect(host=f"tcp://127.0.0.1:{port}")


def test_a_socket_that_is_forbidden_names_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permission denied is cured by joining the group `docker`."""

    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", deny)
    with pytest.raises(EngineUnreachable, match="no permission") as caught:
        Engine.connect(host=f"unix://{tmp_path}/x.sock")
    assert "group `docker`" in caught.value.hint


@pytest.mark.parametrize("host", ["carrier-pigeon://x", "tcp://", "ssh://prod/path"])
def test_an_address_that_is_none_is_a_usage_error(host: str) -> None:
    """A scheme that does not exist, or an address that lacks its host."""
    with pytest.raises(UsageError, match="write it as"):
        Engine.connect(host=host)


def test_certificates_that_are_missing_are_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DOCKER_CERT_PATH leads to nothing."""
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    with pytest.raises(UsageError, match="tcp://127"):
        Engine.connect(host="tcp://127.0.0.1:1")


def test_a_host_and_a_context_are_not_both_followed() -> None:
    """One of the two is meant."""
    with pytest.raises(UsageError, match="both the host"):
        Engine.connect(host="unix:///x", context="prod")


def test_the_current_context_of_docker_is_followed(settings: Path) -> None:
    """config.json names a context that was removed: that is said, not passed over."""
    settings.write_text(json.dumps({"currentContext": "gone"}))
    with pytest.raises(UsageError, match="'gone'"):
        Engine.connect()


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (400, "docker info"),
        (404, "it was removed"),
        (409, "it exists, or is in use"),
        (500, "journalctl -u docker"),
    ],
)
def test_every_error_that_an_engine_answers_with_has_a_hint(status: int, hint: str) -> None:
    """By its status: the wording of engines changes."""
    engine = Engine.__new__(Engine)
    vars(engine).update(host="unix:///x", _client=None)
    answer = requests.Response()
    answer.status_code = status
    with pytest.raises(EngineError, match="no such log driver") as caught, engine.talking("create it"):
        raise APIError("refused", response=answer, explanation="no such log driver")
    assert hint in caught.value.hint
