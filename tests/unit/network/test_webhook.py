"""Signed messages: what is sent, what is tried again, and what never leaves."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from release.config import Secret, Webhook
from release.errors import ReleaseError
from release.network import webhook
from release.network.webhook import Message, deliver, keep_message, signature, waiting_messages
from release.secrets.redact import Redacted

SECRET = Redacted("s3cret")


class Receiver(http.server.ThreadingHTTPServer):
    """Answers with these statuses, one after the other, and keeps what it gets."""

    def __init__(self, *statuses: int, location: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses = list(statuses)
        self.location = location
        self.got: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver = self.server
        assert isinstance(receiver, Receiver)
        content = self.rfile.read(int(self.headers["content-length"]))
        receiver.got.append(({key.lower(): value for key, value in self.headers.items()}, content))
        self.send_response(receiver.statuses.pop(0) if len(receiver.statuses) > 1 else receiver.statuses[0])
        if receiver.location:
            self.send_header("location", receiver.location)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def receiving(*statuses: int, location: str = "") -> Iterator[Receiver]:
    with Receiver(*statuses, location=location) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        yield receiver
        receiver.shutdown()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_PAUSES", (0.0, 0.0))


def hook(url: str) -> Webhook:
    return Webhook(url=url, secret=Secret(from_env="KEY"), timeout="2s")  # type: ignore[arg-type]


def kept(tmp_path: Path, **data: Any) -> list[Message]:
    keep_message(tmp_path, "chat", "0123456789ab", data)
    return list(waiting_messages(tmp_path, pytest.fail))


def test_a_message_is_signed_as_the_standard_says(tmp_path: Path) -> None:
    """Over id, time and content; the receiver needs nothing but the secret."""
    (message,) = kept(tmp_path, version="1.0.0")
    with receiving(204) as receiver:
        deliver(message, hook(receiver.url), SECRET)
        ((headers, content),) = receiver.got
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + content
    expected = base64.b64encode(hmac.new(b"s3cret", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-id"] == "msg_0123456789ab_chat"
    assert json.loads(content) == {"version": "1.0.0"}


def test_a_known_signature() -> None:
    """The example of the specification (Standard Webhooks 1.0.0)."""
    secret = Redacted("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(("statuses", "asked"), [((503, 429, 200), 3), ((404,), 1), ((500,), 3)])
def test_only_what_may_pass_is_tried_again(tmp_path: Path, statuses: tuple[int, ...], asked: int) -> None:
    """Three times at most."""
    (message,) = kept(tmp_path)
    with receiving(*statuses) as receiver:
        if statuses[-1] == 200:
            deliver(message, hook(receiver.url), SECRET)
        else:
            with pytest.raises(ReleaseError, match=f"status {statuses[0]}"):
                deliver(message, hook(receiver.url), SECRET)
        assert len(receiver.got) == asked
        assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    """The other host would get the message."""
    (message,) = kept(tmp_path)
    with receiving(200) as other, receiving(307, location=other.url) as receiver:
        with pytest.raises(ReleaseError, match="status 307"):
            deliver(message, hook(receiver.url), SECRET)
        assert other.got == []


def test_what_this_clone_did_not_write_is_not_sent(tmp_path: Path) -> None:
    """A cache may bring files; each is removed and told."""
    (message,) = kept(tmp_path)
    message.path.write_bytes(b"forged")
    told: list[str] = []
    assert list(waiting_messages(tmp_path, told.append)) == []
    assert "was not written by this clone" in told[0]
    assert not message.path.exists()


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://chat.example/x", "another machine"),
        ("https://user:canary@chat.example/x", "has a password"),
        ("ftp://chat.example", "is not an address"),
        ("chat.example", "is not an address"),
    ],
)
def test_an_address_needs_tls_and_no_password(url: str, found: str) -> None:
    """Loopback needs none."""
    with pytest.raises(ValueError, match=found):
        hook(url)
    assert hook("http://[::1]:8080/x").url == "http://[::1]:8080/x"
