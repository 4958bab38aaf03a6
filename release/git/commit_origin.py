"""Check that the commit of a record is in the history of the service's code.

Everyone who can push to the ledger's branch can name any commit in a record, and git fetches that commit if
the ledger's history contains it. Such a commit is not the service's. A commit of the service can be reached
from the release's git tag, the checked-out branch, or the remote's default branch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from release.config import Ledger
from release.errors import SourceError
from release.git.history import is_shallow
from release.git.source import Source
from release.records import Release
from release.versioning.version import tag_prefix


def tag_names(service: str, version: str) -> tuple[str, ...]:
    """Return the possible git tags of a release, for a repository of one service or of several."""
    return tuple(f"{tag_prefix(service, several=several)}{version}" for several in (False, True))


def foreign_commit_reason(source: Source, service: str, ledger: Ledger, release: Release) -> str | None:
    """Return why a release's commit is not known to be the service's; None if it is known.

    Args:
        source: the clone.
        service: name of the service.
        ledger: settings of the ledger, whose own branch does not count.
        release: body of the record.
    """
    commit = release.source.commit
    if release.source.tag not in tag_names(service, release.version):
        return f"the git tag {release.source.tag!r} is not a name for {release.version} of {service}"
    if source.commit(commit) is None:
        return f"the commit {commit} is not in this clone"
    places = tuple(_places(source, ledger, release.source.tag))
    if any(_contains(source, place, commit) for place in places):
        return None
    named = (
        ", ".join(place.removeprefix("refs/") for place in places) or "no branch, because none is checked out"
    )
    return f"the commit {commit} is not in the history of {named}"


def require_own_commit(
    source: Source, service: str, ledger: Ledger, release: Release, attempted: str
) -> None:
    """Raise SourceError if a release's commit is not known to be the service's."""
    why = foreign_commit_reason(source, service, ledger, release)
    if why is not None:
        remote = ledger.remote or "origin"
        unshallow = " --unshallow" if is_shallow(source) else ""
        raise SourceError(
            attempted,
            f"{why}, so nothing shows that the commit belongs to the service",
            f"git fetch{unshallow} {remote} tag {release.source.tag}, or check out the branch that has it",
        )


def _places(source: Source, ledger: Ledger, tag: str) -> Iterator[str]:
    """Return references from which the service's code is reached, if this clone has them."""
    own = {f"refs/heads/{ledger.branch}", f"refs/remotes/{ledger.remote}/{ledger.branch}"}
    symbolic = ["HEAD"] + ([f"refs/remotes/{ledger.remote}/HEAD"] if ledger.remote is not None else [])
    for name in symbolic:
        target = source.git.run("symbolic-ref", "--quiet", name)
        if target.status != 0 or target.text not in own:
            yield name
    yield f"refs/tags/{tag}"


def _contains(source: Source, place: str, commit: str) -> bool:
    """Return whether a reference exists and its history contains the commit."""
    tip = source.git.run("rev-parse", "--verify", "--quiet", f"{place}^{{commit}}")
    if tip.status != 0:
        return False
    words = ("merge-base", "--is-ancestor", commit, tip.text)
    return source.git.run(*words, env={"GIT_GRAFT_FILE": os.devnull}).status == 0
