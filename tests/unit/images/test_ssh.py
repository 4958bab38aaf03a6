"""Engines behind ssh: the program, and a connection through one."""

from __future__ import annotations

import pytest
import requests

from release.errors import ReleaseError
from release.images import ssh
from release.process import Command, dial


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ssh://prod", ["--", "prod"]),
        ("ssh://deploy@prod.example", ["-l", "deploy", "--", "prod.example"]),
        ("ssh://deploy@prod:2222", ["-l", "deploy", "-p", "2222", "--", "prod"]),
        ("ssh://[::1]:22", ["-p", "22", "--", "::1"]),
    ],
)
def test_an_address_becomes_a_program(address: str, words: list[str]) -> None:
    """User and port are options; the host stands behind `--`, so that it is never one."""
    expected = ["ssh", "-T", "-o", "ConnectTimeout=10", *words, "docker", "system", "dial-stdio"]
    assert list(ssh.command(address).argv) == expected


def test_a_program_is_talked_to_through_a_socket() -> None:
    """What is sent is its input, what is received its output; closing ends it."""
    dialled = dial(Command(argv=("cat",)))
    dialled.socket.sendall(b"hello")
    assert dialled.socket.recv(5) == b"hello"
    dialled.close()
    assert dialled.process.poll() is not None


def test_a_program_that_is_missing_is_said_to_be() -> None:
    """No ssh on this machine is no broken engine."""
    with pytest.raises(ReleaseError, match="not installed"):
        dial(Command(argv=("no-such-program-anywhere",)))


def test_requests_go_through_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program reads the request line and writes the answer."""
    script = (
        r"read -r method path rest; printf 'HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n%s' ${#path} $path"
    )
    monkeypatch.setattr(ssh, "command", lambda _: Command(argv=("sh", "-c", script)))
    with requests.Session() as session:
        session.mount("http+docker://", ssh.Adapter("ssh://prod"))
        assert session.get("http+docker://localhost/_ping", timeout=5).text == "/_ping"
