"""Update a lockfile as a commit. The working copy stays unchanged until the gates have passed."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath
from typing import Final

from release.chain.building.context import write_folder
from release.chain.lockgate.age import REFRESHED
from release.chain.lockgate.gate import copy_lockfile, find_lockfile, read_committed_lockfile
from release.chain.refreshing.updating import LockfileNotUpdated, update_lockfile
from release.chain.stage_context import StageContext
from release.errors import GateFailed, SourceError
from release.git.commit_files import Committed
from release.git.source import Commit, Source
from release.ledger.release_diff import Change, changed_values
from release.values import Struct

_LISTED: Final = 60


class RefreshedLockfile(Struct, frozen=True, kw_only=True):
    """A commit with the updated lockfile, on top of the current commit."""

    commit: Commit
    path: str
    """Path of the lockfile, from the root of the repository."""
    changes: tuple[Change, ...]
    """Changed packages, by name."""


def refresh_lockfile(ctx: StageContext, packages: tuple[str, ...]) -> RefreshedLockfile:
    """Update the committed lockfile, and make a commit that is on no branch yet.

    Raises:
        GateFailed: the tool did not update the lockfile.
        SourceError: git did not make the commit.
    """
    source, plan = ctx.source, ctx.plan
    committed = Committed(source, plan.commit.id, plan.service.context)
    found = find_lockfile(ctx, committed)
    ctx.report_progress("lock", f"updating {found.path}")
    with (
        ctx.run_folder.temporary_folder("refresh") as folder,
        ctx.run_folder.temporary_folder("refresh-home") as home,
    ):
        write_folder(committed.safe(), folder)
        checking = copy_lockfile(ctx, found, committed, folder, home)
        try:
            update_lockfile(checking, found.kind, packages)
        except LockfileNotUpdated as error:
            text = f"{found.path} could not be updated: {error.found}"
            raise GateFailed("lock", text, error.hint, error.tail) from error
        content = (folder / found.path).read_bytes()
    path = (PurePosixPath(plan.service.context) / found.path).as_posix()
    tree = _write_changed_tree(source, plan.commit, path, content)
    before = read_committed_lockfile(source, plan.commit.id, plan.service)
    fresh = _create_commit(source, plan.commit, tree, _commit_message(path, ()))
    after = read_committed_lockfile(source, fresh.id, plan.service)
    changed = changed_values(before.packages if before else {}, after.packages if after else {})
    made = _create_commit(source, plan.commit, tree, _commit_message(path, changed))
    return RefreshedLockfile(commit=made, path=path, changes=changed)


def _commit_message(path: str, changed: tuple[Change, ...]) -> str:
    """Return the commit message; an update of packages is a fix for the service's users."""
    noun = "package" if len(changed) == 1 else "packages"
    subject = f"fix(deps): update {len(changed)} {noun}" if changed else "chore(deps): look for updates"
    lines = [f"- {each.key} {each.old or 'new'} → {each.new or 'removed'}" for each in changed[:_LISTED]]
    lines += [f"- and {len(changed) - _LISTED} more"] if len(changed) > _LISTED else []
    body = "\n".join(lines)
    return "\n\n".join(filter(None, (subject, body, f"{REFRESHED}: {path}"))) + "\n"


def _write_changed_tree(source: Source, commit: Commit, path: str, content: bytes) -> str:
    """Return a copy of a commit's tree with other bytes in one file. The working copy stays unchanged."""
    leaf = source.leaf(commit.id, path)
    mode = leaf.mode if leaf is not None else "100644"
    with tempfile.TemporaryDirectory() as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        oid = _run_git(source, "hash-object", "-w", "--stdin", stdin=content)
        _run_git(source, "read-tree", commit.id, env=env)
        _run_git(source, "update-index", "--cacheinfo", f"{mode},{oid},{path}", env=env)
        return _run_git(source, "write-tree", env=env)


def _create_commit(source: Source, parent: Commit, tree: str, message: str) -> Commit:
    oid = _run_git(source, "commit-tree", tree, "-p", parent.id, stdin=message.encode())
    found = source.commit(oid)
    if found is None:
        raise SourceError("commit the updated lockfile", f"git does not have {oid}", "git fsck --full")
    return found


def _run_git(source: Source, *words: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> str:
    answer = source.git.run(*words, stdin=stdin, env=env)
    if answer.status != 0:
        raise SourceError(
            f"commit the updated lockfile with git {words[0]}",
            answer.words,
            "set the name of the committer: git config user.name, git config user.email",
        )
    return answer.text.strip()


def fast_forward(source: Source, before: Commit, made: Commit) -> bool:
    """Move the branch and working copy to the commit; return False if git cannot fast-forward."""
    if source.head().id != before.id:
        return False
    return source.git.run("merge", "--ff-only", "--quiet", made.id).status == 0
