"""References of the ledger in one clone, and their updates.

A server's ledger is remembered in a reference of our own, `refs/release/<remote>/<branch>`: an ordinary
`git fetch` may follow a rewound branch, this memory never does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from release.errors import LedgerError
from release.git.runner import Answer, Git
from release.ledger.ref_updates import LocalRefs, Tag, pause_before_retry, update_ref_input
from release.ledger.tree import DURABLE

ATTEMPTS: Final = 3
"""Number of attempts for a move that is refused although no other writer was faster."""

QUIET: Final = ("-c", "core.hooksPath=/dev/null")
"""Options of git that switch off the clone's hooks, so that no hook delays or changes an append."""


class Refs:
    """References of one ledger in this clone."""

    def __init__(self, git: Git, *, branch: str, remote: str | None, signed: bool) -> None:
        """Keep the arguments. `signed`: proofs require signatures."""
        self._git = git
        self.branch = f"refs/heads/{branch}"
        self.seen = f"refs/release/{remote}/{branch}"
        """Reference for the server's newest commit at the last fetch."""
        self.tracking = f"refs/remotes/{remote}/{branch}"
        proofs = "refs/release-verified-signed" if signed else "refs/release-verified"
        self.verified = f"{proofs}/{remote or 'local'}/{branch}"
        self._has_remote = remote is not None

    def known(self) -> LocalRefs:
        """Return the present references. Raise LedgerError if git cannot read them."""
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
        """Return whether `later` is `earlier` or a descendant of it. Raise LedgerError on damage."""
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
        """Return whether this clone knows that `earlier` is an ancestor of `later`."""
        return self._git.run("merge-base", "--is-ancestor", earlier, later).status == 0

    def tag(self, name: str) -> tuple[str, str] | None:
        """Return the object and the commit of a local tag; None if the tag does not exist."""
        form = "--format=%(refname) %(objectname) %(*objectname)"
        answer = self._must(f"look up the git tag {name}", "for-each-ref", form, f"refs/tags/{name}")
        rows = (line.split() for line in answer.splitlines())
        return next(((oids[0], oids[-1]) for ref, *oids in rows if ref == f"refs/tags/{name}"), None)

    def update(self, updates: Mapping[str, tuple[str, str | None]]) -> Answer:
        """Move all of these references to (new object, old object), or none of them."""
        return self._git.run(*DURABLE, *QUIET, "update-ref", "--stdin", stdin=update_ref_input(updates))

    def advance(self, commit: str) -> None:
        """Move the local branch and the reference of the verified head forward to a proven commit."""
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
        """Move this clone's references forward to the server's commit. A failure is not an error.

        Args:
            commit: newest commit of the server.
            tag: tag that the server has.
            onto: known ancestor of `commit`.
            proven: True: this process made the commit on a proven commit.
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
        """Yield the updates of references that are behind `commit`. `onto`: a known ancestor."""
        for ref, old in rows if commit is not None else ():
            if old != commit and (old in (None, onto) or self.contains(commit or "", old or "")):
                yield ref, (commit or "", old)

    def _must(self, attempted: str, *arguments: str) -> str:
        answer = self._git.run(*arguments)
        if answer.status != 0:
            raise LedgerError(attempted, answer.words, "check the repository: git fsck")
        return answer.text
