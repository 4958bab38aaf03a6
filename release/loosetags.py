"""Version tags in other forms than `v1.4.2`, as `v4.2` and `4.2.0`, and the versions that they nearly are."""

from __future__ import annotations

from collections.abc import Mapping

from semver import Version

from release.tags import VersionTag


def patterns(prefix: str) -> tuple[str, str]:
    """Return the patterns of all tags that may be versions: with the `v` of the prefix, and without."""
    return f"{prefix}*", f"{prefix.removesuffix('v')}[0-9]*"


def loose_tags(commits: Mapping[str, str], prefix: str) -> tuple[VersionTag, ...]:
    """Return the tags in other forms, ascending, with the version that each is read as.

    Args:
        commits: all tags, and the commits that they stand on.
        prefix: the prefix of a version tag of this service, as `v` or `api/v`.
    """
    strict = [name.removeprefix(prefix) for name in commits if name.startswith(prefix)]
    exact = {Version.parse(text) for text in strict if Version.is_valid(text)}
    found: dict[Version, VersionTag] = {}
    for name, commit in sorted(commits.items()):
        text = name.removeprefix(prefix) if name.startswith(prefix) else _with_a_dot(name, prefix)
        version = loose_version(text) if not _is_exact(name, prefix) else None
        if version is not None and version not in exact:
            found.setdefault(version, VersionTag(name=name, version=version, commit=commit))
    return tuple(sorted(found.values(), key=lambda tag: tag.version))


def _with_a_dot(name: str, prefix: str) -> str:
    """Return a tag without the `v` of its prefix; nothing for a plain number, which may count anything."""
    start = prefix.removesuffix("v")
    text = name.removeprefix(start) if name.startswith(start) else ""
    return text if "." in text else ""


def _is_exact(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and Version.is_valid(name.removeprefix(prefix))


def loose_version(text: str) -> Version | None:
    """Read `4`, `4.2`, `4.2.0`, `04.02` and `4.2rc1`; None for text that is no version (PEP 440)."""
    if Version.is_valid(text):
        return Version.parse(text)
    if not text[:1].isdigit():
        return None
    from packaging.version import InvalidVersion
    from packaging.version import Version as Loose

    try:
        loose = Loose(text)
    except InvalidVersion:
        return None
    major, minor, patch = (*loose.release, 0, 0)[:3]
    before = [f"{loose.pre[0]}.{loose.pre[1]}"] if loose.pre is not None else []
    before += [f"dev.{loose.dev}"] if loose.dev is not None else []
    return Version(major, minor, patch, prerelease=".".join(before) or None)
