"""Proof of the verified head: the commit up to which every command reads a ledger.

From the last commit that this clone proved, each further commit must follow the rules of
`release.ledger.audit`, and be signed by an allowed signer where that is required. Nothing is read past a
commit that fails. A signed commit whose record names its parent as `verified_head` vouches for all commits
before it: its writer proved them, signatures included.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from release.errors import (
    LedgerError,
    LedgerRewritten,
    LedgerShallow,
    LedgerUnproven,
    LedgerUnsigned,
    ReleaseError,
)
from release.git.runner import Git
from release.ledger.audit import Audit, LedgerState
from release.ledger.commit_stream import Step, oldest_here, walk
from release.ledger.genesis import Lineage
from release.ledger.shallow_clone import state_at
from release.ledger.signature_check import SAID, CheckedCommit, SignatureCheck
from release.ledger.signing import is_signed, read_signatures
from release.ledger.verified_head import Memory, Policy
from release.ledger.violations import Violation
from release.records import Body, Record
from release.values import Struct, replace

TOLERATED: Final = frozenset({"index-missing", "record-later"})
"""Violations that hide something and claim nothing: reading goes on past them."""

FIRST_SECONDS: Final = 300.0
"""Limit for the first proof of a clone in one command."""

NEW_SECONDS: Final = 20.0
"""Limit for the proof of new commits in one command. The next command continues at the last proven commit."""


class Policies(Struct, frozen=True, kw_only=True):
    """Rules of a ledger: its signers, its id, and how its commits are verified."""

    policy: Policy = Policy()
    say: Callable[[str], None] = lambda _: None
    bind: bool = False
    """True: an append binds its service to the ledger and the ledger to the repository."""
    vouch: bool = False
    """True: an append vouches for all commits before it, as after a proof with signatures."""


class Proved(Struct, frozen=True, kw_only=True):
    """Result of a proof."""

    head: str | None
    """The verified head; None: nothing is proven, or the ledger is empty."""
    error: LedgerUnproven | None = None
    """Reason why the ledger is not proven up to its last commit; None if it is."""


class Prover:
    """Proof of one ledger in one clone."""

    def __init__(self, git: Git, name: str, memory: Memory, policies: Policies) -> None:
        """Keep the arguments; prove nothing. `name`: the ledger's name in messages."""
        self._git = git
        self._name = name
        self._memory = memory
        self.policy, self._say = policies.policy, policies.say
        self._state: LedgerState | None = None
        self._judge = SignatureCheck(git, name, policies.say)

    @property
    def state(self) -> LedgerState:
        """Return the state at the verified head."""
        return self._state or self._beginning()

    def _beginning(self) -> LedgerState:
        return LedgerState(lineage=Lineage(home=self.policy.home))

    def prove(self, tip: str | None, remembered: str | None) -> Proved:
        """Prove the ledger from the last proven commit up to `tip`. Return the result.

        Args:
            tip: newest known commit.
            remembered: the verified head of an earlier command.

        Raises:
            LedgerRewritten: the ledger lacks a commit that was proven before.
            LedgerShallow: this clone has too little of the history to prove it.
            LedgerError: git cannot read the history.
        """
        known = self._known(remembered)
        if tip is None or tip == known.commit:
            return Proved(head=tip)
        last = known.commit or (remembered if self._is_here(remembered) else None)
        try:
            contains = last is None or self._contains(tip, last)
        except LedgerError as error:
            return self._without(tip, known, last, error.found)
        if not contains:
            raise self._rewritten(last or "", tip)
        start = oldest_here(self._git, tip) if self.policy.tip and known.commit is None else None
        return self._walked(tip, known) if start is None else self._begun(tip, start)

    def _begun(self, tip: str, start: str) -> Proved:
        """Prove the ledger from the oldest commit of this clone, whose state is taken from its own tree."""
        if start == tip:
            raise LedgerShallow(
                f"prove the ledger {self._name} up to {tip}",
                f"this clone does not have the commits before {start}",
                "fetch the rest: git fetch --unshallow",
            )
        try:
            known = state_at(self._git, start, self.policy.home, self._name)
        except LedgerShallow:
            self.prove_whole()
            raise
        proved = self._walked(tip, known)
        vouched = ", but an allowed signer vouches for it" if self.policy.signers is not None else ""
        self._say(
            f"this CI job fetched and proved the newest commits of the ledger {self._name} only: nothing up "
            f"to {start[:12]} was checked here{vouched}. `invoke verify --ledger` fetches and proves it all"
        )
        return proved

    def prove_whole(self) -> None:
        """Begin the next proof at the ledger's first commit."""
        self.policy, self._state = replace(self.policy, tip=False), None

    def _without(self, tip: str, known: LedgerState, last: str | None, found: str) -> Proved:
        """Return the commit proven before as the head, because git cannot read the next one."""
        proved = self._walked(last, known) if last not in (None, known.commit) else Proved(head=known.commit)
        return Proved(head=proved.head, error=proved.error or self._unreadable([], f"{tip}: {found}"))

    def extend(self, base: str | None, commit: str, seconds: int, records: Sequence[Record[Body]]) -> None:
        """Make `commit` the verified head without a proof: this process made it on the verified head."""
        state = self.state
        if state.commit != base:
            return
        lineage, last = state.lineage, dict(state.last)
        for record in records:
            last[record.envelope.service] = (record.envelope.seq, record.id)
            lineage = lineage.with_record(record)
        self._keep(replace(state, commit=commit, seconds=seconds, last=last, lineage=lineage, judged=None))

    def _known(self, remembered: str | None) -> LedgerState:
        """Return the state to begin at; the state before the first commit if the stored one does not fit."""
        if self._state is None or self._state.commit is None:
            loaded = self._memory.load(self.policy) if remembered is not None else None
            self._state = loaded or self._beginning()
        return self._state

    def _walked(self, tip: str, known: LedgerState) -> Proved:
        state, seen, wrong = self._audited(tip, known)
        signers, unsigned = self.policy.signers, None
        if signers is not None:
            unsigned = self._judge.first_unsigned(seen, signers, known, seconds=_seconds_for(known))
        if unsigned is not None:
            wrong = self._unsigned(seen, unsigned)
            state, _, _ = self._audited(tip, known, limit=unsigned)
        if state.commit != self.state.commit or self._judge.judged != known.judged:
            self._keep(replace(state, judged=self._judge.judged))
        return Proved(head=state.commit, error=wrong)

    def _audited(
        self, tip: str, known: LedgerState, limit: int | None = None
    ) -> tuple[LedgerState, list[CheckedCommit], LedgerUnproven | None]:
        """Check at most `limit` commits. Return the last good state, the commits, and the first error."""
        audit = Audit(self._git, before=known)
        seconds = _seconds_for(known)
        deadline = time.monotonic() + seconds
        seen, trouble = list[CheckedCommit](), list[str]()
        for step in self._steps(tip, known.commit, trouble):
            if len(seen) == limit:
                break
            state = audit.state
            found, _ = audit.step(step)
            fatal = next((each for each in found if each.kind not in TOLERATED), None)
            if fatal is not None:
                return state, seen, self._broken(seen, fatal)
            seen.append(CheckedCommit(commit=step.commit, vouches=audit.vouches))
            if time.monotonic() > deadline and step.commit != tip:
                return audit.state, seen, self._too_long(seen, seconds)
        return audit.state, seen, self._unreadable(seen, trouble[0]) if trouble else None

    def _steps(self, tip: str, since: str | None, trouble: list[str]) -> Iterator[Step]:
        if since is None:
            count = self._git.run("rev-list", "--count", "--first-parent", tip).text
            if count.isdigit() and int(count) >= SAID:
                self._say(
                    f"proving the {count} commits of the ledger {self._name}; this clone does it only once"
                )
        return walk(self._git, tip, trouble.append, since=since)

    def _unsigned(self, seen: list[CheckedCommit], place: int) -> LedgerUnsigned:
        signers = self.policy.signers
        assert signers is not None  # noqa: S101 - asked only with signers
        commit = seen[place].commit
        (signature,) = read_signatures(self._git, signers, [commit])
        try:
            unsigned = signature.letter == "N" and not is_signed(self._git, commit)
            found = "it is not signed" if unsigned else signers.found(signature)
        except ReleaseError as error:
            found = error.found
        return LedgerUnsigned(
            f"read the ledger {self._name} past {self._end(seen[:place])}",
            f"`require_signed` asks for an allowed signer, but commit {commit}: {found}",
            f"{_STILL_WORKS}. If the commit is honest, an allowed signer can vouch for it: "
            "invoke ledger-checkpoint",
        )

    # errors and memory

    def _broken(self, seen: list[CheckedCommit], violation: Violation) -> LedgerUnproven:
        return LedgerUnproven(
            f"read the ledger {self._name} past {self._end(seen)}",
            f"the next commit, {violation.commit}, breaks a rule: {violation}",
            f"{_STILL_WORKS}; `invoke verify --ledger` lists all violations",
        )

    def _unreadable(self, seen: list[CheckedCommit], words: str) -> LedgerUnproven:
        return LedgerUnproven(
            f"read the ledger {self._name} past {self._end(seen)}",
            f"git cannot read the commits after this one: {words}",
            f"{_STILL_WORKS}. Check this clone: git fsck --full; a fresh clone may have all objects",
        )

    def _too_long(self, seen: list[CheckedCommit], seconds: float) -> LedgerUnproven:
        return LedgerUnproven(
            f"read the ledger {self._name} past {self._end(seen)}",
            f"the proof of {len(seen)} commits took {seconds:g} s, and more commits are left",
            f"{_STILL_WORKS}; `invoke sync` continues the proof",
        )

    def _end(self, seen: list[CheckedCommit]) -> str:
        last = seen[-1].commit if seen else self.state.commit
        return f"its verified head {last[:12]}" if last is not None else "its beginning"

    def _keep(self, state: LedgerState) -> None:
        self._state = state
        self._memory.save(state)

    def _is_here(self, commit: str | None) -> bool:
        """Return whether the clone has a commit. A reference alone is no proof."""
        return commit is not None and self._git.run("cat-file", "-e", f"{commit}^{{commit}}").status == 0

    def _contains(self, later: str, earlier: str) -> bool:
        answer = self._git.run("merge-base", "--is-ancestor", earlier, later)
        if answer.status not in (0, 1):
            raise LedgerError(
                f"compare the ledger commits {earlier} and {later}",
                answer.words,
                "check the repository: git fsck",
            )
        return answer.status == 0

    def _rewritten(self, seen: str, now: str) -> LedgerRewritten:
        return LedgerRewritten(
            f"follow the ledger {self._name}",
            f"this clone proved the ledger up to {seen}, but {now} does not contain that commit",
            f"compare both histories: git log --graph {seen[:12]} {now[:12]}",
            seen=seen,
            now=now,
        )


def _seconds_for(known: LedgerState) -> float:
    return FIRST_SECONDS if known.commit is None else NEW_SECONDS


_STILL_WORKS: Final = (
    "commands use the ledger up to its verified head: `rollback` and `status` work, and new "
    "events wait in this clone"
)
