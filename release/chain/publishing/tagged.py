"""Released versions by git tag, and the image of each version.

A git tag lands together with its record, and its message has the image's digest. The tag `sha-<commit>` of
an image was made from the commit; everybody who can push images can move the version's. So they are
believed in that order, and a version that no git tag knows is not a release.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from semver import Version

from release.errors import ReleaseError
from release.git.source import Source
from release.git.tags import VersionTag
from release.reference import Digest
from release.values import Struct

By = Literal["git-tag", "commit-tag", "version-tag"]

_DIGEST: Final = re.compile(r"^\S+@(sha256:[0-9a-f]{64})$", re.MULTILINE)


class TaggedVersion(Struct, frozen=True, kw_only=True):
    """A version that a git tag names as released."""

    version: Version
    tag: VersionTag
    digest: Digest | None
    """Digest of the image, from the tag's message; None for a message without a digest."""
    names: tuple[tuple[By, str], ...]
    """Image tags that may name the image, the more reliable ones first."""


def find_tagged_versions(
    source: Source, service: str, tags: tuple[VersionTag, ...], names: tuple[str, ...]
) -> Iterator[TaggedVersion]:
    """Yield every version that a git tag names, ascending.

    Args:
        source: the clone.
        service: the name of the service.
        tags: the version tags of git, here and on the remote.
        names: the tags of images.
    """
    known = frozenset(names)
    for tag in sorted(tags, key=lambda each: each.version):
        wanted: tuple[tuple[By, str], ...] = (
            ("commit-tag", f"sha-{tag.commit}"),
            ("version-tag", str(tag.version)),
        )
        yield TaggedVersion(
            version=tag.version,
            tag=tag,
            digest=read_tag_digest(source, service, tag),
            names=tuple((by, name) for by, name in wanted if name in known),
        )


def versions_without_git_tag(tags: tuple[VersionTag, ...], names: tuple[str, ...]) -> tuple[Version, ...]:
    """Return the versions in image tags that no git tag names, ascending."""
    versions = {Version.parse(name) for name in names if Version.is_valid(name)}
    return tuple(sorted(versions - {tag.version for tag in tags}))


def read_tag_digest(source: Source, service: str, tag: VersionTag) -> Digest | None:
    """Return the digest in the message of a version's git tag; None for a tag without one.

    Raises ReleaseError: the tag is not in this clone, or points to another commit than on the remote.
    """
    found = source.git.object(f"refs/tags/{tag.name}")
    if found is None:
        raise ReleaseError(f"read the git tag {tag.name}", "this clone does not have it", "git fetch --tags")
    kind, content = found
    if kind != "tag":
        return None
    head, _, message = content.decode("utf-8", "replace").partition("\n\n")
    if f"object {tag.commit}" not in head.splitlines():
        why = f"it is on another commit in this clone than on the remote, which has {tag.commit}"
        raise ReleaseError(f"read the git tag {tag.name}", why, f"git fetch --force origin tag {tag.name}")
    digests = set(_DIGEST.findall(message))
    if message.split("\n", 1)[0] != f"{service} {tag.version}" or len(digests) != 1:
        return None
    return Digest(digests.pop())
