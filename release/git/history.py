"""History of a commit: messages, last version, and missing parts in a shallow clone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from release.errors import SourceError
from release.git.runner import FETCH_SECONDS
from release.git.source import Source, refuse_option, repository_path
from release.git.tags import VersionTag
from release.versioning.conventional_commits import Message

WHOLE_DEPTH: Final = 2**31 - 2
"""Depth for all of a history. With one more, as `--unshallow` says it, git completes every branch."""

_EMPTY_LINES: Final = re.compile(r"\A(?:[ \t\v\f\r]*\n)+")
"""Lines before a subject: git leaves them out where it shows one."""


def is_shallow(source: Source) -> bool:
    """Return whether the history of HEAD is incomplete."""
    answer = source.ask("find out if the clone is shallow", "rev-parse", "--is-shallow-repository")
    if answer.text != "true":
        return False
    listed = source.git_dir / "shallow"
    cut = set(listed.read_text(encoding="ascii").split()) if listed.is_file() else set()
    oldest = source.git.run("rev-list", "--max-parents=0", "HEAD")
    return oldest.status != 0 or not cut.isdisjoint(oldest.text.split())


def roots(source: Source) -> frozenset[str]:
    """Return the first commits of HEAD's history; none in a shallow clone."""
    if is_shallow(source):
        return frozenset()
    answer = source.git.run("rev-list", "--max-parents=0", "HEAD")
    return frozenset(answer.text.split()) if answer.status == 0 else frozenset()


def deepen(source: Source, remote: str) -> None:
    """Fetch the missing history and all tags of a shallow clone.

    Raise SourceError with the command to use.
    """
    is_cut = is_shallow(source)
    depth = [f"--depth={WHOLE_DEPTH}"] if is_cut else []
    fetch = ("fetch", "--quiet", "--no-recurse-submodules", "--no-auto-maintenance", "--tags", *depth)
    remote = refuse_option(remote)
    # a pull request's commit is on no branch: ask for it by id; servers of old protocols refuse that
    answer = source.git.run(*fetch, remote, source.head().id, timeout=FETCH_SECONDS)
    if answer.status != 0:
        answer = source.git.run(*fetch, remote, timeout=FETCH_SECONDS)
    if answer.status != 0:
        command = " ".join(["git fetch --tags", *(["--unshallow"] if is_cut else []), remote])
        raise SourceError(f"fetch the missing history from {remote}", answer.words, f"run: {command}")


def read_messages(
    source: Source, commit: str, *, since: str | None, paths: Sequence[str]
) -> Iterator[Message]:
    """Yield messages of commits after `since` that touch one of the paths, newest first."""
    places = [repository_path(path) for path in paths]
    answer = source.ask(
        f"read the commit messages up to {commit}",
        *("log", "-z", "--topo-order", "--no-show-signature", "--encoding=UTF-8", "--format=%H%n%B"),
        refuse_option(commit),
        *([f"^{refuse_option(since)}"] if since is not None else []),
        *("--", *(places if all(places) else [])),
    )
    pairs = (record.partition("\n") for record in answer.records)
    return (Message(id=oid, text=_EMPTY_LINES.sub("", text)) for oid, _, text in pairs)


def last_version(source: Source, commit: str, tags: tuple[VersionTag, ...]) -> VersionTag | None:
    """Return the highest of these tags on the commit or its ancestors; None if there is none."""
    ascending = sorted(tags, key=lambda tag: tag.version)
    if not ascending:
        return None
    standing = {tag.commit: tag for tag in ascending}
    found: VersionTag | None = None
    for ancestor in _ancestors(source, commit):
        tag = standing.get(ancestor)
        if tag is not None and (found is None or tag.version > found.version):
            found = tag
            if tag is ascending[-1]:
                break  # mostly the first tag that is met; a higher one elsewhere costs the whole walk
    return found


def _ancestors(source: Source, commit: str) -> Iterator[str]:
    """Return the ids of the commit and its ancestors."""
    with source.git.streaming("rev-list", refuse_option(commit), "--") as stream:
        yield from (line.decode().rstrip("\n") for line in stream.out)
        status, words = stream.end()
    if status != 0:
        raise SourceError(f"list the ancestors of {commit}", words, "check the repository: git fsck")
