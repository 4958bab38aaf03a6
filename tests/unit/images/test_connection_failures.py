"""Why a connection failed, from the types of what was raised."""

from __future__ import annotations

import socket
import ssl

import pytest
import requests
import urllib3

from release.images import connection_failures


def caused(cause: BaseException) -> BaseException:
    """The cause, wrapped as requests wraps it."""
    outer = requests.ConnectionError("it did not work")
    outer.__cause__ = cause
    return outer


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (FileNotFoundError(2, "x"), "the socket does not exist"),
        (PermissionError(13, "x"), "no permission"),
        (ConnectionRefusedError(111, "x"), "connection refused"),
        (socket.gaierror(-2, "x"), "name is not known"),
        (ssl.SSLCertVerificationError("x"), "does not trust"),
        (ssl.SSLError("x"), "TLS"),
        (TimeoutError("x"), "in time"),
        (ConnectionResetError(104, "x"), "closed the connection"),
    ],
)
def test_the_cause_is_found_inside(cause: BaseException, expected: str) -> None:
    """However deep it lies, its type decides."""
    assert expected in connection_failures.failure_text(caused(cause))


def test_a_reason_that_is_only_held_is_found() -> None:
    """urllib3 keeps the cause in `reason`, requests in its arguments."""
    pool = urllib3.HTTPConnectionPool("localhost")
    held = urllib3.exceptions.MaxRetryError(pool, "/", ConnectionRefusedError(111, "x"))
    assert (
        connection_failures.find_cause(requests.ConnectionError(held), ConnectionRefusedError) is held.reason
    )


def test_what_is_unknown_says_its_own_words() -> None:
    """Nothing is guessed."""
    assert connection_failures.failure_text(OSError("the moon is full")) == "the moon is full"


def test_exceptions_that_hold_each_other_end() -> None:
    """A circle is walked once."""
    one, two = ValueError("one"), ValueError("two")
    one.args, two.args = (two,), (one,)
    assert connection_failures.find_cause(one, KeyError) is None
