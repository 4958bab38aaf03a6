"""Branch of the ledger on a git remote: listed, fetched and followed, never backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from release.errors import LedgerRewritten, LedgerUnreachable
from release.git.history import WHOLE_DEPTH
from release.git.runner import ANSWER_SECONDS, FETCH_SECONDS, Answer, Git
from release.ledger.address import remote_addresses
from release.ledger.commit_stream import DEPTHS, oldest_here
from release.ledger.ref_updates import LocalRefs, ServerDeadline, Tag, pause_before_retry
from release.ledger.refs import ATTEMPTS, QUIET, Refs

_CHECKED: Final = ("-c", "fetch.fsckObjects=true", "-c", "fetch.unpackLimit=1")
"""Options with which git refuses malformed objects, such as a folder with two files of one name.

What a fetch brings stays in one pack, so that a fetch that is cut off leaves nothing.
"""

_OF_LEDGER: Final = ("--quiet", "--no-tags", "--no-prune", "--refmap=", "--no-recurse-submodules")
_APART: Final = ("--no-auto-maintenance", "--no-write-fetch-head")
"""Options of each fetch, so that it updates only the named references of the clone."""

PUSH_SECONDS: Final = 60.0
"""Time limit for one append at a server."""

_PATIENT: Final = ServerDeadline()


class Remote:
    """Branch of the ledger on a server."""

    def __init__(self, git: Git, refs: Refs, *, remote: str, branch: str, tip: bool = False) -> None:
        """Keep the arguments. `tip`: a clone without commits of the ledger fetches only the newest."""
        self._tip = tip
        if tip:
            git.promisor = remote
        self._git = git
        self._refs = refs
        self._remote = remote
        self._name = branch
        self._target: str | None = None
        """Repository argument for `git push`; None until it is known."""
        self.is_proven: Callable[[str], bool] = lambda _: True
        """Returns whether a commit, which the server lost, was ever proven."""

    def __str__(self) -> str:
        """Return the branch as git writes it: `origin/release-ledger`."""
        return f"{self._remote}/{self._name}"

    def refresh(self, seconds: float | None) -> None:
        """Fetch from the server. Raise LedgerUnreachable, LedgerRewritten, as `Branch.refresh`."""
        until = ServerDeadline.after(seconds)
        known = self._refs.known()  # read first: what the server says afterwards must contain it
        tip = self.listed(until=until).get(self._refs.branch)
        self.follow(tip, known.seen, until)
        self._compare(tip, known)

    def _compare(self, tip: str | None, known: LocalRefs) -> None:
        """Raise LedgerRewritten if the server's tip lacks the commit of git's tracking branch."""
        other = known.tracking
        if other is None or other in (known.seen, tip):
            return
        if tip is None or not (self.contains(tip, other) or self._is_forgiven(other, tip)):
            raise self._changed_behind_us(other, tip)

    def contains(self, later: str, earlier: str) -> bool:
        """Return as `Refs.contains`. A shallow clone fetches the whole history before it answers False."""
        if self._refs.contains(later, earlier):
            return True
        if not self._refs.is_here(earlier) or oldest_here(self._git, later) is None:
            return False
        self.complete(later)
        return self._refs.contains(later, earlier)

    def complete(self, tip: str) -> None:
        """Fetch the whole history of the ledger and all its files. Raise LedgerUnreachable."""
        refetch = ("--refetch", "--no-filter") if self._lacks_files(tip) else ()
        self._complete(f"--depth={WHOLE_DEPTH}", *refetch, by_hand="git fetch --unshallow")

    def fill(self, tip: str) -> None:
        """Fetch all files that a partial clone lacks in one request. Raise LedgerUnreachable."""
        if self._lacks_files(tip):
            self._complete("--refetch", "--no-filter", by_hand="git fetch --refetch --no-filter")

    def _lacks_files(self, tip: str) -> bool:
        if self._git.run("config", f"remote.{self._remote}.promisor").text != "true":
            return False
        missing = self._missing(tip, ["records"])
        return missing is None or bool(missing)

    def _missing(self, root: str, paths: Sequence[str]) -> list[str] | None:
        """Return git's ids of the files at these paths that this clone lacks; None if git cannot tell."""
        answer = self._git.run(
            *("--literal-pathspecs", "rev-list", "--objects", "--missing=print", "--stdin"),
            stdin="\n".join([root, "--", *paths, ""]).encode(),
        )
        listed = answer.text.splitlines()
        return [line[1:] for line in listed if line.startswith("?")] if answer.status == 0 else None

    def _complete(self, *options: str, by_hand: str) -> None:
        fetch = (*_CHECKED, "fetch", *_OF_LEDGER, *_APART, *options)
        answer = self._git.run(*fetch, self._remote, self._refs.branch, timeout=FETCH_SECONDS)
        if answer.status != 0:
            raise LedgerUnreachable(
                f"fetch the whole ledger {self}", answer.words, f"check the connection: {by_hand}"
            )

    def deepen(self, depth: int) -> None:
        """Fetch the `depth` newest commits into a clone that has fewer. Raise LedgerUnreachable."""
        answer = self._fetched_newest(depth, _PATIENT)
        if answer.status != 0:
            by_hand = f"check the connection: git fetch --depth={depth} {self._remote} {self._refs.branch}"
            raise LedgerUnreachable(f"fetch {depth} commits of the ledger {self}", answer.words, by_hand)

    def _fetched_newest(self, depth: int, until: ServerDeadline) -> Answer:
        """Fetch the newest commits with their folders; without files, if the server supports filters.

        Git stores the filter in the clone, and fetches a missing file when it is read.
        """
        return self.fetch(until, f"--depth={depth}", "--filter=blob:none")

    def bring(self, tree: str, paths: Sequence[str]) -> None:
        """Fetch missing files in one request; all files, if the server refuses single objects.

        Raise LedgerUnreachable if the server does not answer.
        """
        missing = self._missing(tree, paths)
        if not missing:
            return
        answer = self._git.run(
            *("-c", "fetch.fsckObjects=true", "-c", "fetch.negotiationAlgorithm=noop", "fetch"),
            *(*_OF_LEDGER, *_APART, "--stdin", self._remote),
            stdin="".join(f"{oid}\n" for oid in missing).encode(),
            timeout=FETCH_SECONDS,
        )
        if answer.status != 0:
            self._complete("--refetch", "--no-filter", by_hand="git fetch --refetch --no-filter")

    def listed(self, *refs: str, until: ServerDeadline = _PATIENT) -> dict[str, str]:
        """Return the server's objects of the branch and `refs`, by reference. Raise LedgerUnreachable."""
        wanted = (self._refs.branch, *refs)
        answer = self._git.run("ls-remote", self._remote, *wanted, timeout=until.left(ANSWER_SECONDS))
        if answer.status != 0:
            raise LedgerUnreachable(
                f"ask the git remote {self._remote} for the ledger branch {self._name}",
                answer.words,
                f"check the connection: git ls-remote {self._remote}",
            )
        rows = (line.split("\t") for line in answer.text.splitlines())
        return {ref: oid for oid, ref in rows if ref in wanted}

    def follow(self, tip: str | None, seen: str | None, until: ServerDeadline = _PATIENT) -> None:
        """Fetch up to the server's tip, without depth and without force; never follow a rewind.

        Args:
            tip: newest commit of the server.
            seen: newest commit of the server at the last fetch.
            until: time limit for the server.

        Raises:
            LedgerUnreachable: the server does not send its new commits.
            LedgerRewritten: `tip` does not contain `seen`.
        """
        if tip is None and seen is not None:
            raise self._changed_behind_us(seen, None)
        for attempt in range(ATTEMPTS):
            if tip is None or tip == seen:
                break
            answer = self._followed(until, begins=attempt == 0)
            if answer.status == 0:
                break
            seen = self._refs.known().seen
            if not until.is_over():
                tip = self.listed(until=until).get(self._refs.branch)
            if self._has_arrived(tip, seen):
                break
            if attempt == ATTEMPTS - 1 or until.is_over():
                by_hand = f"check the connection: git fetch {self._remote} {self._refs.branch}"
                raise LedgerUnreachable(f"fetch the ledger {self}", answer.words, by_hand)
            pause_before_retry(attempt)
        self._refs.settle(tip, None)

    def _followed(self, until: ServerDeadline, *, begins: bool) -> Answer:
        """Fetch the branch. A clone without commits fetches only the newest ones, if that is enough."""
        known = self._refs.known()
        has_none = known.seen is None and known.tracking is None and known.local is None
        if begins and self._tip and has_none and known.verified is None:
            return self._fetched_newest(DEPTHS[0], until)
        return self.fetch(until)

    def _has_arrived(self, tip: str | None, seen: str | None) -> bool:
        """Return whether another process of this clone fetched `tip`, after this process's fetch was refused.

        Raises:
            LedgerRewritten: the branch was rewound or replaced.
        """
        if tip is None or not self._is_whole(tip):
            return False
        if seen is not None and not (self.contains(tip, seen) or self._is_forgiven(seen, tip)):
            raise self._changed_behind_us(seen, tip)
        return True

    def _is_whole(self, tip: str) -> bool:
        """Return whether this clone has the commit and all objects of it."""
        others = ("--not", f"--glob={self._refs.seen}", f"--glob={self._refs.verified}")
        return self._git.run("rev-list", "--objects", "--quiet", tip, *others).status == 0

    def _is_forgiven(self, seen: str, tip: str) -> bool:
        """Return whether the server lost only unproven commits. If so, follow the server."""
        known = self._refs.known()
        if known.verified is None or not self.contains(tip, known.verified) or self.is_proven(seen):
            return False
        refs = {self._refs.seen: known.seen, self._refs.tracking: known.tracking}
        if not known.checked_out:
            refs[self._refs.branch] = known.local
        lost = {ref: (tip, old) for ref, old in refs.items() if old and not self._refs.contains(tip, old)}
        return self._refs.update(lost).status == 0

    def fetch(self, until: ServerDeadline = _PATIENT, *options: str) -> Answer:
        """Fetch the branch into this clone's reference, without force; everything without options."""
        return self._git.run(
            *(*_CHECKED, "fetch", *_OF_LEDGER, *_APART, *(options or ("--no-filter",))),
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
            f"the branch was at {seen}, and now is {found}: the server rewound, replaced or deleted it",
            "this clone keeps all records, and `invoke rollback` uses them. An account that "
            f"may write to the branch restores it: {mend}",
            seen=seen,
            now=now,
        )

    def push(self, *options: str, specs: Sequence[str]) -> Answer:
        """Push references (refspecs of git-push). Move no reference of this clone."""
        if self._target is None:
            self._target = remote_addresses(self._git, self._remote).target
        return self._git.run(
            *(*QUIET, "push", "--porcelain", "--no-verify", "--no-follow-tags", *options),
            *("--recurse-submodules=no", self._target, *specs),
            timeout=PUSH_SECONDS,
        )

    def lacks_atomic(self, specs: Sequence[str]) -> bool:
        """Return whether the server accepts each reference alone, but no atomic push. Send nothing."""
        whole, plain = ("--dry-run", "--atomic"), ("--dry-run",)
        return (
            len(specs) > 1
            and self.push(*whole, specs=specs).status != 0
            and self.push(*plain, specs=specs).status == 0
        )

    def fetch_tag(self, tag: Tag) -> None:
        """Fetch a tag that this clone lacks. Ignore a silent server: a later command fetches the tag."""
        self._git.run("fetch", "--quiet", "--no-write-fetch-head", self._remote, f"{tag.ref}:{tag.ref}")
