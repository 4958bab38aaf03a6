"""Values of single keys: names, paths, commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from release.reference import Reference, Repository
from release.scalars import Items, Matching

FILE: Final = "pyproject.toml"
ROOT: Final = "tool.release"
OWN_FILE: Final = "release.toml"
"""Holds the same tables without `tool.release`, where they are not in `FILE`."""


Slug = Annotated[
    str,
    Matching(
        r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?",
        "a name of at most 40 lower-case letters, digits and -, with no - at its ends",
    ),
]
"""A service or environment name: it becomes part of paths, container names and registry repositories."""


def _relative(text: str) -> str:
    path = Path(text)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{text!r} leads out of the repository: write a path below its root")
    return path.as_posix()


def _registry(text: str) -> str:
    try:
        Repository(f"{text}/service")
    except ValueError:
        raise ValueError(
            f"{text!r} is not a place in a registry: write host[:port][/path] in lower case, without https://"
        ) from None
    return text


def _build_cache(text: str) -> str:
    if text in ("off", "github") or text.startswith(("/", "~/")):
        return text
    try:
        named = Reference.parse(text)
    except ValueError:
        named = None
    if named is None or named.tag is None or named.digest is not None or "/" not in text:
        raise ValueError(
            f'{text!r} is not a build cache: write a tag, as "registry.example/acme/api:cache", a folder '
            'that begins with / or ~/, "github", or "off"'
        )
    return text


def _git_name(text: str) -> str:
    bad = text.startswith(("-", "/", ".")) or text.endswith(("/", ".", ".lock"))
    if bad or ".." in text or "@{" in text or any(c <= " " or c in '~^:?*[\\"\x7f' for c in text) or not text:
        raise ValueError(f"{text!r} is not a name that git allows (git check-ref-format)")
    return text


_PLAIN_PIN: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?==[0-9]+(\.[0-9]+)*")
"""As nearly all are written. Only for others `packaging` is imported: every command waits for that."""


def _pinned(text: str) -> str:
    if not (_PLAIN_PIN.fullmatch(text) or _names_one_version(text)):
        raise ValueError(f'{text!r} is not pinned: write the exact version, as "ruff==0.14.5"')
    return text


def _names_one_version(text: str) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        versions = [(item.operator, item.version) for item in Requirement(text).specifier]
    except InvalidRequirement:
        return False
    return len(versions) == 1 and versions[0][0] in ("==", "===") and not versions[0][1].endswith(".*")


def _command_line(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{text!r} cannot be split into words: {error}") from None
    if not words:
        raise ValueError("an empty command does nothing")
    return text


RelativePath = Annotated[str, AfterValidator(_relative)]
"""Path below the repository's root, or below `context` if the key's meaning names it."""

RegistryName = Annotated[str, AfterValidator(_registry)]
"""A registry's host, or a place in it: `<it>/<service>` is a repository."""

BuildCache = Annotated[str, AfterValidator(_build_cache)]
"""A place for BuildKit's cache: a tag of a registry, "github", a folder of this machine, or "off"."""

GitName = Annotated[str, AfterValidator(_git_name)]
"""The name of a branch or a remote."""

Pinned = Annotated[str, AfterValidator(_pinned)]
"""A requirement (PEP 508) with one exact version."""

CommandLine = Annotated[str, AfterValidator(_command_line)]
"""Command as one text, split into arguments as a shell does; no shell runs it."""

Arguments = Annotated[Items[str], Field(min_length=1)]
"""Command as a list of arguments; no shell runs it."""

SshForward = Annotated[
    str,
    Matching(
        r"[a-zA-Z0-9][a-zA-Z0-9_.-]*(=[^,]+)?",
        'an id for `RUN --mount=type=ssh`, as "default", or with a key or socket, as "default=~/.ssh/deploy"',
    ),
]
"""Login by ssh in a build: an agent, or a key file of the machine that builds."""
