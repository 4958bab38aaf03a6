"""The branch of the ledger: what is known of it here, what the server has, and how both move on.

A server's ledger is remembered in a reference of our own, `refs/release/<remote>/<branch>`: an ordinary
`git fetch` may follow a rewound branch, this memory never does. Why a push was refused is read off the
references afterwards, not off git's words (git-push, "OUTPUT", gives the flags; its reasons are prose).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from release.errors import (
    LedgerError,
    LedgerRejected,
    LedgerRewritten,
    LedgerUnreachable,
    VersionTaken,
)
from release.git import ANSWER_SECONDS, FETCH_SECONDS, Answer, Git
from release.ledger.address import addresses, check
from release.ledger.moves import Known, Move, Tag, Until, parse_push, server_lines, transaction, wait
from release.ledger.tree import DURABLE

PUSH_SECONDS: Final = 60.0
"""Limit for one append at a server."""


_PATIENCE: Final = 3
"""Attempts of the same move if it is refused and nothing else has moved."""


_CHECKED: Final = ("-c", "fetch.fsckObjects=true", "-c", "fetch.unpackLimit=1")
"""Git refuses objects that it would not make itself, as a folder with two files of one name.

What a fetch brings stays in one pack, so that a fetch that is cut off leaves nothing.
"""


_WHOLE: Final = 2**31 - 1
"""The depth that git takes for all of a history (git-fetch, `--unshallow`)."""


_QUIET: Final = ("-c", "core.hooksPath=/dev/null")
"""Hooks of the clone are for code: none of them may hold up or change an append."""


_PATIENT: Final = Until()


class Branch:
    """The ledger's branch, in this clone alone or with a server."""

    def __init__(self, git: Git, *, branch: str, remote: str | None, signed: bool = False) -> None:
        """Look at nothing yet. `signed`: what is proven is proven with required signatures."""
        self._git = git
        self.name = branch
        self.remote = remote
        self._ref = f"refs/heads/{branch}"
        self._seen = f"refs/release/{remote}/{branch}"
        self._tracking = f"refs/remotes/{remote}/{branch}"
        proofs = "refs/release-verified-signed" if signed else "refs/release-verified"
        self._verified = f"{proofs}/{remote or 'local'}/{branch}"
        self._tags_there: set[Tag] = set()
        self._target: str | None = None
        """The word for `git push`, once it is known."""
        self._server: str | None = None
        """Commit of the server when `head` was asked last."""
        self.verified: str | None = None
        """Commit that this clone had proved when `head` was asked last."""
        self.is_proven: Callable[[str], bool] = lambda _: True
        """Tells whether a commit that the server no longer has was ever proven."""

    def __str__(self) -> str:
        """As git writes it: `origin/release-ledger`, or the branch alone."""
        return f"{self.remote}/{self.name}" if self.remote is not None else self.name

    # what is known here

    def _known(self) -> Known:
        refs = (self._seen, self._tracking, self._ref, self._verified)
        answer = self._must(
            "read the ledger's references",
            *("for-each-ref", "--format=%(refname)%09%(objectname)%09%(worktreepath)", *refs),
        )
        rows = {ref: (oid, tree) for ref, oid, tree in (row.split("\t") for row in answer.splitlines())}
        there = {ref: rows[ref][0] for ref in refs if ref in rows}
        return Known(
            seen=there.get(self._seen),
            tracking=there.get(self._tracking),
            local=there.get(self._ref),
            verified=there.get(self._verified),
            checked_out=bool(rows.get(self._ref, ("", ""))[1]),
        )

    def head(self) -> str | None:
        """The newest commit of the ledger that is known here; None for an empty ledger.

        Raises:
            LedgerRewritten: the local branch and the server's have gone different ways.
        """
        known = self._known()
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

    def _contains(self, later: str, earlier: str) -> bool:
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

    def tag(self, name: str) -> tuple[str, str] | None:
        """A local tag: its object and the commit it stands on; None when there is none."""
        form = "--format=%(refname) %(objectname) %(*objectname)"
        answer = self._must(f"look up the git tag {name}", "for-each-ref", form, f"refs/tags/{name}")
        rows = (line.split() for line in answer.splitlines())
        return next(((oids[0], oids[-1]) for ref, *oids in rows if ref == f"refs/tags/{name}"), None)

    # what the server has

    def refresh(self, seconds: float | None = None) -> str | None:
        """Learn what the server has, and give the newest commit known.

        Args:
            seconds: how long the server may take in all; None: as long as what it has to send deserves.

        Raises:
            LedgerUnreachable: the server does not answer, or does not send what it has.
            LedgerRewritten: its branch is gone, or does not contain what we saw before.
        """
        if self.remote is not None:
            until = Until.after(seconds)
            known = self._known()  # read first: what the server says afterwards must contain it
            tip = self._listed(until=until).get(self._ref)
            self._follow(tip, known.seen, until)
            self._compare(tip, known)
        return self.head()

    def check_address(self) -> None:
        """Compare the ledger where git fetches and where it pushes. Raises LedgerError, LedgerUnreachable."""
        if self.remote is not None:
            check(self._git, self.remote, self._ref)

    def _compare(self, tip: str | None, known: Known) -> None:
        """See that the server's tip contains what git's own tracking branch had. Raises LedgerRewritten."""
        other = known.tracking
        if other is None or other in (known.seen, tip):
            return
        if tip is None or not (self._contains(tip, other) or self._is_forgiven(other, tip)):
            raise self._changed_behind_us(other, tip)

    def deepen(self) -> None:
        """Fetch the whole history of the ledger into a shallow clone. Raises LedgerUnreachable."""
        self._complete(f"--depth={_WHOLE}", by_hand="git fetch --unshallow")

    def fill(self, tip: str) -> None:
        """Fetch the files that a partial clone of the ledger left out, at once. Raises LedgerUnreachable."""
        if self.remote is None or self._git.run("config", f"remote.{self.remote}.promisor").text != "true":
            return
        listed = self._git.run("rev-list", "--objects", "--missing=print", tip, "--", "records")
        if listed.status != 0 or "?" in {line[:1] for line in listed.text.splitlines()}:
            self._complete("--refetch", "--no-filter", by_hand="git fetch --refetch --no-filter")

    def _complete(self, *options: str, by_hand: str) -> None:
        if self.remote is None:
            return
        fetch = (*_CHECKED, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", *options)
        answer = self._git.run(*fetch, self.remote, self._ref, timeout=FETCH_SECONDS)
        if answer.status != 0:
            raise LedgerUnreachable(
                f"fetch the whole ledger {self}", answer.words, f"try it yourself: {by_hand}"
            )

    def advance(self, commit: str) -> None:
        """Bring the local branch and the memory of what is proven to a proven commit, never backwards."""
        known = self._known()
        rows = [(self._verified, known.verified)]
        if self.remote is not None and not known.checked_out:
            rows.append((self._ref, known.local))
        with suppress(LedgerError):  # a reference to a commit that is not here costs a later command a look
            updates = dict(self._behind(rows, commit, None))
            if updates:
                self._update(updates)
        self.verified = commit

    def _listed(self, *refs: str, until: Until = _PATIENT) -> dict[str, str]:
        """The server's objects of the ledger branch and these references. Raises LedgerUnreachable."""
        assert self.remote is not None  # noqa: S101 - only asked with a remote
        wanted = (self._ref, *refs)
        answer = self._git.run("ls-remote", self.remote, *wanted, timeout=until.left(ANSWER_SECONDS))
        if answer.status != 0:
            raise LedgerUnreachable(
                f"ask the git remote {self.remote} for the ledger branch {self.name}",
                answer.words,
                f"try it yourself: git ls-remote {self.remote}",
            )
        rows = (line.split("\t") for line in answer.text.splitlines())
        return {ref: oid for oid, ref in rows if ref in wanted}

    def _follow(self, tip: str | None, seen: str | None, until: Until = _PATIENT) -> None:
        """Fetch up to the server's tip, without depth and without force; never follow a rewind.

        Args:
            tip: what the server has.
            seen: what was remembered of it before it was asked.
            until: how long the server may take.

        Raises:
            LedgerUnreachable: the server has more, and it does not come.
            LedgerRewritten: what it has does not contain what was remembered.
        """
        if tip is None and seen is not None:
            raise self._changed_behind_us(seen, None)
        for attempt in range(_PATIENCE):
            if tip is None or tip == seen:
                break
            answer = self._fetch(until)
            if answer.status == 0:
                break
            seen = self._known().seen
            if not until.is_over():
                tip = self._listed(until=until).get(self._ref)
            if self._has_arrived(tip, seen):
                break
            if attempt == _PATIENCE - 1 or until.is_over():
                by_hand = f"try it yourself: git fetch {self.remote} {self._ref}"
                raise LedgerUnreachable(f"fetch the ledger {self}", answer.words, by_hand)
            wait(attempt)
        self._settle(tip, None)

    def _has_arrived(self, tip: str | None, seen: str | None) -> bool:
        """After a fetch that was refused: whether all is well, because another process of this clone fetched.

        Raises:
            LedgerError: the branch was rewound or replaced.
        """
        if tip is None or not self._is_whole(tip):
            return False
        if seen is not None and not (self._contains(tip, seen) or self._is_forgiven(seen, tip)):
            raise self._changed_behind_us(seen, tip)
        return True

    def _is_whole(self, tip: str) -> bool:
        """Return whether this clone has the commit and all that belongs to it."""
        others = ("--not", f"--glob={self._seen}", f"--glob={self._verified}")
        return self._git.run("rev-list", "--objects", "--quiet", tip, *others).status == 0

    def _is_forgiven(self, seen: str, tip: str) -> bool:
        """Return whether the server lost only commits that never were proven, and then follow it."""
        known = self._known()
        if known.verified is None or not self._contains(tip, known.verified) or self.is_proven(seen):
            return False
        refs = {self._seen: known.seen, self._tracking: known.tracking}
        if not known.checked_out:
            refs[self._ref] = known.local
        lost = {ref: (tip, old) for ref, old in refs.items() if old and not self._contains(tip, old)}
        return self._update(lost).status == 0

    def _fetch(self, until: Until = _PATIENT) -> Answer:
        assert self.remote is not None  # noqa: S101 - only called with a remote
        return self._git.run(
            *(*_CHECKED, "fetch", "--quiet", "--no-tags", "--no-prune", "--refmap="),
            *("--no-recurse-submodules", "--no-auto-maintenance", "--no-write-fetch-head", "--no-filter"),
            *(self.remote, f"{self._ref}:{self._seen}"),
            timeout=until.left(FETCH_SECONDS),
        )

    def _changed_behind_us(self, seen: str, now: str | None) -> LedgerRewritten:
        found = f"at {now}, which does not contain it" if now is not None else "deleted on the server"
        mend = f"git push {self.remote} {seen}:{self._ref}"
        if now is not None and not self._is_before(now, seen):
            mend = f"git push --force-with-lease={self._ref}:{now} {self.remote} {seen}:{self._ref}"
        return LedgerRewritten(
            f"follow the ledger {self}",
            f"it was at {seen}, and now it is {found}: the branch was rewound, replaced or deleted",
            "this clone keeps all records, and `invoke rollback` uses them. An account that "
            f"may write to the branch restores it: {mend}",
            seen=seen,
            now=now,
        )

    def _is_before(self, earlier: str, later: str) -> bool:
        """Return whether this clone knows that a commit comes before another one."""
        return self._git.run("merge-base", "--is-ancestor", earlier, later).status == 0

    # moving on

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
        for attempt in range(_PATIENCE):
            answer = self._moved_here(move) if self.remote is None else self._pushed(move)
            if answer.status == 0:
                break
            landed = self._landed_here(move) if self.remote is None else self._landed_there(move, answer)
            if landed is not None:
                return landed
            if attempt == _PATIENCE - 1:
                self._give_up(move, answer)
            wait(attempt)
        if self.remote is not None:
            self._settle(move.commit, move.tag, onto=move.base, proven=True)
        return True

    def _moved_here(self, move: Move) -> Answer:
        updates: dict[str, tuple[str, str | None]] = {}
        if move.commit is not None:
            updates[self._ref] = (move.commit, move.base)
        if move.tag is not None:
            updates[move.tag.ref] = (move.tag.object, None)
        return self._update(updates)

    def _update(self, updates: Mapping[str, tuple[str, str | None]]) -> Answer:
        return self._git.run(*DURABLE, *_QUIET, "update-ref", "--stdin", stdin=transaction(updates))

    def _landed_here(self, move: Move) -> bool | None:
        """After a refusal: False when something has moved, None when nothing has."""
        if self._known().local != move.base or (move.tag is not None and self.tag(move.tag.name) is not None):
            return False
        return None

    def _pushed(self, move: Move) -> Answer:
        """A plain push is the compare-and-swap; atomic, so that record and tag stand or fall together."""
        specs = self._specs(move)
        if not specs:
            return Answer(status=0, out=b"", errors="")
        # one reference is atomic by itself, and there are servers that refuse the word
        return self._push(*(["--atomic"] if len(specs) > 1 else []), specs=specs)

    def _specs(self, move: Move) -> list[str]:
        specs = [f"{move.commit}:{self._ref}"] if move.commit is not None else []
        if move.tag is not None and move.tag not in self._tags_there:
            specs.append(f"{move.tag.object}:{move.tag.ref}")
        return specs

    def _push(self, *options: str, specs: Sequence[str]) -> Answer:
        assert self.remote is not None  # noqa: S101 - only called with a remote
        if self._target is None:
            self._target = addresses(self._git, self.remote).target
        return self._git.run(
            *(*_QUIET, "push", "--porcelain", "--no-verify", "--no-follow-tags", *options),
            *("--recurse-submodules=no", self._target, *specs),
            timeout=PUSH_SECONDS,
        )

    def _lacks_atomic(self, move: Move) -> bool:
        """Return if the server takes each reference but not both at once. Sends nothing."""
        specs = self._specs(move)
        whole, plain = ("--dry-run", "--atomic"), ("--dry-run",)
        return (
            len(specs) > 1
            and self._push(*whole, specs=specs).status != 0
            and self._push(*plain, specs=specs).status == 0
        )

    def _landed_there(self, move: Move, answer: Answer) -> bool | None:
        """After a push that failed: True when it landed all the same, False when others moved, else None."""
        refused = any(refusal.ref == self._ref for refusal in parse_push(answer.text))
        if refused and self._fetch().status == 0 and self._known().seen != self._server:
            return False  # the common case of a race, and the only one that has to be quick
        return self._looked_into(move)

    def _looked_into(self, move: Move) -> bool | None:
        """The same, by all that the server says."""
        tag, seen = move.tag, self._known().seen
        listed = self._listed(*((tag.ref, f"{tag.ref}^{{}}") if tag is not None else ()))
        tip = listed.get(self._ref)
        self._follow(tip, seen)
        if move.commit is not None and tip is not None and self._contains(tip, move.commit):
            self._settle(tip, tag)
            return True
        if tip != self._server:
            return False
        if tag is not None and tag.ref in listed:
            self._take_over(tag, listed)
        return None

    def _take_over(self, tag: Tag, listed: Mapping[str, str]) -> None:
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
        assert self.remote is not None  # noqa: S101 - only called with a remote
        if self.tag(tag.name) is None:
            self._git.run("fetch", "--quiet", "--no-write-fetch-head", self.remote, f"{tag.ref}:{tag.ref}")
        self._tags_there.add(tag)

    def _give_up(self, move: Move, answer: Answer) -> NoReturn:
        """Nothing has moved, and yet it is refused: by the server, or by this clone's own disk."""
        if self.remote is None:
            raise LedgerError(
                f"update the ledger branch {self.name}",
                answer.words,
                "nothing was recorded; check free space, permissions and *.lock files in the git folder",
            )
        if answer.status < 0:
            by_hand = f"try it yourself: git ls-remote {self.remote}"
            raise LedgerUnreachable(f"push the ledger to {self}", answer.words, by_hand)
        refs = [f"{refusal.ref}: {refusal.summary}" for refusal in parse_push(answer.text)]
        found = "; ".join([*refs, *(server_lines(answer.errors) or [answer.words])])
        if not refs and self._lacks_atomic(move):
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
            f"nothing was recorded; allow this account to push to {self._ref} and to create refs/tags/* on "
            f"{self.remote}; `invoke explain ledger` lists the permissions",
        )

    def _settle(
        self, commit: str | None, tag: Tag | None, *, onto: str | None = None, proven: bool = False
    ) -> None:
        """Bring this clone's references to what the server has now, never backwards. A later time will do.

        Args:
            commit: what the server has.
            tag: a tag that it has.
            onto: a commit that is known to come before.
            proven: whether this process made the commit on a proven one.
        """
        for attempt in range(_PATIENCE):
            known = self._known()
            rows = [(self._seen, known.seen), (self._tracking, known.tracking)]
            if proven:
                rows.append((self._verified, known.verified))
                rows += [(self._ref, known.local)] if not known.checked_out else []
            updates = dict(self._behind(rows, commit or known.seen, onto))
            if tag is not None and self.tag(tag.name) is None:
                updates[tag.ref] = (tag.object, None)
            if not updates or self._update(updates).status == 0:
                return
            wait(attempt)

    def _behind(
        self, rows: Sequence[tuple[str, str | None]], commit: str | None, onto: str | None
    ) -> Iterator[tuple[str, tuple[str, str | None]]]:
        """References that the commit comes after; `onto` is one that it is known to come after."""
        for ref, old in rows if commit is not None else ():
            if old != commit and (old in (None, onto) or self._contains(commit or "", old or "")):
                yield ref, (commit or "", old)

    def _must(self, attempted: str, *arguments: str) -> str:
        answer = self._git.run(*arguments)
        if answer.status != 0:
            raise LedgerError(attempted, answer.words, "check the repository: git fsck")
        return answer.text
