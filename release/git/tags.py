"""Git tags in this clone and on a remote, and version tags."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from semver import Version

from release.errors import SourceError
from release.git.runner import ANSWER_SECONDS, FETCH_SECONDS
from release.git.source import Source, refuse_option
from release.values import Struct
from release.versioning.version import versions_in

_NAMES_A_DIGEST: Final = re.compile(r"\n\n\S{1,512}@sha256:[0-9a-f]{64}\s*\Z")
"""End of the message of a release's tag."""
_LOOKED_AT: Final = 20
"""Number of tags that are fetched to read their messages."""


class VersionTag(Struct, frozen=True, kw_only=True):
    """Version tag with its commit."""

    name: str
    version: Version
    commit: str


def version_tags(source: Source, prefix: str, remote: str | None) -> tuple[VersionTag, ...]:
    """Return all version tags of this clone and, if it answers, the remote; ascending by version.

    If both have a tag of one name, the remote's tag counts, because others see that one.
    """
    return by_version(all_tags(source, f"{prefix}*", remote=remote), prefix)


def all_tags(source: Source, *patterns: str, remote: str | None) -> dict[str, str]:
    """Return each tag of these patterns with its commit, from this clone and, if it answers, the remote."""
    return _local_tags(source, *patterns) | (
        _remote_tags(source, remote, *patterns) if remote is not None else {}
    )


def published_tags(source: Source, prefix: str, remote: str | None) -> dict[str, str]:
    """Return tags and commits of the remote, or of this clone without one. Raise SourceError."""
    return _local_tags(source, f"{prefix}*") if remote is None else _listed_tags(source, remote, f"{prefix}*")


def released_tag(source: Source, remote: str) -> str | None:
    """Return a git tag whose message names a released digest; None if there is none."""
    here = _local_tags(source)
    for name in sorted(_remote_tags(source, remote, "*").keys() - here.keys(), reverse=True)[:_LOOKED_AT]:
        ref = f"refs/tags/{name}"
        fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        source.git.run(*fetch, refuse_option(remote), f"{ref}:{ref}", timeout=FETCH_SECONDS)
    form = "--format=%(refname:lstrip=2)%00%(contents)%00%00"
    listed = source.ask("read the git tags", "for-each-ref", form, "refs/tags").text
    rows = (entry.strip("\n").partition("\0") for entry in listed.split("\0\0"))
    return next((name for name, _, message in rows if _NAMES_A_DIGEST.search(message)), None)


def _local_tags(source: Source, *patterns: str) -> dict[str, str]:
    answer = source.ask(
        "list the git tags",
        *("for-each-ref", "--format=%(refname) %(objecttype) %(objectname) %(*objecttype) %(*objectname)"),
        *(f"refs/tags/{pattern}" for pattern in patterns),
    )
    lines = (line.split() for line in answer.text.splitlines())
    found = {ref.removeprefix("refs/tags/"): (kinds[-2], kinds[-1]) for ref, *kinds in lines}
    commits = {name: oid for name, (kind, oid) in found.items() if kind == "commit"}
    nested = [name for name, (kind, _) in found.items() if kind == "tag"]
    return commits | {name: oid for name in nested for oid in _commit_of(source, name)}


def _commit_of(source: Source, tag: str) -> Iterator[str]:
    """Yield the commit of a tag, also of a tag on a tag; nothing if there is no commit."""
    answer = source.git.run("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}")
    if answer.status == 0:
        yield answer.text


def _remote_tags(source: Source, remote: str, *patterns: str) -> dict[str, str]:
    """Return tags of a server with their commits; none if it does not answer."""
    try:
        return _listed_tags(source, remote, *patterns)
    except SourceError:
        return {}


def _listed_tags(source: Source, remote: str, *patterns: str) -> dict[str, str]:
    refs = [f"refs/tags/{pattern}" for pattern in patterns]
    answer = source.git.run("ls-remote", "--tags", refuse_option(remote), *refs, timeout=ANSWER_SECONDS)
    if answer.status != 0:
        raise SourceError(f"list the git tags of {remote}", answer.words, f"git ls-remote --tags {remote}")
    lines = (line.split("\t") for line in answer.text.splitlines())
    # an annotated tag is listed twice; the line with ^{} comes second and names the commit
    return {name.removeprefix("refs/tags/").removesuffix("^{}"): oid for oid, name in lines}


def by_version(commits: Mapping[str, str], prefix: str) -> tuple[VersionTag, ...]:
    """Return the version tags among these tags, ascending by version."""
    tags = (
        VersionTag(name=name, version=version, commit=commit)
        for name, commit in commits.items()
        for version in versions_in([name], prefix)
    )
    return tuple(sorted(tags, key=lambda tag: tag.version))
