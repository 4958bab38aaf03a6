"""Secrets of a deployment are compared by a keyed fingerprint; where they come from: `release.secret`.

A fingerprint is an HMAC-SHA256 (RFC 2104), cut to 64 bits and prefixed by a short name of its key: without
the key nobody can try guesses against a record, and fingerprints of two keys are not compared at all.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from release.secrets.redact import Redacted
from release.values import Struct

KEY_VARIABLE: Final = "RELEASE_FINGERPRINT_KEY"
"""A key that a team shares, so that fingerprints made on different machines can be compared."""


class FingerprintKey(Struct, frozen=True):
    """The key of fingerprints. Its bytes are not shown."""

    _secret: Redacted

    @classmethod
    def load(cls, git_dir: Path, environ: Mapping[str, str]) -> FingerprintKey:
        """Return the team's key from the environment, else this clone's own, which is made if missing."""
        return cls(Redacted(environ.get(KEY_VARIABLE) or _own_key(git_dir / "release" / "fingerprint-key")))

    @property
    def name(self) -> str:
        """Return eight digits that name the key and reveal nothing about it."""
        return self._digest("key", "name")[:8]

    def fingerprint(self, variable: str, value: Redacted) -> str:
        """Return `<key's name>:<16 digits>`. The variable's name is included, so equal values differ."""
        return f"{self.name}:{self._digest('value', variable, value.reveal())[:16]}"

    def sealed(self, *parts: str) -> str:
        """Return 32 digits over these parts that only a holder of the key can make."""
        return self._digest("seal", *parts)[:32]

    def _digest(self, *parts: str) -> str:
        message = json.dumps(parts).encode()
        return hmac.new(self._secret.reveal().encode(), message, hashlib.sha256).hexdigest()


def _own_key(path: Path) -> str:
    """Return the key in this file. Two processes that make it at once both read the same one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(32))
        with suppress(FileExistsError):
            path.hardlink_to(fresh)
        fresh.unlink()
    return path.read_text(encoding="ascii")


Comparison = Literal["same", "rotated", "not comparable"]


def compare(before: str, after: str) -> Comparison:
    """Return the result of comparing two fingerprints; nothing if they were made with different keys."""
    if before.partition(":")[0] != after.partition(":")[0]:
        return "not comparable"
    return "same" if hmac.compare_digest(before, after) else "rotated"
