"""Addresses of the ledger's remote: git may fetch from one repository and push to another.

`remote.<name>.pushurl`, `url.<base>.pushInsteadOf` and `url.<base>.insteadOf` decide (git-push, git-config).
A ledger is read and written in one repository. So both addresses have to name it, as https to fetch and ssh
to push do. `remote.pushDefault`, `branch.<name>.pushRemote` and `remote.<name>.push` do not matter, because
every push names the remote and the references.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from release.errors import LedgerError, LedgerUnreachable
from release.git.runner import ANSWER_SECONDS, Git
from release.git.source import public_address
from release.values import Struct

_LOOKS: Final = 3
_PAUSE_SECONDS: Final = 1.0
_SCP = re.compile(r"(?:[^@/:]+@)?(?P<host>\[[^\]]+\]|[^/:]+):(?P<path>.*)", re.DOTALL)


class RepositoryAddress(Struct, frozen=True, kw_only=True):
    """A repository by its address: host and path, without scheme, user, port and `.git`."""

    host: str
    """Empty for a folder of this machine."""
    path: tuple[str, ...]

    @classmethod
    def parse(cls, address: str, folder: Path) -> RepositoryAddress:
        """Parse an address as git does (git-fetch, "GIT URLS"); a relative path is below `folder`."""
        if "://" in address:
            parts = urlsplit(address)
            host, path = parts.hostname or "", unquote(parts.path)
        elif (match := _SCP.fullmatch(address)) is not None:
            host, path = match["host"], match["path"]
        else:
            host, path = "", address
        if not host:
            path = os.path.realpath(folder / path)
        names = [name for name in path.split("/") if name not in ("", "~", ".")]
        last = [names[-1].removesuffix(".git")] if names and names[-1] != ".git" else []
        return cls(host=host.lower(), path=(*names[:-1], *last))

    def may_be(self, other: RepositoryAddress) -> bool:
        """Return whether two addresses can name the same repository.

        On one host the path of one is the end of the other's, because servers differ in the folder that they
        serve. On two hosts the paths are equal, because a host may have several names.
        """
        if not self.path or not other.path:
            return False
        if self.host and other.host:
            mine, theirs = ([name.lower() for name in each.path] for each in (self, other))
        else:
            mine, theirs = list(self.path), list(other.path)
        if mine == theirs:
            return True
        same_host = self.host == other.host != ""
        shorter = min(len(mine), len(theirs))
        return (same_host or bool(self.host) != bool(other.host)) and mine[-shorter:] == theirs[-shorter:]


class Addresses(Struct, frozen=True, kw_only=True):
    """Address from which git fetches a remote, and address to which git pushes the ledger."""

    remote: str
    read: str
    pushed: str
    several: bool
    """True: git pushes to several addresses, but the ledger goes to `pushed` only."""

    @property
    def target(self) -> str:
        """Return the repository argument for `git push`."""
        return self.pushed if self.several else self.remote


def remote_addresses(git: Git, remote: str) -> Addresses:
    """Return the addresses of a remote. Raise LedgerError if git pushes to another repository."""
    read, pushed = _urls(git, remote), _urls(git, remote, "--push")
    if not read or not pushed or pushed == read[:1]:
        return Addresses(remote=remote, read=remote, pushed=remote, several=False)
    place = RepositoryAddress.parse(read[0], git.root)
    same = [
        each for each in pushed if each == read[0] or RepositoryAddress.parse(each, git.root).may_be(place)
    ]
    if not same:
        raise _elsewhere(remote, read[0], pushed)
    return Addresses(remote=remote, read=read[0], pushed=same[0], several=len(pushed) > 1)


def check_addresses(git: Git, remote: str, ref: str) -> None:
    """Check that both addresses of a remote have the same ledger.

    Raises:
        LedgerError: the addresses belong to different repositories.
        LedgerUnreachable: the address for pushing does not answer.
    """
    found = remote_addresses(git, remote)
    if found.read == found.pushed:
        return
    for look in range(_LOOKS):
        if _tip(git, remote, found.read, ref) == _tip(git, found.pushed, found.pushed, ref):
            return
        if look < _LOOKS - 1:  # a release of others may have landed between both answers
            time.sleep(_PAUSE_SECONDS)
    raise _elsewhere(remote, found.read, [found.pushed])


def _urls(git: Git, remote: str, *options: str) -> list[str]:
    answer = git.run("remote", "get-url", "--all", *options, "--", remote)
    return answer.text.splitlines() if answer.status == 0 else []


def _tip(git: Git, word: str, address: str, ref: str) -> str:
    """Return the newest commit of the ledger at an address. Raise LedgerUnreachable."""
    answer = git.run("ls-remote", "--", word, ref, timeout=ANSWER_SECONDS)
    if answer.status != 0:
        shown = public_address(address)
        raise LedgerUnreachable(
            f"ask {shown} for the ledger", answer.words, f"check the connection: git ls-remote {shown}"
        )
    return answer.text


def _elsewhere(remote: str, read: str, pushed: Sequence[str]) -> LedgerError:
    shown = [public_address(each) for each in (read, *pushed)]
    return LedgerError(
        f"push the ledger to the git remote {remote}",
        f"git fetches from {shown[0]} and pushes to {', '.join(shown[1:])}, which are different "
        "repositories or hold different ledgers; nothing was pushed",
        f"to use one repository for both: git config --unset-all remote.{remote}.pushurl; "
        f"git remote set-url {remote} <address>; `git remote -v` shows both",
    )
