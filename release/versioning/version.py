"""Version of a release: the last version with the bump that its commits ask for.

Source: Semantic Versioning 2.0.0 (items 8-11). Before 1.0.0 a breaking change raises the minor part (item 4:
anything may change). `release.commits` reads the messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from semver import Version

from release.errors import NothingToRelease, UsageError, VersionTaken
from release.values import Struct
from release.versioning.commit_evaluation import Reading
from release.versioning.conventional_commits import Bump

FIRST: Final = Version(0, 1, 0)
"""The version of a service's first release."""

_TAG_LENGTH: Final = 128
"""OCI Distribution Specification 1.1, "Pulling manifests"."""


class Request(Struct, frozen=True, kw_only=True):
    """Request of the command line: an exact version, a bump, or neither."""

    version: Version | None = None
    bump: Bump | None = None

    @classmethod
    def parse(cls, *, version: str | None, bump: str | None) -> Request:
        """Parse `--version` and `--bump`. Raises UsageError."""
        if version is not None and bump is not None:
            raise UsageError(
                "choose the version",
                f"both --version {version} and --bump {bump} are given",
                "give only one of them",
            )
        return cls(
            version=parse_version(version) if version is not None else None,
            bump=_parse_bump(bump) if bump is not None else None,
        )


def parse_version(text: str) -> Version:
    """Parse a version for a release.

    Raises:
        UsageError: the text is not semver, or has build metadata (`+`), which no registry tag can hold.
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
        raise UsageError(f"read --bump {text!r}", "it is not one of " + ", ".join(names), "use --bump minor")
    return Bump[text.upper()]


def tag_prefix(service: str, *, several: bool) -> str:
    """Return the text before the version in a git tag: `v`, or `api/v` if there are several services."""
    return f"{service}/v" if several else "v"


def versions_in(tags: Iterable[str], prefix: str) -> list[Version]:
    """Return the versions among these tags, ascending; other tags are left out."""
    found = (tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix))
    return sorted(Version.parse(text) for text in found if Version.is_valid(text))


def next_version(
    *,
    request: Request,
    last: Version | None,
    existing: Sequence[Version],
    reading: Reading,
    own_line: bool = False,
) -> Version:
    """Return the version of the next release.

    Args:
        request: what the command line asks for.
        last: the newest version among the commit's ancestors; None before the first release.
        existing: every version of this service, on any branch and in the ledger.
        reading: the commit messages since `last`; used only when the request is empty.
        own_line: whether no commit since `last` is part of a higher version, so that its line may continue.

    Raises:
        NothingToRelease: no message asks for a version.
        VersionTaken: the requested or computed version is not above the existing ones.
    """
    if request.version is not None:
        return _requested(request.version, last if own_line else None, existing)
    if last is None and not existing and request.bump is None:
        return FIRST
    base = last if last is not None else Version(0, 0, 0)
    bump = request.bump if request.bump is not None else reading.bump
    if bump is Bump.NONE:
        raise _nothing(base, reading)
    if request.bump is None and base.major == 0 and bump is Bump.MAJOR:
        bump = Bump.MINOR  # before 1.0.0 anything may change: only who asks for 1.0.0 gets it
    return _above(_bumped(base, bump), base, existing, own_line=own_line)


def _nothing(base: Version, reading: Reading) -> NothingToRelease:
    found = f"no commit since {base} is a feat, fix, perf, revert or breaking change"
    if reading.cancelled:
        found += f"; {reading.cancelled} unreleased commits and reverts cancel out"
    if reading.near:
        found += f"; nearly one: {reading.near[0]}"
    hint = "to release anyway: `nox -s release -- --bump patch`"
    return NothingToRelease("choose the next version", found, hint)


def _bumped(base: Version, bump: Bump) -> Version:
    """Return the next version for a bump; a pre-release with this bump becomes final."""
    announced = Bump.MAJOR if base.minor == base.patch == 0 else Bump.MINOR if base.patch == 0 else Bump.PATCH
    if base.prerelease is not None and bump <= announced:
        return base.finalize_version()
    if bump is Bump.MAJOR:
        return base.bump_major()
    return base.bump_patch() if bump is Bump.PATCH else base.bump_minor()


def _requested(version: Version, base: Version | None, existing: Sequence[Version]) -> Version:
    """Return the requested version. Raise VersionTaken if it exists, or is not above its own line."""
    if version in existing:
        raise VersionTaken(
            f"release version {version}",
            "this version exists with other content",
            f"a released version is never made again; `invoke show {version}` prints its "
            f"record. Leave out --version, or give --version {_after(max(existing))} or higher",
        )
    if base is not None and base < version and _continues(version, base, existing):
        return version
    line = [known for known in existing if (known.major, known.minor) == (version.major, version.minor)]
    floor = max(line or existing, default=None)
    if floor is not None and version < floor:
        raise VersionTaken(
            f"release version {version}",
            f"{floor} exists, so a new version must be higher",
            f"use --version {_after(floor)} or higher; a maintenance release must continue an "
            "existing minor line",
        )
    return version


def _line(version: Version, existing: Sequence[Version]) -> list[Version]:
    """Return the versions of the same minor line, or for a new minor version of its major line."""
    digits = 2 if version.patch else 1
    return [known for known in existing if known.to_tuple()[:digits] == version.to_tuple()[:digits]]


def _continues(version: Version, base: Version, existing: Sequence[Version]) -> bool:
    """Return whether a version is the newest one of its line."""
    return version.major == base.major and all(known < version for known in _line(version, existing))


def _above(computed: Version, base: Version, existing: Sequence[Version], *, own_line: bool) -> Version:
    """Return the computed version. Raise VersionTaken if it is not above the versions of its line."""
    highest = max(existing, default=None)
    if highest is None or computed > highest:
        return computed
    if own_line and _continues(computed, base, existing):
        return computed
    attempted = f"release version {computed}, the next after {base}"
    if own_line and computed.major > base.major:
        raise VersionTaken(
            attempted,
            f"{highest} exists, and these commits hold a breaking change, which the line of "
            f"{base} cannot take",
            f"release the change from a branch that contains {highest}. If it breaks nothing on this line: "
            "`nox -s release -- --bump minor`",
        )
    line = [known for known in existing if (known.major, known.minor) == (computed.major, computed.minor)]
    maintain = f", or --version {computed} to maintain {computed.major}.{computed.minor}"
    above = max(_line(computed, existing)) if own_line else highest
    raise VersionTaken(
        attempted,
        f"{above} exists on a branch that this commit does not contain",
        f"give --version {_after(above)} or higher{maintain if line and computed > max(line) else ''}",
    )


def _after(version: Version) -> Version:
    """Return the lowest final version above this one."""
    return version.finalize_version() if version.prerelease is not None else version.bump_patch()
