"""Which version a release has: Conventional Commits since the last one, in semver.

Sources: Semantic Versioning 2.0.0 (items 8-11) and Conventional Commits 1.0.0 (items 1, 8, 11-13). Before
1.0.0 a breaking change raises the minor part (semver item 4: anything may change).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final

from semver import Version

from release.errors import NothingToRelease, UsageError, VersionTaken
from release.frozen import Struct

FIRST: Final = Version(0, 1, 0)
"""The version of a service's first release."""

_TAG_LENGTH: Final = 128
"""OCI Distribution Specification 1.1, "Pulling manifests"."""

_HEADER = re.compile(r"(?P<type>[a-zA-Z]+)(?:\([^()\r\n]*\))?(?P<breaking>!)?: \S")
_BREAKING_FOOTER = re.compile(r"^BREAKING[ -]CHANGE: \S", re.MULTILINE)


class Bump(IntEnum):
    """How far a version moves; the largest among the commits wins."""

    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3


_BUMPS: Final = {"feat": Bump.MINOR, "fix": Bump.PATCH, "perf": Bump.PATCH, "revert": Bump.PATCH}


class Request(Struct, frozen=True, kw_only=True):
    """What the command line asks for: an exact version, a bump, or neither."""

    version: Version | None = None
    bump: Bump | None = None

    @classmethod
    def parse(cls, *, version: str | None, bump: str | None) -> Request:
        """Parse `--version` and `--bump`. Raises UsageError."""
        if version is not None and bump is not None:
            raise UsageError(
                "choose the version", f"both --version {version} and --bump {bump} are given", "give one"
            )
        return cls(
            version=parse(version) if version is not None else None,
            bump=_parse_bump(bump) if bump is not None else None,
        )


def parse(text: str) -> Version:
    """Parse a version to be released.

    Raises:
        UsageError: it is not semver, or it has build metadata (`+`), which no registry tag can hold.
    """
    try:
        version = Version.parse(text.removeprefix("v"))
    except ValueError as error:
        raise UsageError(
            f"read the version {text!r}",
            "it is not a semantic version",
            "write MAJOR.MINOR.PATCH, as 1.4.2 or 2.0.0-rc.1",
        ) from error
    if version.build is not None:
        raise UsageError(
            f"use the version {text!r}",
            f"it has build metadata (+{version.build}), and a registry tag cannot hold a '+'",
            f"use {version.replace(build=None)}",
        )
    if len(str(version)) > _TAG_LENGTH or str(version).endswith(".lock"):
        raise UsageError(
            f"use the version {text!r}",
            "a registry tag has at most 128 characters, and a git tag does not end with .lock",
            f"use {version.finalize_version()}",
        )
    return version


def _parse_bump(text: str) -> Bump:
    names = [bump.name.lower() for bump in Bump if bump is not Bump.NONE]
    if text not in names:
        raise UsageError(f"read --bump {text!r}", "it is none of " + ", ".join(names), "use --bump minor")
    return Bump[text.upper()]


def bump_of(message: str) -> Bump:
    """What one commit message asks for. A message that follows no convention asks for nothing."""
    header, _, body = message.partition("\n")
    match = _HEADER.match(header)
    if match is None:
        return Bump.NONE
    if match["breaking"] or _BREAKING_FOOTER.search(body):
        return Bump.MAJOR
    return _BUMPS.get(match["type"].lower(), Bump.NONE)


def tag_prefix(service: str, *, several: bool) -> str:
    """What stands before the version in a git tag: `v`, or `api/v` in a repository of several services."""
    return f"{service}/v" if several else "v"


def versions_in(tags: Iterable[str], prefix: str) -> list[Version]:
    """The versions among these tags, ascending; tags of other shapes are not versions."""
    found = (tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix))
    return sorted(Version.parse(text) for text in found if Version.is_valid(text))


def next_version(
    *,
    request: Request,
    last: Version | None,
    existing: Sequence[Version],
    messages: Iterable[str],
) -> Version:
    """Choose the version of the next release.

    Args:
        request: what the command line asks for.
        last: the newest version among the commit's ancestors; None before the first release.
        existing: every version of this service, on any branch and in the ledger.
        messages: commit messages since `last`, any order; read only when the request is empty.

    Raises:
        NothingToRelease: no message asks for a version.
        VersionTaken: the version asked for, or the one computed, is at or below one that exists.
    """
    if request.version is not None:
        return _requested(request.version, existing)
    if last is None and not existing and request.bump is None:
        return FIRST
    base = last if last is not None else Version(0, 0, 0)
    if request.bump is not None:
        return _above(_bumped(base, request.bump), base, existing)
    bump = max(map(bump_of, messages), default=Bump.NONE)
    if bump is Bump.NONE:
        raise NothingToRelease(
            "choose the next version",
            f"no commit since {base} is a feat, fix, perf, revert or breaking change",
            "to release all the same: `nox -s release -- --bump patch`",
        )
    # before 1.0.0 anything may change: only who asks for 1.0.0 gets it
    bump = Bump.MINOR if base.major == 0 and bump is Bump.MAJOR else bump
    return _above(_bumped(base, bump), base, existing)


def _bumped(base: Version, bump: Bump) -> Version:
    """One step on; a pre-release that announces as much already becomes final."""
    announced = Bump.MAJOR if base.minor == base.patch == 0 else Bump.MINOR if base.patch == 0 else Bump.PATCH
    if base.prerelease is not None and bump <= announced:
        return base.finalize_version()
    if bump is Bump.MAJOR:
        return base.bump_major()
    return base.bump_patch() if bump is Bump.PATCH else base.bump_minor()


def _requested(version: Version, existing: Sequence[Version]) -> Version:
    """An exact version is free, and above its own line; a new line is above every version."""
    if version in existing:
        raise VersionTaken(
            f"release version {version}",
            "this version exists with other content",
            f"a released version is never made again; `invoke show {version}` says what it is. "
            f"Leave out --version, or give --version {_after(max(existing))} or higher",
        )
    line = [known for known in existing if (known.major, known.minor) == (version.major, version.minor)]
    floor = max(line or existing, default=None)
    if floor is not None and version < floor:
        raise VersionTaken(
            f"release version {version}",
            f"{floor} exists, and a version below it would sort as older",
            f"use --version {_after(floor)} or higher; maintenance continues a line that exists",
        )
    return version


def _above(computed: Version, base: Version, existing: Sequence[Version]) -> Version:
    """Never at or below a version that exists: tags on release branches count."""
    highest = max(existing, default=None)
    if highest is None or computed > highest:
        return computed
    line = [known for known in existing if (known.major, known.minor) == (computed.major, computed.minor)]
    maintain = f", or --version {computed} to maintain {computed.major}.{computed.minor}"
    raise VersionTaken(
        f"release version {computed}, the next after {base}",
        f"{highest} exists on a branch that this commit does not contain",
        f"give --version {_after(highest)} or higher{maintain if line and computed > max(line) else ''}",
    )


def _after(version: Version) -> Version:
    """The lowest final version above this one."""
    return version.finalize_version() if version.prerelease is not None else version.bump_patch()
