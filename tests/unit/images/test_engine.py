"""What of the engine needs no engine: addresses, credentials, streams."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from release.errors import EngineUnreachable, UsageError
from release.images import engine
from release.images.credentials import Credentials, credentials
from release.images.engine import Engine

HOST = "registry.example:5000"


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DOCKER_CONFIG of this test's own, and no DOCKER_ variables."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder / "config.json"


# --- addresses


def test_an_engine_that_is_not_there_says_where_it_was_sought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address, who gave it, what was found and what to do."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    with pytest.raises(EngineUnreachable) as caught:
        Engine.connect()
    assert f"{tmp_path}/no.sock (from DOCKER_HOST)" in caught.value.attempted
    assert caught.value.found == "there is no such socket"
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
    with pytest.raises(EngineUnreachable, match="permission denied") as caught:
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


# --- credentials


def encoded(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def helper(folder: Path, answer: Mapping[str, str] | None) -> str:
    """A credential helper on the PATH that gives this answer, or fails."""
    program = folder / "docker-credential-tests"
    body = f"echo '{json.dumps(answer)}'" if answer is not None else "echo broken >&2; exit 1"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_no_login_is_none() -> None:
    """Without any settings there are no credentials."""
    assert credentials(HOST) is None


def test_a_login_is_found(settings: Path) -> None:
    """`docker login` without a helper writes the password into config.json."""
    settings.write_text(json.dumps({"auths": {HOST: {"auth": encoded("me", "a:b")}, "other": {}}}))
    assert credentials(HOST) == Credentials(user="me", password="a:b")
    assert credentials("other") is None


def test_an_identity_token_is_found(settings: Path) -> None:
    """Some registries give a token in place of the password."""
    settings.write_text(json.dumps({"auths": {HOST: {"identitytoken": "t0ken"}}}))
    assert credentials(HOST) == Credentials(identity_token="t0ken")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"Username": "me", "Secret": "pw"}, Credentials(user="me", password="pw")),
        ({"Username": "<token>", "Secret": "t0ken"}, Credentials(identity_token="t0ken")),
    ],
)
def test_a_helper_is_asked(
    settings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: dict[str, str],
    expected: Credentials,
) -> None:
    """credHelpers for the host; the user `<token>` means an identity token."""
    monkeypatch.setenv("PATH", helper(tmp_path, answer))
    settings.write_text(json.dumps({"credHelpers": {HOST: "tests"}}))
    assert credentials(HOST) == expected


def test_a_broken_helper_is_passed_over(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that fails or is not installed counts as empty; a login in the file still counts."""
    monkeypatch.setenv("PATH", helper(tmp_path, None))
    login = {"auths": {HOST: {"auth": encoded("me", "pw")}}}
    for store in ("tests", "not-installed"):
        settings.write_text(json.dumps({"credsStore": store}))
        assert credentials(HOST) is None
        settings.write_text(json.dumps({"credsStore": store, **login}))
        assert credentials(HOST) == Credentials(user="me", password="pw")


def test_a_damaged_login_is_a_usage_error(settings: Path) -> None:
    """It is said which file is damaged and how to write it anew, without showing what is in it."""
    settings.write_text(json.dumps({"auths": {HOST: {"auth": "!secret!"}}}))
    with pytest.raises(UsageError, match="damaged") as caught:
        credentials(HOST)
    assert "secret" not in str(caught.value)
    assert caught.value.hint == f"docker login {HOST}"


def test_credentials_are_not_shown() -> None:
    """Their text holds the user alone."""
    assert repr(Credentials(user="me", password="pw", identity_token="t0ken")) == "Credentials(user='me')"


# --- streams


def test_chunks_are_read_as_a_file() -> None:
    """However the chunks are cut, empty ones among them."""
    with io.BufferedReader(engine._Chunks([b"ab", b"", b"cdef", b"g"]), 3) as stream:
        assert (stream.read(1), stream.read(4), stream.read(), stream.read()) == (b"a", b"bcde", b"fg", b"")


def test_chunks_become_lines() -> None:
    """A line may come in parts, a character too; the last one needs no end."""
    text = "one\ntwo ü\r\nthree".encode()
    chunks = [text[:6], text[6:9], text[9:10], text[10:]]
    assert list(engine._lines(chunks)) == ["one", "two ü", "three"]
    assert list(engine._lines([])) == []


@pytest.mark.parametrize(
    "line",
    [
        {"errorDetail": {"message": "denied"}, "error": "denied"},
        {"error": "denied"},
        {"errorDetail": {"message": "denied"}},
    ],
)
def test_a_failure_inside_a_transfer_is_raised(line: dict[str, object]) -> None:
    """The engine says 200 and puts the error into the stream."""
    with pytest.raises(engine._TransferFailed, match="denied"):
        engine._drain([{"status": "Pushing"}, line])


def test_a_transfer_without_failure_is_read_to_its_end() -> None:
    """All progress is consumed."""
    progress = iter([{"status": "Pushing"}, {"status": "Pushed"}])
    engine._drain(progress)
    assert list(progress) == []
