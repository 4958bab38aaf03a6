"""Engines behind ssh: the program, and a connection through one."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from release.errors import ReleaseError
from release.images import connection_failures, ssh
from release.programs.process import Command, connect_to_program


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
    assert list(ssh.ssh_command(address).argv) == expected


def test_a_program_is_talked_to_through_a_socket() -> None:
    """What is sent is its input, what is received its output; closing ends it."""
    dialled = connect_to_program(Command(argv=("cat",)))
    dialled.sendall(b"hello")
    assert dialled.recv(5) == b"hello"
    dialled.close()
    assert dialled.process.poll() is not None


def test_a_program_that_fails_has_not_said_all() -> None:
    """What came is read; its end is an error and not an end, for an answer without a length would be cut."""
    dialled = connect_to_program(Command(argv=("sh", "-c", "printf half; exit 255")))
    with dialled.makefile("rb") as stream:
        assert stream.read(4) == b"half"
        with pytest.raises(ConnectionResetError, match="the program ended with status 255"):
            stream.read()
    dialled.close()


def test_the_last_words_of_a_program_that_fails_are_in_the_error(capfd: pytest.CaptureFixture[str]) -> None:
    """Another machine's standard error is text of others: it is not printed beside the console."""
    argv = ("sh", "-c", "echo '::error::Permission denied' >&2; exit 255")
    dialled = connect_to_program(Command(argv=argv))
    with pytest.raises(ConnectionResetError) as caught, dialled.makefile("rb") as stream:
        stream.read()
    dialled.close()
    text = connection_failures.failure_text(caught.value)
    assert text == "the program ended with status 255: ::error::Permission denied"
    assert capfd.readouterr() == ("", "")


def test_a_program_that_ends_with_the_request_unread_tells_why(tmp_path: Path) -> None:
    """As ssh does when it lets nobody in: the system says no more than "connection reset"."""
    flag = tmp_path / "sent"
    script = f"until test -e {flag}; do sleep 0.01; done; echo 'Permission denied' >&2; exit 255"
    dialled = connect_to_program(Command(argv=("sh", "-c", script)))
    dialled.sendall(b"GET /_ping HTTP/1.1\r\n\r\n")
    flag.touch()
    with pytest.raises(ConnectionResetError) as caught, dialled.makefile("rb") as stream:
        stream.read()
    dialled.close()
    assert (
        connection_failures.failure_text(caught.value)
        == "the program ended with status 255: Permission denied"
    )


def test_a_program_that_ends_well_has_said_all() -> None:
    """Megabytes without a length, to the last byte."""
    dialled = connect_to_program(Command(argv=("head", "-c", "5000000", "/dev/zero")))
    with dialled.makefile("rb") as stream:
        assert len(stream.read()) == 5_000_000
    dialled.close()


UNBOUNDED = r"""
while read -r line && test ${#line} -gt 1; do :; done
printf 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n'
sleep 0.2
"""
"""A program that reads a request and begins an answer without a length."""


def test_an_answer_without_a_length_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """http.client closes the connection when the head of such an answer is there: the program goes on."""
    script = f"{UNBOUNDED}head -c 5000000 /dev/zero"
    monkeypatch.setattr(ssh, "ssh_command", lambda _: Command(argv=("sh", "-c", script)))
    with requests.Session() as session:
        session.mount("http+docker://", ssh.Adapter("ssh://prod"))
        assert len(session.get("http+docker://localhost/_ping", timeout=30).content) == 5_000_000


def test_an_answer_that_is_cut_off_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when ssh loses its server in the middle of an output."""
    script = f"{UNBOUNDED}printf half; exit 255"
    monkeypatch.setattr(ssh, "ssh_command", lambda _: Command(argv=("sh", "-c", script)))
    with requests.Session() as session:
        session.mount("http+docker://", ssh.Adapter("ssh://prod"))
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="ended with status 255"):
            session.get("http+docker://localhost/_ping", timeout=30)


def test_a_program_that_is_missing_is_said_to_be() -> None:
    """No ssh on this machine is no broken engine."""
    with pytest.raises(ReleaseError, match="not installed"):
        connect_to_program(Command(argv=("no-such-program-anywhere",)))


def test_requests_go_through_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program reads the request line and writes the answer."""
    script = (
        r"read -r method path rest; printf 'HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n%s' ${#path} $path"
    )
    monkeypatch.setattr(ssh, "ssh_command", lambda _: Command(argv=("sh", "-c", script)))
    with requests.Session() as session:
        session.mount("http+docker://", ssh.Adapter("ssh://prod"))
        assert session.get("http+docker://localhost/_ping", timeout=5).text == "/_ping"
