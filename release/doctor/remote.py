"""Checks of the git remote of the ledger: permission to push, and protection of the branch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from release.deploy.core.finding import Finding, finding
from release.deploy.environment.environment import Workspace
from release.errors import LedgerRejected
from release.git.runner import ANSWER_SECONDS, Git
from release.git.source import Source
from release.ledger.address import remote_addresses

_TAG: Final = "refs/tags/release-doctor/dry-run"
_SAFE: Final = ("receive.denyNonFastForwards", "receive.denyDeletes")


def remote_findings(workspace: Workspace) -> Iterator[Finding]:
    """Yield findings on the ledger's remote; nothing if the ledger stays in this clone."""
    remote, branch = workspace.service.ledger.remote, workspace.service.ledger.branch
    if remote is None or workspace.source.remote_url(remote) is None:
        return  # the finding on the ledger says so
    yield finding("ledger: push", partial(_check_push, workspace, remote, branch))
    yield branch_protection_finding(workspace.source, remote, branch)


def _check_push(workspace: Workspace, remote: str, branch: str) -> str:
    """Ask git for a dry run of a push of the ledger and of a tag.

    Raise LedgerRejected if the server refuses.
    """
    git = workspace.source.git
    target = remote_addresses(git, remote).target
    head = git.run("rev-parse", "--verify", "--quiet", "HEAD").text
    ledger = git.run("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}").text
    references = [f"{head}:{_TAG}", *([f"{ledger}:refs/heads/{branch}"] if ledger else [])]
    words = ("push", "--dry-run", "--porcelain", "--no-verify", "--no-follow-tags", target)
    answer = git.run(*words, *references, timeout=ANSWER_SECONDS)
    if answer.status != 0:
        hint = f"check your login and rights: git push --dry-run {remote} HEAD:{_TAG}"
        raise LedgerRejected(f"push the ledger and tags to {remote}", answer.words, hint)
    return f"{remote} accepts the branch {branch} and tags, as far as a dry run shows"


def branch_protection_finding(source: Source, remote: str, branch: str) -> Finding:
    """Return a finding: whether the server refuses forced pushes, if this can be known."""
    address = source.git.run("remote", "get-url", "--push", "--", remote).text
    folder = _local_repository_folder(source.root, address)
    name = "ledger: protection"
    if folder is not None:
        return _protection_of_local_repository(source.git, folder, name)
    host = urlsplit(address).hostname or address.partition(":")[0].rpartition("@")[2]
    known = {
        "github.com": f"gh api repos/OWNER/REPOSITORY/branches/{branch}/protection",
        "gitlab.com": "glab api projects/:id/protected_branches",
    }
    hint = known.get(host, f"on the server, refuse forced pushes to {branch}, and its deletion")
    return Finding(name=name, well=True, unknown=True, found=f"{host} does not say it to git", hint=hint)


def _local_repository_folder(root: Path, address: str) -> Path | None:
    """Return the repository folder that an address names; None if it is not a local folder."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if parts.scheme or ":" in address.partition("/")[0]:
        return None
    return (root / address).resolve()


def _protection_of_local_repository(git: Git, folder: Path, name: str) -> Finding:
    answers = {
        key: git.run("-C", str(folder), "config", "--file", _git_config_command(folder), "--type=bool", key)
        for key in _SAFE
    }
    open_keys = [key for key, answer in answers.items() if answer.text != "true"]
    if not open_keys:
        return Finding(name=name, well=True, found=f"{folder} refuses forced pushes and deletions")
    mend = " && ".join(f"git -C {folder} config {key} true" for key in open_keys)
    return Finding(name=name, well=False, found=f"{folder} accepts forced pushes or deletions", hint=mend)


def _git_config_command(folder: Path) -> str:
    inner = folder / ".git"
    return str((inner if inner.is_dir() else folder) / "config")
