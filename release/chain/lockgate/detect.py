"""Find the lockfile of a commit, and its kind."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Final, get_args

from release.config import Lock, LockKind
from release.values import Struct

UV: Final = "uv.lock"
POETRY: Final = "poetry.lock"
PDM: Final = "pdm.lock"
PIPENV: Final = "Pipfile.lock"
PYLOCK: Final = "pylock.toml"
REQUIREMENTS: Final = "requirements.txt"

KINDS: Final[tuple[str, ...]] = get_args(LockKind)
"""Kinds with their usual file names, in order of preference."""

_PYLOCK: Final = re.compile(r"pylock(\.[^.]+)?\.toml")
_INSTALLED: Final = re.compile(
    r"(?:^|[\s\"'])(?:-r|--requirement|--requirements)(?:[\s\"',]+|=)([^\s\"',\]&;]+\.txt)"
)
"""Pattern of `pip install -r FILE` and of `["pip", "install", "-r", "FILE"]`."""


class Lockfile(Struct, frozen=True, kw_only=True):
    """A lockfile of the commit."""

    path: str
    """Path below `context`."""
    kind: str
    others: tuple[str, ...] = ()
    """Other lockfiles, which are not checked."""


class UnknownLockKind(Exception):
    """Raised if the name of a lockfile shows no kind. The text is the path."""


def lock_kind_of(path: str) -> str | None:
    """Return the kind of a lockfile by its name."""
    name = PurePosixPath(path).name
    if _PYLOCK.fullmatch(name):
        return PYLOCK
    if name in KINDS:
        return name
    return REQUIREMENTS if name.endswith(".txt") else None


def detect_lockfile(config: Lock, names: Collection[str], dockerfile: str) -> Lockfile | None:
    """Return the lockfile: the configured one, `uv.lock`, what the Dockerfile names, or the first of `KINDS`.

    Args:
        config: names the file, its kind, or neither.
        names: all committed files below `context`.
        dockerfile: the text of the Dockerfile; empty without one.

    Raises:
        UnknownKind: the configured file's name shows no kind, and `lock.kind` is not set.
    """
    if config.path is not None:
        return _configured_lockfile(config.path, config.kind, names)
    found = [
        each for each in _lockfile_candidates(names, dockerfile) if config.kind in (None, lock_kind_of(each))
    ]
    if UV not in found:
        found.sort(key=lambda each: not _is_named_in_dockerfile(each, dockerfile))
    if not found:
        return None
    kind = lock_kind_of(found[0])
    return Lockfile(path=found[0], kind=kind, others=tuple(found[1:])) if kind is not None else None


def _configured_lockfile(path: str, kind: str | None, names: Collection[str]) -> Lockfile | None:
    known = kind or lock_kind_of(path)
    if known is None:
        raise UnknownLockKind(path)
    return Lockfile(path=path, kind=known) if path in names else None


def _lockfile_candidates(names: Collection[str], dockerfile: str) -> Iterator[str]:
    yield from (name for name in KINDS[:-1] if name in names)
    installed = list(dict.fromkeys(_requirements_in_dockerfile(names, dockerfile)))
    if REQUIREMENTS in names and (REQUIREMENTS in installed or not installed):
        yield REQUIREMENTS
    elif installed:
        yield installed[0]


def _requirements_in_dockerfile(names: Collection[str], dockerfile: str) -> Iterator[str]:
    """Return the requirements files that the Dockerfile installs, by the end of their paths."""
    for match in _INSTALLED.finditer(dockerfile):
        parts = PurePosixPath(match[1]).parts
        ends = (posixpath.join(*parts[start:]) for start in range(len(parts)))
        found = next((end for end in ends if end in names), None)
        if found is not None:
            yield found


def _is_named_in_dockerfile(path: str, dockerfile: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(PurePosixPath(path).name)}(?![\w-])", dockerfile) is not None
