"""The newest commits of a ledger, for a clone that has only these: as in a CI job.

Such a clone begins at a commit whose past it does not have. The rules' state there is read from the
commit's own tree. Where signatures are required, an allowed signer must vouch for that commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from release.errors import LedgerError, LedgerShallow
from release.git.runner import Git
from release.ledger import layout
from release.ledger.audit import LedgerState
from release.ledger.commit_stream import NO_TIME, Step
from release.ledger.contents import Contents
from release.ledger.genesis import Home, Lineage
from release.ledger.index_reader import last_record, newest_first, read_entry, record_at
from release.ledger.tree import Trees

_AHEAD: Final = 200
"""Number of newest records that are fetched in one go, of all services together."""
_LEAST_AHEAD: Final = 10


def state_at(git: Git, commit: str, home: Home, name: str) -> LedgerState:
    """Return the rules' state at a commit, read from the commit's own tree.

    Raises:
        LedgerShallow: the tree is not enough; the earlier commits are needed.
    """
    try:
        trees = Trees(git)
        contents = Contents(trees, trees.tree_of(commit), name)
        services = contents.names("index")
        placed = {service: last_record(contents, service) for service in services}
        return LedgerState(
            commit=commit,
            seconds=_seconds(git, commit),
            last={service: (seq, record) for service, (seq, record) in placed.items() if record is not None},
            lineage=_lineage(contents, commit, services, Lineage(home=home)),
            start=commit,
        )
    except LedgerShallow:
        raise
    except LedgerError as error:
        raise _unknown(commit, error.found) from error


def _lineage(contents: Contents, commit: str, services: Iterable[str], lineage: Lineage) -> Lineage:
    """Return the binding, read from the first record of each service, which has the genesis."""
    step = Step(commit=commit, parents=(), seconds=NO_TIME, changes=())
    for service in services:
        first = next(_oldest_first(contents, layout.seq_folder(service)), None)
        record = record_at(contents, first) if first is not None else None
        if record is None or record.envelope.genesis is None:
            raise _unknown(commit, f"the first record of {service} has no genesis")
        wrong = next(lineage.violations(step, record), None)
        if wrong is not None:
            raise _unknown(commit, str(wrong))
        lineage = lineage.with_record(record)
    return lineage


def _oldest_first(contents: Contents, folder: str, depth: int = 2) -> Iterator[str]:
    for name in contents.names(folder):
        path = f"{folder}/{name}"
        yield from _oldest_first(contents, path, depth - 1) if depth else (path,)


def _seconds(git: Git, commit: str) -> int:
    answer = git.run("log", "-1", "--no-show-signature", "--format=%ct", commit).text
    if not answer.isdecimal():
        raise _unknown(commit, "it has no time")
    return int(answer)


def _unknown(commit: str, found: str) -> LedgerShallow:
    return LedgerShallow(
        f"prove the ledger from the commit {commit}", found, "fetch the rest: git fetch --unshallow"
    )


def index_paths_to_prefetch(contents: Contents, services: Iterable[str]) -> tuple[str, ...]:
    """Return the index entries that a command reads soon: the first and the newest ones of each service.

    Args:
        contents: the ledger's newest tree.
        services: services of today's configuration; more entries of them are read.
    """
    ours = set(services)
    most = max(_LEAST_AHEAD, _AHEAD // max(1, len(ours)))
    return tuple(path for each in contents.names("index") for path in _entries(contents, each, most, ours))


def _entries(contents: Contents, service: str, most: int, ours: set[str]) -> Iterator[str]:
    folder = layout.seq_folder(service)
    first = next(_oldest_first(contents, folder), None)
    if first is not None:
        yield first
    newest = newest_first(contents, folder, depth=2)
    for path, _ in zip(newest, range(most if service in ours else 1), strict=False):
        yield path


def record_paths(contents: Contents, entries: Iterable[str]) -> tuple[str, ...]:
    """Return the paths of the records that these index entries name. Raises LedgerError: no id in one."""
    ids = (read_entry(contents, path) for path in entries)
    return tuple(layout.record_path(record) for record in ids if record is not None)
