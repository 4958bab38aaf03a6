"""Releases that differ only by their lockfile."""

from __future__ import annotations

from release.git.source import Source
from release.ledger.release_diff import base_digests
from release.records import Release


def is_lock_change(source: Source, old: Release, new: Release) -> bool | None:
    """Return whether only the lockfile differs in the service's folder, with equal base images.

    Return None if a record is recovered, or if the clone lacks the tree of a commit.
    """
    before, after = old.source.tree, new.source.tree
    if old.lock is None or new.lock is None or before is None or after is None:
        return None
    if old.lock.sha256 == new.lock.sha256 or base_digests(old.bases) != base_digests(new.bases):
        return False
    folder = [] if new.build.context in ("", ".") else [new.build.context]
    answer = source.git.run("diff-tree", "-r", "--name-only", "-z", before, after, "--", *folder)
    if answer.status != 0:
        return None
    return set(filter(None, answer.text.split("\0"))) == {new.lock.path}
