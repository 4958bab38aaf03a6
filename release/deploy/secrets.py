"""Secrets of a deployment: read when they are needed, shown to nobody, compared by a keyed fingerprint.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from release.config import Secret
from release.errors import ReleaseError
from release.process import Command, run
from release.redact import Redacted

KEY_VARIABLE: Final = "RELEASE_FINGERPRINT_KEY"
"""A key that a team shares, so that fingerprints made on different machines can be compared."""


@dataclass(frozen=True, kw_only=True)
class Unresolved:
    """A secret that could not be read: its name, and why, without a trace of any value."""

    name: str
    reason: str


def resolve(
    sources: Mapping[str, Secret], *, root: Path, environ: Mapping[str, str]
) -> tuple[dict[str, Redacted], tuple[Unresolved, ...]]:
    """Read every secret from where it comes from.

    Args:
        sources: by variable name.
        root: the folder that relative files and commands start from.
        environ: the operator's environment.

    Returns:
        The values by name, and every one that could not be read.
    """
    values: dict[str, Redacted] = {}
    missing: list[Unresolved] = []
    for name, source in sources.items():
        value = _read(name, source, root, environ)
        if isinstance(value, Unresolved):
            missing.append(value)
        else:
            values[name] = value
    return values, tuple(missing)


def _read(name: str, source: Secret, root: Path, environ: Mapping[str, str]) -> Redacted | Unresolved:
    if source.from_env is not None:
        return _of_variable(name, source.from_env, environ)
    if source.from_file is not None:
        return _of_file(name, root / source.from_file)
    return _of_command(name, source.from_command or (), root)


def _of_variable(name: str, variable: str, environ: Mapping[str, str]) -> Redacted | Unresolved:
    value = environ.get(variable)
    if not value:
        return Unresolved(
            name=name, reason=f"the variable {variable} is {'not set' if value is None else 'empty'}"
        )
    return Redacted(value)


def _of_file(name: str, path: Path) -> Redacted | Unresolved:
    try:
        value = path.read_text(encoding="utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        return Unresolved(name=name, reason=f"the file {path} is not UTF-8 text")
    except OSError as error:
        return Unresolved(name=name, reason=f"the file {path} cannot be read: {error.strerror}")
    return Redacted(value) if value else Unresolved(name=name, reason=f"the file {path} is empty")


def _of_command(name: str, words: tuple[str, ...], root: Path) -> Redacted | Unresolved:
    """Only the first word and the status are named: what such a program writes may hold the value."""
    try:
        ended = run(Command(argv=words, cwd=root), check=False, stderr="inherit")
    except ReleaseError as error:
        return Unresolved(name=name, reason=f"the command `{words[0]}` cannot be run: {error.found}")
    value = ended.output.removesuffix("\n").removesuffix("\r")
    if ended.status != 0 or not value:
        found = (
            f"ended with status {ended.status}" if ended.status else "wrote nothing to its standard output"
        )
        return Unresolved(name=name, reason=f"the command `{words[0]}` {found}")
    return Redacted(value)


@dataclass(frozen=True)
class FingerprintKey:
    """The key of fingerprints. Its bytes are not shown."""

    _secret: Redacted

    @classmethod
    def load(cls, git_dir: Path, environ: Mapping[str, str]) -> FingerprintKey:
        """The team's key from the environment, else this clone's own, made on first use with mode 0600."""
        return cls(Redacted(environ.get(KEY_VARIABLE) or _own_key(git_dir / "release" / "fingerprint-key")))

    @property
    def name(self) -> str:
        """Eight digits that name the key and tell nothing about it."""
        return self._digest("key", "name")[:8]

    def fingerprint(self, variable: str, value: Redacted) -> str:
        """`<key's name>:<16 digits>`. The variable goes in too: equal values do not show as equal."""
        return f"{self.name}:{self._digest('value', variable, value.reveal())[:16]}"

    def _digest(self, *parts: str) -> str:
        message = json.dumps(parts).encode()
        return hmac.new(self._secret.reveal().encode(), message, hashlib.sha256).hexdigest()


def _own_key(path: Path) -> str:
    """The key in this file. Two processes that make it at once both read what the first one linked."""
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
    """What two fingerprints tell: nothing when they were made with different keys."""
    if before.partition(":")[0] != after.partition(":")[0]:
        return "not comparable"
    return "same" if hmac.compare_digest(before, after) else "rotated"
