"""Versions that git tags say were released, and which image each of them names.

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
from release.reference import Digest
from release.source import Source
from release.tags import VersionTag
from release.values import Struct

By = Literal["git-tag", "commit-tag", "version-tag"]

_DIGEST: Final = re.compile(r"^\S+@(sha256:[0-9a-f]{64})$", re.MULTILINE)


class Candidate(Struct, frozen=True, kw_only=True):
    """A version that was released, as its git tag tells."""

    version: Version
    tag: VersionTag
    digest: Digest | None
    """The image, by the tag's own message; None where the message has none."""
    names: tuple[tuple[By, str], ...]
    """Tags that the image may have where images are kept, the better ones first."""


def candidates(
    source: Source, service: str, tags: tuple[VersionTag, ...], names: tuple[str, ...]
) -> Iterator[Candidate]:
    """Every version that a git tag names, ascending.

    Args:
        source: the clone.
        service: its name.
        tags: the version tags of git, here and on the remote.
        names: the tags of images.
    """
    known = frozenset(names)
    for tag in sorted(tags, key=lambda each: each.version):
        wanted: tuple[tuple[By, str], ...] = (
            ("commit-tag", f"sha-{tag.commit}"),
            ("version-tag", str(tag.version)),
        )
        yield Candidate(
            version=tag.version,
            tag=tag,
            digest=digest_in(source, service, tag),
            names=tuple((by, name) for by, name in wanted if name in known),
        )


def unknown_to_git(tags: tuple[VersionTag, ...], names: tuple[str, ...]) -> tuple[Version, ...]:
    """Versions that images are named by and no git tag, ascending."""
    versions = {Version.parse(name) for name in names if Version.is_valid(name)}
    return tuple(sorted(versions - {tag.version for tag in tags}))


def digest_in(source: Source, service: str, tag: VersionTag) -> Digest | None:
    """The digest in the message of a version's git tag; None where it has none, as one that was made by hand.

    Raises ReleaseError: the tag is not in this clone, or it stands elsewhere than on the remote.
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
