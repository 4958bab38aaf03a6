"""Seals for files of a clone: an HMAC-SHA256 (RFC 2104) with a key that only this clone has.

The key is `.git/release/key`, which no commit and no fetch can change. A seal proves that this clone wrote
the content for this purpose. It neither hides the content nor protects against users who can read `.git`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from release.errors import ReleaseError
from release.secrets.redact import Redacted
from release.values import Struct

_BYTES: Final = 32
_MAC: Final = hashlib.sha256().digest_size * 2
"""Hexadecimal digits of a seal, which is the first line of the sealed bytes."""


class BadSeal(ValueError):
    """Error for sealed bytes that were changed, or sealed by another clone or for another purpose."""


class ClonesKey(Struct, frozen=True):
    """Key of one clone. Its bytes are never shown."""

    _secret: Redacted

    @classmethod
    def of(cls, git_dir: Path) -> ClonesKey:
        """Return the key below the common git folder; create it on first use with mode 0600.

        Raises:
            ReleaseError: the file cannot be created or read, is a link, or is accessible to other users.
        """
        path = git_dir / "release" / "key"
        try:
            if not os.path.lexists(path):
                _make(path)
            return cls(Redacted(_read(path)))
        except OSError as error:
            raise _unusable(
                path, error.strerror or str(error), "correct the owner and the mode of its folder"
            ) from error

    def seal(self, content: bytes, purpose: str) -> bytes:
        """Return the content with a seal in front; `purpose` names the kind of file, as "outbox"."""
        return self._mac(content, purpose) + b"\n" + content

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Return the content of sealed bytes. Raise BadSeal if clone, purpose or content differ."""
        mac, end, content = sealed[:_MAC], sealed[_MAC : _MAC + 1], sealed[_MAC + 1 :]
        if end != b"\n" or not hmac.compare_digest(mac, self._mac(content, purpose)):
            raise BadSeal("its seal is wrong: the file was changed, or another clone wrote it")
        return content

    def _mac(self, content: bytes, purpose: str) -> bytes:
        message = purpose.encode() + b"\0" + content
        return hmac.new(self._secret.reveal().encode(), message, hashlib.sha256).hexdigest().encode()


def _make(path: Path) -> None:
    """Write a new key. Of two processes at the same time, both read the key that was linked first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path, follow_symlinks=False)
    finally:
        fresh.unlink(missing_ok=True)


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if wrong := _wrong(os.fstat(descriptor)):
            raise _unusable(path, wrong, f"run: rm -r {path}; the next command makes a new key")
        text = os.read(descriptor, 2 * _BYTES + 1).decode("ascii", "replace")
    finally:
        os.close(descriptor)
    if len(text) != 2 * _BYTES or not set(text) <= set("0123456789abcdef"):
        raise _unusable(path, "it is damaged", f"run: rm {path}; the next command makes a new key")
    return text


def _wrong(found: os.stat_result) -> str:
    """Return why the file is no secret of this user; nothing for one that is."""
    if not stat.S_ISREG(found.st_mode):
        return "it is not a regular file"
    if found.st_uid != os.geteuid():
        return f"it belongs to another user (uid {found.st_uid})"
    if found.st_mode & 0o077:
        return f"other users may read or write it (mode {stat.S_IMODE(found.st_mode):04o})"
    return ""


def _unusable(path: Path, found: str, hint: str) -> ReleaseError:
    return ReleaseError(f"read this clone's key {path}", found, hint)
