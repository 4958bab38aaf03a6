"""The ledger's branch on a git remote: asked, fetched and followed, never backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from release.errors import LedgerRewritten, LedgerUnreachable
from release.git import ANSWER_SECONDS, FETCH_SECONDS, Answer, Git
from release.ledger.address import addresses
from release.ledger.moves import Known, Tag, Until, wait
from release.ledger.refs import ATTEMPTS, QUIET, Refs

_CHECKED: Final = ("-c", "fetch.fsckObjects=true", "-c", "fetch.unpackLimit=1")
"""Git refuses objects that it would not make itself, as a folder with two files of one name.

What a fetch brings stays in one pack, so that a fetch that is cut off leaves nothing.
"""

_WHOLE: Final = 2**31 - 1
"""The depth that git takes for all of a history (git-fetch, `--unshallow`)."""

PUSH_SECONDS: Final = 60.0
"""Limit for one append at a server."""

_PATIENT: Final = Until()


class Remote:
    """The ledger's branch on a server, as this clone follows it."""

    def __init__(self, git: Git, refs: Refs, *, remote: str, branch: str) -> None:
        """Ask nothing yet."""
        self._git = git
        self._refs = refs
        self._remote = remote
        self._name = branch
        self._target: str | None = None
        """The word for `git push`, once it is known."""
        self.is_proven: Callable[[str], bool] = lambda _: True
        """Tells whether a commit that the server no longer has was ever proven."""

    def __str__(self) -> str:
        """As git writes it: `origin/release-ledger`."""
        return f"{self._remote}/{self._name}"

    def refresh(self, seconds: float | None) -> None:
        """Learn what the server has. Raises LedgerUnreachable, LedgerRewritten, as `Branch.refresh`."""
        until = Until.after(seconds)
        known = self._refs.known()  # read first: what the server says afterwards must contain it
        tip = self.listed(until=until).get(self._refs.branch)
        self.follow(tip, known.seen, until)
        self._compare(tip, known)

    def _compare(self, tip: str | None, known: Known) -> None:
        """See that the server's tip contains what git's own tracking branch had. Raises LedgerRewritten."""
        other = known.tracking
        if other is None or other in (known.seen, tip):
            return
        if tip is None or not (self._refs.contains(tip, other) or self._is_forgiven(other, tip)):
            raise self._changed_behind_us(other, tip)

    def deepen(self) -> None:
        """Fetch the whole history of the ledger into a shallow clone. Raises LedgerUnreachable."""
        self._complete(f"--depth={_WHOLE}", by_hand="git fetch --unshallow")

    def fill(self, tip: str) -> None:
        """Fetch the files that a partial clone of the ledger left out, at once. Raises LedgerUnreachable."""
        if self._git.run("config", f"remote.{self._remote}.promisor").text != "true":
            return
        listed = self._git.run("rev-list", "--objects", "--missing=print", tip, "--", "records")
        if listed.status != 0 or "?" in {line[:1] for line in listed.text.splitlines()}:
            self._complete("--refetch", "--no-filter", by_hand="git fetch --refetch --no-filter")

    def _complete(self, *options: str, by_hand: str) -> None:
        fetch = (*_CHECKED, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", *options)
        answer = self._git.run(*fetch, self._remote, self._refs.branch, timeout=FETCH_SECONDS)
        if answer.status != 0:
            raise LedgerUnreachable(
                f"fetch the whole ledger {self}", answer.words, f"try it yourself: {by_hand}"
            )

    def listed(self, *refs: str, until: Until = _PATIENT) -> dict[str, str]:
        """The server's objects of the ledger branch and these references. Raises LedgerUnreachable."""
        wanted = (self._refs.branch, *refs)
        answer = self._git.run("ls-remote", self._remote, *wanted, timeout=until.left(ANSWER_SECONDS))
        if answer.status != 0:
            raise LedgerUnreachable(
                f"ask the git remote {self._remote} for the ledger branch {self._name}",
                answer.words,
                f"try it yourself: git ls-remote {self._remote}",
            )
        rows = (line.split("\t") for line in answer.text.splitlines())
        return {ref: oid for oid, ref in rows if ref in wanted}

    def follow(self, tip: str | None, seen: str | None, until: Until = _PATIENT) -> None:
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
        for attempt in range(ATTEMPTS):
            if tip is None or tip == seen:
                break
            answer = self.fetch(until)
            if answer.status == 0:
                break
            seen = self._refs.known().seen
            if not until.is_over():
                tip = self.listed(until=until).get(self._refs.branch)
            if self._has_arrived(tip, seen):
                break
            if attempt == ATTEMPTS - 1 or until.is_over():
                by_hand = f"try it yourself: git fetch {self._remote} {self._refs.branch}"
                raise LedgerUnreachable(f"fetch the ledger {self}", answer.words, by_hand)
            wait(attempt)
        self._refs.settle(tip, None)

    def _has_arrived(self, tip: str | None, seen: str | None) -> bool:
        """After a fetch that was refused: whether all is well, because another process of this clone fetched.

        Raises:
            LedgerError: the branch was rewound or replaced.
        """
        if tip is None or not self._is_whole(tip):
            return False
        if seen is not None and not (self._refs.contains(tip, seen) or self._is_forgiven(seen, tip)):
            raise self._changed_behind_us(seen, tip)
        return True

    def _is_whole(self, tip: str) -> bool:
        """Return whether this clone has the commit and all that belongs to it."""
        others = ("--not", f"--glob={self._refs.seen}", f"--glob={self._refs.verified}")
        return self._git.run("rev-list", "--objects", "--quiet", tip, *others).status == 0

    def _is_forgiven(self, seen: str, tip: str) -> bool:
        """Return whether the server lost only commits that never were proven, and then follow it."""
        known = self._refs.known()
        if known.verified is None or not self._refs.contains(tip, known.verified) or self.is_proven(seen):
            return False
        refs = {self._refs.seen: known.seen, self._refs.tracking: known.tracking}
        if not known.checked_out:
            refs[self._refs.branch] = known.local
        lost = {ref: (tip, old) for ref, old in refs.items() if old and not self._refs.contains(tip, old)}
        return self._refs.update(lost).status == 0

    def fetch(self, until: Until = _PATIENT) -> Answer:
        """Fetch the branch into the memory of it, without depth and without force."""
        return self._git.run(
            *(*_CHECKED, "fetch", "--quiet", "--no-tags", "--no-prune", "--refmap="),
            *("--no-recurse-submodules", "--no-auto-maintenance", "--no-write-fetch-head", "--no-filter"),
            *(self._remote, f"{self._refs.branch}:{self._refs.seen}"),
            timeout=until.left(FETCH_SECONDS),
        )

    def _changed_behind_us(self, seen: str, now: str | None) -> LedgerRewritten:
        found = f"at {now}, which does not contain it" if now is not None else "deleted on the server"
        ref = self._refs.branch
        mend = f"git push {self._remote} {seen}:{ref}"
        if now is not None and not self._refs.is_before(now, seen):
            mend = f"git push --force-with-lease={ref}:{now} {self._remote} {seen}:{ref}"
        return LedgerRewritten(
            f"follow the ledger {self}",
            f"it was at {seen}, and now it is {found}: the branch was rewound, replaced or deleted",
            "this clone keeps all records, and `invoke rollback` uses them. An account that "
            f"may write to the branch restores it: {mend}",
            seen=seen,
            now=now,
        )

    def push(self, *options: str, specs: Sequence[str]) -> Answer:
        """Push references: refspecs of git-push. Moves none of this clone."""
        if self._target is None:
            self._target = addresses(self._git, self._remote).target
        return self._git.run(
            *(*QUIET, "push", "--porcelain", "--no-verify", "--no-follow-tags", *options),
            *("--recurse-submodules=no", self._target, *specs),
            timeout=PUSH_SECONDS,
        )

    def lacks_atomic(self, specs: Sequence[str]) -> bool:
        """Return if the server takes each reference but not both at once. Sends nothing."""
        whole, plain = ("--dry-run", "--atomic"), ("--dry-run",)
        return (
            len(specs) > 1
            and self.push(*whole, specs=specs).status != 0
            and self.push(*plain, specs=specs).status == 0
        )

    def fetch_tag(self, tag: Tag) -> None:
        """Fetch a tag that this clone lacks; without an answer a later command does."""
        self._git.run("fetch", "--quiet", "--no-write-fetch-head", self._remote, f"{tag.ref}:{tag.ref}")
