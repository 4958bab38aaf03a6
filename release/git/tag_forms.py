"""Version tags in other forms than `v1.4.2`, as `v4.2` and `4.2.0`, with the versions they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from semver import Version

from release.git.tags import VersionTag

_WORDS: Final = ("v", "V", "ver", "Ver", "version", "Version", "rel", "release", "Release")
"""Words before the number in tags of other tools, with `-`, `_`, `.` or `/` after them."""
_WORDED: Final = re.compile(rf"(?:{'|'.join(_WORDS)})[-_./]?(?P<version>[0-9].*)")
_SERVICE: Final = r"[-_/@]"
"""Characters between the name of a service and its version, as in `api-v4.2.0` and `api@4.2.0`."""
_UNSEEN: Final = re.compile("[\u200b-\u200f\u2060\ufeff\u00a0]|[-.]$")


def version_tag_patterns(prefix: str, service: str) -> tuple[str, ...]:
    """Return the patterns of all tags that may be versions of this service (git-for-each-ref)."""
    start = prefix.removesuffix("v")
    words = [f"{start}{word}*" for word in _WORDS if word != "v"]
    own = [] if start else [f"{service}*"]
    return (f"{prefix}*", f"{start}[0-9]*", *words, *own)


def loose_tags(commits: Mapping[str, str], prefix: str, service: str) -> tuple[VersionTag, ...]:
    """Return the tags in other forms, ascending, with the version that each is read as.

    Args:
        commits: all tags, and the commits that they stand on.
        prefix: the prefix of a version tag of this service, as `v` or `api/v`.
        service: name of the service, which is a prefix in tags of other tools.
    """
    strict = [name.removeprefix(prefix) for name in commits if name.startswith(prefix)]
    exact = {Version.parse(text) for text in strict if Version.is_valid(text)}
    found: dict[Version, VersionTag] = {}
    for name, commit in sorted(commits.items()):
        version = None if _is_exact(name, prefix) else loose_version(_number(name, prefix, service))
        if version is not None and version not in exact:
            found.setdefault(version, VersionTag(name=name, version=version, commit=commit))
    return tuple(sorted(found.values(), key=lambda tag: tag.version))


def _number(name: str, prefix: str, service: str) -> str:
    """Return the number in a tag without the words before it; empty for a plain number."""
    text = _UNSEEN.sub("", name)
    if text.startswith(prefix) and text.removeprefix(prefix)[:1].isdigit():
        return text.removeprefix(prefix)
    start = prefix.removesuffix("v")
    text = text.removeprefix(start) if text.startswith(start) else ""
    if not start:
        text = re.sub(rf"^{re.escape(service)}{_SERVICE}", "", text)
    worded = _WORDED.fullmatch(text)
    text = worded["version"] if worded is not None else text
    return text if "." in text else ""


def _is_exact(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and Version.is_valid(name.removeprefix(prefix))


def loose_version(text: str) -> Version | None:
    """Return the version of `4`, `4.2`, `4.2.0`, `04.02` or `4.2rc1`; None for other text (PEP 440)."""
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
