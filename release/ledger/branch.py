"""Branch of the ledger: its newest commit, and its updates in this clone and on a git remote.

Why a push was refused is read off the references afterwards, not off git's words (git-push, "OUTPUT",
gives the flags; its reasons are prose).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from release.errors import LedgerError, LedgerRejected, LedgerRewritten, LedgerUnreachable, VersionTaken
from release.git.runner import Answer, Git
from release.ledger.address import check_addresses
from release.ledger.ref_updates import Move, Tag, parse_push, pause_before_retry, server_lines
from release.ledger.refs import ATTEMPTS, Refs
from release.ledger.remote import Remote


class Branch:
    """Branch of the ledger, in this clone alone or with a server."""

    def __init__(
        self, git: Git, *, branch: str, remote: str | None, signed: bool = False, tip: bool = False
    ) -> None:
        """Keep the arguments; read nothing.

        Args:
            git: the repository.
            branch: its name.
            remote: its server; None: it is in this clone alone.
            signed: what is proven is proven with required signatures.
            tip: a clone without any of the ledger fetches the newest commits only.
        """
        self._git = git
        self.name = branch
        self.remote = remote
        self._refs = Refs(git, branch=branch, remote=remote, signed=signed)
        self._there: Remote | None = None
        if remote is not None:
            self._there = Remote(git, self._refs, remote=remote, branch=branch, tip=tip)
        self._tags_there: set[Tag] = set()
        self._server: str | None = None
        """Commit of the server at the last call of `head`."""
        self.verified: str | None = None
        """Verified head of this clone at the last call of `head`."""

    def __str__(self) -> str:
        """Return the branch as git writes it: `origin/release-ledger`, or the branch name alone."""
        return f"{self.remote}/{self.name}" if self.remote is not None else self.name

    def believe(self, is_proven: Callable[[str], bool]) -> None:
        """Set the function that tells whether a commit, which the server lost, was ever proven."""
        if self._there is not None:
            self._there.is_proven = is_proven

    def head(self) -> str | None:
        """Return the newest commit of the ledger that this clone knows; None for an empty ledger.

        Raises:
            LedgerRewritten: the local branch and the server's branch each have commits that the other lacks.
        """
        known = self._refs.known()
        self.verified = known.verified
        self._server = server = known.seen or known.tracking
        if self.remote is None or server is None or known.local is None:
            return known.local if self.remote is None else server or known.local
        if self._contains(server, known.local):
            return server
        if self._contains(known.local, server):
            return known.local
        raise LedgerRewritten(
            f"read the ledger {self}",
            f"the local branch {self.name} is at {known.local}, the server's was at {server}, "
            "and each has records that the other lacks",
            f"keep the local branch under another name: git branch -m {self.name} {self.name}-local",
            seen=server,
            now=known.local,
        )

    def refresh(self, seconds: float | None = None) -> str | None:
        """Fetch from the server, and return the newest known commit.

        Args:
            seconds: time limit for all answers of the server; None: a limit for each answer.

        Raises:
            LedgerUnreachable: the server does not answer, or does not send its commits.
            LedgerRewritten: the server's branch is gone, or lacks commits that it had before.
        """
        if self._there is not None:
            self._there.refresh(seconds)
        return self.head()

    def check_address(self) -> None:
        """Check that git fetches and pushes the same ledger. Raise LedgerError, LedgerUnreachable."""
        if self.remote is not None:
            check_addresses(self._git, self.remote, self._refs.branch)

    def _contains(self, later: str, earlier: str) -> bool:
        there = self._there
        return (self._refs if there is None else there).contains(later, earlier)

    def deepen(self, depth: int) -> None:
        """Fetch the `depth` newest commits into a clone that has fewer. Raise LedgerUnreachable."""
        if self._there is not None:
            self._there.deepen(depth)

    def complete(self, tip: str) -> None:
        """Fetch the whole history of the ledger and all its files. Raise LedgerUnreachable."""
        if self._there is not None:
            self._there.complete(tip)

    def bring(self, tree: str, paths: Sequence[str]) -> None:
        """Fetch the missing files among `paths` in one request. Raise LedgerUnreachable."""
        if self._there is not None:
            self._there.bring(tree, paths)

    def fill(self, tip: str) -> None:
        """Fetch all files that a partial clone lacks in one request. Raise LedgerUnreachable."""
        if self._there is not None:
            self._there.fill(tip)

    def tag(self, name: str) -> tuple[str, str] | None:
        """Return the object and the commit of a local tag; None if the tag does not exist."""
        return self._refs.tag(name)

    def advance(self, commit: str) -> None:
        """Move the local branch and the reference of the verified head forward to a proven commit."""
        self._refs.advance(commit)
        self.verified = commit

    def publish(self, move: Move) -> bool:
        """Update all references of a move, or none of them.

        Returns:
            True if the references were updated. False if the ledger or the tag changed in the meantime: make
            the move again on the present `head`.

        Raises:
            VersionTaken: the tag exists on another commit.
            LedgerRejected: the server refuses the push.
            LedgerUnreachable: the server does not answer. The next command finds out whether the move landed.
            LedgerError: git cannot write to the clone.
        """
        for attempt in range(ATTEMPTS):
            answer = self._moved_here(move) if self._there is None else self._pushed(self._there, move)
            if answer.status == 0:
                break
            landed = (
                self._landed_here(move)
                if self._there is None
                else self._landed_there(self._there, move, answer)
            )
            if landed is not None:
                return landed
            if attempt == ATTEMPTS - 1:
                self._give_up(move, answer)
            pause_before_retry(attempt)
        if self.remote is not None:
            self._refs.settle(move.commit, move.tag, onto=move.base, proven=True)
        return True

    def _moved_here(self, move: Move) -> Answer:
        updates: dict[str, tuple[str, str | None]] = {}
        if move.commit is not None:
            updates[self._refs.branch] = (move.commit, move.base)
        if move.tag is not None:
            updates[move.tag.ref] = (move.tag.object, None)
        return self._refs.update(updates)

    def _looked_up(self, move: Move, answer: Answer) -> bool | None:
        """Return whether a refused move landed: True, False if another writer was faster, else None."""
        there = self._there
        return self._landed_here(move) if there is None else self._landed_there(there, move, answer)

    def _landed_here(self, move: Move) -> bool | None:
        """Return False if a local reference changed since the move was made, else None."""
        if self._refs.known().local != move.base or (
            move.tag is not None and self.tag(move.tag.name) is not None
        ):
            return False
        return None

    def _pushed(self, there: Remote, move: Move) -> Answer:
        """Push without force, which is a compare-and-swap; atomic, so that record and tag land together."""
        specs = self._specs(move)
        if not specs:
            return Answer(status=0, out=b"", errors="")
        # one reference is atomic by itself, and there are servers that refuse the word
        return there.push(*(["--atomic"] if len(specs) > 1 else []), specs=specs)

    def _specs(self, move: Move) -> list[str]:
        specs = [f"{move.commit}:{self._refs.branch}"] if move.commit is not None else []
        if move.tag is not None and move.tag not in self._tags_there:
            specs.append(f"{move.tag.object}:{move.tag.ref}")
        return specs

    def _landed_there(self, there: Remote, move: Move, answer: Answer) -> bool | None:
        """Return whether a failed push landed: True, False if another writer was faster, else None."""
        refused = any(refusal.ref == self._refs.branch for refusal in parse_push(answer.text))
        if refused and there.fetch().status == 0 and self._refs.known().seen != self._server:
            return False  # the common case of a race, and the only one that has to be quick
        return self._looked_into(there, move)

    def _looked_into(self, there: Remote, move: Move) -> bool | None:
        """Return the result of a failed push by the server's present references. See `_landed_there`."""
        tag, seen = move.tag, self._refs.known().seen
        listed = there.listed(*((tag.ref, f"{tag.ref}^{{}}") if tag is not None else ()))
        tip = listed.get(self._refs.branch)
        there.follow(tip, seen)
        if move.commit is not None and tip is not None and self._refs.contains(tip, move.commit):
            self._refs.settle(tip, tag)
            return True
        if tip != self._server:
            return False
        if tag is not None and tag.ref in listed:
            self._take_over(there, tag, listed)
        return None

    def _take_over(self, there: Remote, tag: Tag, listed: Mapping[str, str]) -> None:
        """Fetch the server's tag of this name. Raise VersionTaken if the tag is on another commit."""
        commit = listed.get(f"{tag.ref}^{{}}", listed[tag.ref])
        if commit != tag.commit:
            raise VersionTaken(
                f"make the git tag {tag.name} on commit {tag.commit}",
                f"{self.remote} has a tag of this name on commit {commit}, but the ledger has "
                "no release with it",
                f"show the tag: git fetch {self.remote} tag {tag.name} && git show {tag.name}; "
                "then release another version, or delete the tag if it is a mistake",
            )
        if self.tag(tag.name) is None:
            there.fetch_tag(tag)
        self._tags_there.add(tag)

    def _give_up(self, move: Move, answer: Answer) -> NoReturn:
        """Raise the error for a move that the server or this clone's disk refused."""
        if self._there is None:
            raise LedgerError(
                f"update the ledger branch {self.name}",
                answer.words,
                "nothing was recorded; check free space, permissions and *.lock files in the git folder",
            )
        if answer.status < 0:
            by_hand = f"check the connection: git ls-remote {self.remote}"
            raise LedgerUnreachable(f"push the ledger to {self}", answer.words, by_hand)
        refs = [f"{refusal.ref}: {refusal.summary}" for refusal in parse_push(answer.text)]
        found = "; ".join([*refs, *(server_lines(answer.errors) or [answer.words])])
        if not refs and self._there.lacks_atomic(self._specs(move)):
            raise LedgerRejected(
                f"push the ledger and a tag to {self} in one push",
                found,
                "nothing was recorded; a release needs atomic pushes. On the server: git "
                "config receive.advertiseAtomic true. Or keep the ledger on a server that has "
                "them (`ledger.remote`)",
            )
        raise LedgerRejected(
            f"push the ledger to {self}",
            found,
            f"nothing was recorded; allow this account to push to {self._refs.branch} and to create "
            f"refs/tags/* on {self.remote}; `invoke explain ledger` lists the permissions",
        )
