"""Commits since a version, for the choice of the next version."""

from __future__ import annotations

from collections.abc import Sequence

from release.errors import SourceError
from release.git.history import is_shallow, read_messages
from release.git.runner import FETCH_SECONDS
from release.git.source import Source
from release.git.tags import VersionTag
from release.values import replace
from release.versioning.conventional_commits import Message, reverted_commits


def messages_since(
    source: Source, commit: str, *, since: str | None, paths: Sequence[str]
) -> tuple[Message, ...]:
    """Return the messages after `since` that touch one of the paths, newest first, with reverts' targets.

    Raises:
        SourceError: git cannot list them.
    """
    found = read_messages(source, commit, since=since, paths=paths)
    return tuple(_with_targets(source, message, commit, since) for message in found)


def _with_targets(source: Source, message: Message, commit: str, since: str | None) -> Message:
    """Look up the commits that a revert names. One that is not in this history does not count."""
    undone: list[str] = []
    released = False
    for name in reverted_commits(message.text):
        answer = source.git.run("rev-list", "--parents", "--max-count=1", name, "--")
        oid, *parents = answer.text.split() if answer.status == 0 else [""]
        if not oid or not _is_before(source, oid, commit):
            continue
        if since is not None and _is_before(source, oid, since):
            released = True
            continue
        onto = next((parent for parent in parents if parent in message.text), None)
        undone += _brought(source, oid, onto) if len(parents) > 1 and onto is not None else [oid]
    return replace(message, undone=tuple(undone), released=released) if undone or released else message


def _is_before(source: Source, oid: str, commit: str) -> bool:
    return source.git.run("merge-base", "--is-ancestor", oid, commit).status == 0


def _brought(source: Source, merge: str, onto: str) -> list[str]:
    """Yield a merge and the commits that it added to one of its parents."""
    return source.git.run("rev-list", merge, f"^{onto}", "--").text.split()


def stands_on_own_line(
    source: Source, commit: str, last: VersionTag | None, tags: Sequence[VersionTag], remote: str | None
) -> bool:
    """Return whether no commit since the last version belongs to a higher version.

    Then the branch maintains the last version. Else higher versions were made on branches of this history,
    and the next version has to be above them.
    """
    higher = [tag for tag in tags if last is not None and tag.version > last.version]
    if last is None or not higher or is_shallow(source) or not _fetched(source, higher, remote):
        return False
    since = ("rev-list", "--count", commit, f"^{last.commit}")
    others = "".join(f"^{tag.commit}\n" for tag in higher).encode()
    own, alone = source.git.run(*since), source.git.run(*since, "--stdin", stdin=others)
    return own.status == alone.status == 0 and own.text == alone.text


def _fetched(source: Source, tags: Sequence[VersionTag], remote: str | None) -> bool:
    """Fetch the commits of tags that a clone of one branch lacks. Return if all are here."""
    missing = _missing(source, tags)
    if not missing or remote is None:
        return not missing
    refs = [f"refs/tags/{tag.name}" for tag in missing]
    fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
    source.git.run(*fetch, "--no-auto-maintenance", remote, *refs, timeout=FETCH_SECONDS)
    return not _missing(source, tags)


def _missing(source: Source, tags: Sequence[VersionTag]) -> list[VersionTag]:
    asked = "".join(f"{tag.commit}\n" for tag in tags).encode()
    answer = source.git.run("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked)
    if answer.status != 0:
        raise SourceError(
            "look up the commits of the version tags", answer.words, "check the repository: git fsck --full"
        )
    lines = answer.text.splitlines()
    return [tag for tag, line in zip(tags, lines, strict=True) if not line.endswith(" commit")]
