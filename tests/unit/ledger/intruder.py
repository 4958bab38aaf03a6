"""Somebody who may push to the ledger's branch, and nothing else: commits made by git's own plumbing."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from release.ledger import layout
from release.records import Body, Draft, Record, parse
from tests.unit.ledger.forge import BRANCH, seconds_of
from tests.unit.repository import Repository


def commit(
    repository: Repository,
    files: Mapping[str, bytes | None],
    *,
    seconds: int | None = None,
    more_parents: Sequence[str] = (),
    instead_of: str | None = None,
    sign: bool = False,
) -> str:
    """Put a commit with these files on the ledger's branch, whatever rules it breaks.

    Args:
        repository: with the branch.
        files: contents by path; None takes a file away.
        seconds: committer time; absent: that of the commit before.
        more_parents: after the branch's tip.
        instead_of: a commit that takes the place of the tip as first parent; the tip comes second.
        sign: with git's own settings of the repository.
    """
    tip = repository.git("rev-parse", BRANCH)
    first = instead_of or tip
    at = seconds if seconds is not None else int(repository.git("log", "-1", "--format=%ct", first))
    with tempfile.TemporaryDirectory() as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index"), "GIT_COMMITTER_DATE": f"@{at} +0000"}
        repository.git("read-tree", first, env=env)
        _stage(repository, files, Path(folder), env)
        tree = repository.git("write-tree", env=env)
        parents = [first, *([tip] if instead_of else []), *more_parents]
        words = [word for parent in parents for word in ("-p", parent)]
        signature = "--gpg-sign" if sign else "--no-gpg-sign"
        made = repository.git("commit-tree", signature, "-m", "x", *words, tree, env=env)
    repository.git("update-ref", BRANCH, made)
    return made


def _stage(
    repository: Repository, files: Mapping[str, bytes | None], folder: Path, env: dict[str, str]
) -> None:
    """Put the files into the index, with two programs for all of them."""
    blobs = {path: folder / str(number) for number, path in enumerate(files) if files[path] is not None}
    for path, blob in blobs.items():
        blob.write_bytes(files[path] or b"")
    stdin = "".join(f"{blob}\n" for blob in blobs.values()).encode()
    ids = repository.git("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=stdin).split()
    lines = [f"100644 {oid}\t{path}\0" for oid, path in zip(ids, blobs, strict=True)]
    lines += [f"0 {'0' * 40}\t{path}\0" for path in files if path not in blobs]
    content = "".join(lines).encode("utf-8", "surrogateescape")
    repository.git("update-index", "-z", "--index-info", stdin=content, env=env)


def append(repository: Repository, draft: Draft[Body], *, sign: bool = False, **changes: object) -> str:
    """Append a record as a writer would, in its right place and with its index."""
    record = placed(repository, draft)
    at = seconds_of(record.envelope.recorded_at)
    tip = int(repository.git("log", "-1", "--format=%ct", BRANCH))
    return commit(repository, files_of(record), seconds=max(at, tip), sign=sign)


def placed(repository: Repository, draft: Draft[Body]) -> Record[Body]:
    """The draft as the next record of its service."""
    last = last_of(repository, draft.service)
    if last is None:
        return draft.at(1, None)
    return draft.at(last.envelope.seq + 1, last.id)


def last_of(repository: Repository, service: str) -> Record[Body] | None:
    listing = repository.git("ls-tree", "-r", "--name-only", BRANCH, f"index/{service}/seq/")
    if not listing:
        return None
    record = repository.git("cat-file", "blob", f"{BRANCH}:{listing.splitlines()[-1]}")
    path = layout.record_path(record)
    return parse(f"{repository.git('cat-file', 'blob', f'{BRANCH}:{path}')}\n".encode(), path)


def files_of(record: Record[Body]) -> dict[str, bytes]:
    entries = {path: f"{record.id}\n".encode() for path in layout.index_paths(record, lambda _: False)}
    return {layout.record_path(record.id): record.to_bytes(), **entries}
