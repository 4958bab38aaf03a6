"""The references of the ledger in one clone: what is known here, and how they move on.

A server's ledger is remembered in a reference of our own, `refs/release/<remote>/<branch>`: an ordinary
`git fetch` may follow a rewound branch, this memory never does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from release.errors import LedgerError
from release.git import Answer, Git
from release.ledger.moves import LocalRefs, Tag, pause_before_retry, update_ref_input
from release.ledger.tree import DURABLE

ATTEMPTS: Final = 3
"""Attempts of the same move if it is refused and nothing else has moved."""

QUIET: Final = ("-c", "core.hooksPath=/dev/null")
"""Hooks of the clone are for code: none of them may hold up or change an append."""


class Refs:
    """The references of one ledger in this clone."""

    def __init__(self, git: Git, *, branch: str, remote: str | None, signed: bool) -> None:
        """Look at nothing yet. `signed`: what is proven is proven with required signatures."""
        self._git = git
        self.branch = f"refs/heads/{branch}"
        self.seen = f"refs/release/{remote}/{branch}"
        """Memory of the server's branch."""
        self.tracking = f"refs/remotes/{remote}/{branch}"
        proofs = "refs/release-verified-signed" if signed else "refs/release-verified"
        self.verified = f"{proofs}/{remote or 'local'}/{branch}"
        self._has_remote = remote is not None

    def known(self) -> LocalRefs:
        """Return the references as they are now. Raises LedgerError: git cannot read them."""
        refs = (self.seen, self.tracking, self.branch, self.verified)
        answer = self._must(
            "read the ledger's references",
            *("for-each-ref", "--format=%(refname)%09%(objectname)%09%(worktreepath)", *refs),
        )
        rows = {ref: (oid, tree) for ref, oid, tree in (row.split("\t") for row in answer.splitlines())}
        there = {ref: rows[ref][0] for ref in refs if ref in rows}
        return LocalRefs(
            seen=there.get(self.seen),
            tracking=there.get(self.tracking),
            local=there.get(self.branch),
            verified=there.get(self.verified),
            checked_out=bool(rows.get(self.branch, ("", ""))[1]),
        )

    def contains(self, later: str, earlier: str) -> bool:
        """Return if a commit is the other one or comes after it. Raises LedgerError if history is damaged."""
        if later == earlier:
            return True
        answer = self._git.run("merge-base", "--is-ancestor", earlier, later)
        if answer.status not in (0, 1):
            raise LedgerError(
                f"compare the ledger commits {earlier} and {later}",
                answer.words,
                "check the repository: git fsck --full",
            )
        return answer.status == 0

    def is_here(self, commit: str) -> bool:
        """Return whether this clone has a commit."""
        return self._git.run("cat-file", "-e", f"{commit}^{{commit}}").status == 0

    def is_before(self, earlier: str, later: str) -> bool:
        """Return whether this clone knows that a commit comes before another one."""
        return self._git.run("merge-base", "--is-ancestor", earlier, later).status == 0

    def tag(self, name: str) -> tuple[str, str] | None:
        """A local tag: its object and the commit it stands on; None when there is none."""
        form = "--format=%(refname) %(objectname) %(*objectname)"
        answer = self._must(f"look up the git tag {name}", "for-each-ref", form, f"refs/tags/{name}")
        rows = (line.split() for line in answer.splitlines())
        return next(((oids[0], oids[-1]) for ref, *oids in rows if ref == f"refs/tags/{name}"), None)

    def update(self, updates: Mapping[str, tuple[str, str | None]]) -> Answer:
        """Move all of these references, from (object, old object), or none of them."""
        return self._git.run(*DURABLE, *QUIET, "update-ref", "--stdin", stdin=update_ref_input(updates))

    def advance(self, commit: str) -> None:
        """Bring the local branch and the memory of what is proven to a proven commit, never backwards."""
        known = self.known()
        rows = [(self.verified, known.verified)]
        if self._has_remote and not known.checked_out:
            rows.append((self.branch, known.local))
        with suppress(LedgerError):  # a reference to a commit that is not here costs a later command a look
            updates = dict(self._behind(rows, commit, None))
            if updates:
                self.update(updates)

    def settle(
        self, commit: str | None, tag: Tag | None, *, onto: str | None = None, proven: bool = False
    ) -> None:
        """Bring this clone's references to what the server has now, never backwards. A later time will do.

        Args:
            commit: what the server has.
            tag: a tag that it has.
            onto: a commit that is known to come before.
            proven: whether this process made the commit on a proven one.
        """
        for attempt in range(ATTEMPTS):
            known = self.known()
            rows = [(self.seen, known.seen), (self.tracking, known.tracking)]
            if proven:
                rows.append((self.verified, known.verified))
                rows += [(self.branch, known.local)] if not known.checked_out else []
            updates = dict(self._behind(rows, commit or known.seen, onto))
            if tag is not None and self.tag(tag.name) is None:
                updates[tag.ref] = (tag.object, None)
            if not updates or self.update(updates).status == 0:
                return
            pause_before_retry(attempt)

    def _behind(
        self, rows: Sequence[tuple[str, str | None]], commit: str | None, onto: str | None
    ) -> Iterator[tuple[str, tuple[str, str | None]]]:
        """References that the commit comes after; `onto` is one that it is known to come after."""
        for ref, old in rows if commit is not None else ():
            if old != commit and (old in (None, onto) or self.contains(commit or "", old or "")):
                yield ref, (commit or "", old)

    def _must(self, attempted: str, *arguments: str) -> str:
        answer = self._git.run(*arguments)
        if answer.status != 0:
            raise LedgerError(attempted, answer.words, "check the repository: git fsck")
        return answer.text
