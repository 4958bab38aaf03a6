"""Passwords in addresses of git remotes: in no command line, no message and no record."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from release.git.remote_passwords import Login, login_environment, mask_logins, strip_logins
from release.git.source import Source, public_address
from tests.unit.repository import Repository

USER, PASSWORD = "ada", "goldfinch-p%40ss"  # a word of its own: other tests run programs beside these
LOGIN = base64.b64encode(b"ada:goldfinch-p@ss").decode()


class Server(SimpleHTTPRequestHandler):
    """A git server of the old protocol for who logs in; it looks at the command lines of this machine."""

    seen: list[str]

    def do_GET(self) -> None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                self.seen.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        if self.headers.get("Authorization") == f"Basic {LOGIN}":
            super().do_GET()
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """`host:port/path` of a repository, and the command lines that were seen while it was asked."""
    origin = Repository.init(tmp_path / "www" / "origin")
    origin.commit("feat: start")
    origin.git("tag", "v1.0.0")
    origin.git("update-server-info")
    handler = type("Handler", (Server,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tmp_path / "www"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}/origin/.git", handler.seen  # type: ignore[attr-defined]
        server.shutdown()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("no_proxy", "*")
    return Repository.init(tmp_path / "here")


def _in_the_remote(here: Repository, place: str) -> str:
    here.git("remote", "add", "origin", f"http://{USER}:{PASSWORD}@{place}")
    return "origin"


def _in_a_rule(here: Repository, place: str) -> str:
    """As jobs in CI do it."""
    host = place.partition("/")[0]
    here.git("remote", "add", "origin", f"http://{place}")
    here.git("config", f"url.http://{USER}:{PASSWORD}@{host}/.insteadOf", f"http://{host}/")
    return "origin"


def _in_the_argument(here: Repository, place: str) -> str:
    return f"http://{USER}:{PASSWORD}@{place}"


def _in_both(here: Repository, place: str) -> str:
    _in_a_rule(here, place)
    return _in_the_argument(here, place)


@pytest.mark.parametrize("configure", [_in_the_remote, _in_a_rule, _in_the_argument, _in_both])
@pytest.mark.attack(
    "Another local user lists the programs that run, while git talks to a remote with a password",
    "Addresses go to git without login; git asks a helper that reads the login from git's own environment",
)
def test_no_command_line_has_the_password(
    here: Repository, served: tuple[str, list[str]], configure: object
) -> None:
    """Neither git's nor that of its helpers; the server gets the login all the same."""
    place, seen = served
    remote = configure(here, place)  # type: ignore[operator]
    source = Source.open(here.root)
    try:
        listed = source.git.run("ls-remote", "--tags", remote)
        fetched = source.git.run("fetch", "--quiet", remote, "refs/heads/main:refs/remotes/origin/main")
    finally:
        source.close()
    assert (listed.status, fetched.status) == (0, 0), listed.errors + fetched.errors
    assert "v1.0.0" in listed.text
    assert [line for line in seen if "remote-http" in line]
    assert [line for line in seen if "goldfinch" in line] == []


def test_a_message_of_git_shows_no_login(here: Repository) -> None:
    """A server that is not there: git quotes the address."""
    here.git("remote", "add", "origin", f"http://{USER}:{PASSWORD}@127.0.0.1:1/x.git")
    source = Source.open(here.root)
    try:
        answer = source.git.run("ls-remote", "origin")
    finally:
        source.close()
    assert answer.status != 0
    assert "127.0.0.1" in answer.errors
    assert "goldfinch" not in answer.errors
    assert USER not in answer.errors


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at https://ada:secret@host/x and more", "at https://host/x and more"),
        ("https://ada:se@cret@host/x", "https://host/x"),
        ("https://:token@host", "https://host"),
        ("codecommit::https://ada:secret@host/x", "codecommit::https://host/x"),
        ("git@host:x/y.git", "git@host:x/y.git"),
        ("ssh://git@host:22/x", "ssh://git@host:22/x"),
    ],
)
def test_a_login_is_taken_out_of_a_text(text: str, expected: str) -> None:
    """Only where an address has a password."""
    assert mask_logins(text) == expected


def test_the_address_in_a_record_has_no_login() -> None:
    """Also behind the name of a helper program."""
    assert public_address("codecommit::https://ada:secret@host/x") == "codecommit::https://host/x"
    assert public_address("https://ada:secret@host/x?token=1") == "https://host/x"


def test_only_an_address_that_git_logs_in_to_has_a_login() -> None:
    """Names, refspecs and other schemes stay as they are."""
    words = ("push", "origin", "a:refs/heads/b", "ssh://ada:x@host/y", "https://host/x", "https://ada@host/x")
    assert strip_logins(words) == list(words)
    assert strip_logins(["https://ada:x@host:8443/y"]) == ["https://host:8443/y"]
    login = Login.of("https://ada:a%2Fb@host:8443/y")
    assert login is not None
    assert (login.live, login.user, login.password) == ("https://host:8443", "ada", "a/b")
    assert login_environment([("origin", "https://host/x")], {}) == {}


def test_settings_that_the_environment_has_for_git_stay() -> None:
    """They are counted on."""
    named = login_environment([("a", "https://ada:x@host/y")], {"GIT_CONFIG_COUNT": "2"})
    assert not {"GIT_CONFIG_KEY_0", "GIT_CONFIG_KEY_1"} & named.keys()
    assert "GIT_CONFIG_KEY_2" in named
    assert int(named["GIT_CONFIG_COUNT"]) == 2 + sum(key.startswith("GIT_CONFIG_KEY_") for key in named)
