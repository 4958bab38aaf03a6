"""The branch of the ledger: its newest commit, and how it moves on, here and on a git remote.

Why a push was refused is read off the references afterwards, not off git's words (git-push, "OUTPUT",
gives the flags; its reasons are prose).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from release.errors import LedgerError, LedgerRejected, LedgerRewritten, LedgerUnreachable, VersionTaken
from release.git import Answer, Git
from release.ledger.address import check_addresses
from release.ledger.moves import Move, Tag, parse_push, pause_before_retry, server_lines
from release.ledger.refs import ATTEMPTS, Refs
from release.ledger.remote import Remote


class Branch:
    """The ledger's branch, in this clone alone or with a server."""

    def __init__(
        self, git: Git, *, branch: str, remote: str | None, signed: bool = False, tip: bool = False
    ) -> None:
        """Look at nothing yet.

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
        """Commit of the server when `head` was asked last."""
        self.verified: str | None = None
        """Commit that this clone had proved when `head` was asked last."""

    def __str__(self) -> str:
        """As git writes it: `origin/release-ledger`, or the branch alone."""
        return f"{self.remote}/{self.name}" if self.remote is not None else self.name

    def believe(self, is_proven: Callable[[str], bool]) -> None:
        """Set the question whether a commit that the server no longer has was ever proven."""
        if self._there is not None:
            self._there.is_proven = is_proven

    def head(self) -> str | None:
        """The newest commit of the ledger that is known here; None for an empty ledger.

        Raises:
            LedgerRewritten: the local branch and the server's have gone different ways.
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
        """Learn what the server has, and give the newest commit known.

        Args:
            seconds: how long the server may take in all; None: as long as what it has to send deserves.

        Raises:
            LedgerUnreachable: the server does not answer, or does not send what it has.
            LedgerRewritten: its branch is gone, or does not contain what we saw before.
        """
        if self._there is not None:
            self._there.refresh(seconds)
        return self.head()

    def check_address(self) -> None:
        """Compare the ledger where git fetches and where it pushes. Raises LedgerError, LedgerUnreachable."""
        if self.remote is not None:
            check_addresses(self._git, self.remote, self._refs.branch)

    def _contains(self, later: str, earlier: str) -> bool:
        there = self._there
        return (self._refs if there is None else there).contains(later, earlier)

    def deepen(self, depth: int) -> None:
        """Fetch so many of the newest commits into a clone that has fewer. Raises LedgerUnreachable."""
        if self._there is not None:
            self._there.deepen(depth)

    def complete(self, tip: str) -> None:
        """Fetch the whole history of the ledger, and all files of it. Raises LedgerUnreachable."""
        if self._there is not None:
            self._there.complete(tip)

    def bring(self, tree: str, paths: Sequence[str]) -> None:
        """Fetch the files of a folder that this clone lacks, at once. Raises LedgerUnreachable."""
        if self._there is not None:
            self._there.bring(tree, paths)

    def fill(self, tip: str) -> None:
        """Fetch the files that a partial clone of the ledger left out, at once. Raises LedgerUnreachable."""
        if self._there is not None:
            self._there.fill(tip)

    def tag(self, name: str) -> tuple[str, str] | None:
        """A local tag: its object and the commit it stands on; None when there is none."""
        return self._refs.tag(name)

    def advance(self, commit: str) -> None:
        """Bring the local branch and the memory of what is proven to a proven commit, never backwards."""
        self._refs.advance(commit)
        self.verified = commit

    def publish(self, move: Move) -> bool:
        """Land a move, whole or not at all.

        Returns:
            True when it landed; False when the ledger or the tag has moved in the meantime and the move has
            to be made anew on what `head` says now.

        Raises:
            VersionTaken: the tag exists on another commit.
            LedgerRejected: the server does not let it happen.
            LedgerUnreachable: the server does not answer; whether the move landed is found out next time.
            LedgerError: the clone cannot be written.
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
        """Return what became of a move that was refused: True landed, False others moved, None neither."""
        there = self._there
        return self._landed_here(move) if there is None else self._landed_there(there, move, answer)

    def _landed_here(self, move: Move) -> bool | None:
        """After a refusal: False when something has moved, None when nothing has."""
        if self._refs.known().local != move.base or (
            move.tag is not None and self.tag(move.tag.name) is not None
        ):
            return False
        return None

    def _pushed(self, there: Remote, move: Move) -> Answer:
        """A plain push is the compare-and-swap; atomic, so that record and tag stand or fall together."""
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
        """After a push that failed: True when it landed all the same, False when others moved, else None."""
        refused = any(refusal.ref == self._refs.branch for refusal in parse_push(answer.text))
        if refused and there.fetch().status == 0 and self._refs.known().seen != self._server:
            return False  # the common case of a race, and the only one that has to be quick
        return self._looked_into(there, move)

    def _looked_into(self, there: Remote, move: Move) -> bool | None:
        """The same, by all that the server says."""
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
        """The server has a tag of this name: good if it stands on the same commit. Raises VersionTaken."""
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
        """Nothing has moved, and yet it is refused: by the server, or by this clone's own disk."""
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
