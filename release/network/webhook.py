"""Signed messages to webhooks: kept in the clone until they are delivered.

The signature is that of Standard Webhooks (version 1): HMAC-SHA256 over id, time and content, in Base64. A
message that cannot be delivered is tried again by the next command that ends a deployment, and by
`invoke sync`, for a week.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import requests

from release.config import Webhook
from release.errors import ReleaseError
from release.files import private
from release.files.hmac_key import BadSeal, ClonesKey
from release.files.regular import read_regular
from release.secrets.redact import Redacted
from release.text.control_characters import json_text
from release.values import Struct

_PURPOSE: Final = "webhook"
_LARGEST: Final = 256 * 1024
_MOST: Final = 200
"""Messages that wait at most; the oldest go."""
_AGE_SECONDS: Final = 7 * 86_400
_PAUSES: Final = (0.2, 1.0)
"""Seconds between the tries of one delivery."""
_OK: Final = range(200, 300)
_LATER: Final = frozenset({408, 425, 429, *range(500, 600)})
"""Statuses after which another try may succeed (RFC 9110)."""
_NAME: Final = re.compile(r"(\d{13})-([0-9a-f]{12})-([a-z0-9-]{1,40})\.json")
_PREFIX: Final = "whsec_"


class Message(Struct, frozen=True, kw_only=True):
    """Message that waits for delivery."""

    path: Path
    id: str
    hook: str
    """Name of the webhook in the configuration."""
    made: int
    """Milliseconds since 1970."""
    content: bytes

    @property
    def expired(self) -> bool:
        """Return whether the message is too old to deliver."""
        return time.time() - self.made / 1000 > _AGE_SECONDS


def keep_message(git_dir: Path, hook: str, name: str, data: Mapping[str, Any]) -> None:
    """Store a message for a webhook. Raise ReleaseError, OSError if the file cannot be written."""
    content = json_text(dict(data), indent=None).encode()
    sealed = ClonesKey.of(git_dir).seal(content, _PURPOSE)
    private.write(_folder(git_dir) / f"{int(time.time() * 1000):013d}-{name}-{hook}.json", sealed)


def waiting_messages(git_dir: Path, tell: Callable[[str], None]) -> Iterator[Message]:
    """Yield the stored messages, oldest first; remove files without this clone's seal with a warning."""
    folder = _folder(git_dir)
    names = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    for path in names[:-_MOST]:
        tell(f"{len(names)} messages wait; the oldest was given up: {path.name}")
        path.unlink(missing_ok=True)
    for path in names[-_MOST:]:
        match = _NAME.fullmatch(path.name)
        assert match is not None  # noqa: S101 - they were chosen by it
        try:
            content = ClonesKey.of(git_dir).open(read_regular(path, _LARGEST, follow=False), _PURPOSE)
        except (BadSeal, OSError, ValueError):
            tell(f"the message {path.name} was not written by this clone: it was removed, and not sent")
            path.unlink(missing_ok=True)
            continue
        yield Message(path=path, id=match[2], hook=match[3], made=int(match[1]), content=content)


def _folder(git_dir: Path) -> Path:
    return private.ensure_owned_subfolder(git_dir / "release", "webhooks")


def signature(secret: Redacted, name: str, moment: int, content: bytes) -> str:
    """Return the header `webhook-signature`. A secret with the prefix `whsec_` is Base64."""
    digest = hmac.new(_key(secret), f"{name}.{moment}.".encode() + content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _key(secret: Redacted) -> bytes:
    text = secret.reveal()
    if text.startswith(_PREFIX):
        try:
            return base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            pass
    return text.encode()


def deliver(message: Message, webhook: Webhook, secret: Redacted) -> None:
    """Send a message, with retries if the receiver may accept it later.

    Raise ReleaseError, without a secret, if the receiver did not accept the message.
    """
    attempted = f"deliver the message {message.id} to the webhook {message.hook}"
    found = ""
    for pause in (0.0, *_PAUSES):
        time.sleep(pause)
        try:
            status = _sent(message, webhook, secret)
        except requests.RequestException as error:
            found = f"{webhook.url} does not answer ({type(error).__name__})"
            continue
        if status in _OK:
            return
        found = f"{webhook.url} answered with status {status}"
        if status not in _LATER:
            break
    raise ReleaseError(attempted, found, f"check the receiver at {webhook.url}; `invoke sync` sends it again")


def _sent(message: Message, webhook: Webhook, secret: Redacted) -> int:
    """Send the message once and return the status; ignore the answer's body and redirects."""
    moment, seconds = int(time.time()), webhook.timeout / 1000
    headers = {
        "content-type": "application/json",
        "user-agent": "release-webhook",
        "webhook-id": f"msg_{message.id}_{message.hook}",
        "webhook-timestamp": str(moment),
        "webhook-signature": signature(secret, f"msg_{message.id}_{message.hook}", moment, message.content),
    }
    with requests.Session() as session:
        session.trust_env = False  # no password of a .netrc
        session.proxies.update(requests.utils.get_environ_proxies(webhook.url))
        answer = session.post(
            webhook.url,
            data=message.content,
            headers=headers,
            timeout=(seconds, seconds),
            allow_redirects=False,
            stream=True,
        )
        with answer:
            return answer.status_code
