"""Proof of a ledger from its first commit: commits only add files, and all files agree.

docs/explanation/ledger.md lists the proved properties, and what cannot be proved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from release.config import Ledger as Settings
from release.errors import LedgerRewritten, LedgerShallow, LedgerUnreachable, NotALedger
from release.git.source import Source
from release.ledger import layout
from release.ledger.audit import Audit, LedgerState
from release.ledger.branch import Branch
from release.ledger.commit_stream import oldest_here, walk, with_signatures
from release.ledger.genesis import Home, Lineage
from release.ledger.git_tags import Tags, read_tags
from release.ledger.opening import home
from release.ledger.ref_updates import update_ref_input
from release.ledger.signing import Signers
from release.ledger.violations import OF_SIGNATURES, Report, Violation
from release.records import Record, Release


class Witness(Protocol):
    """Source outside of git that is asked about each release, such as a registry."""

    def ask(self, commit: str, record: Record[Release]) -> Iterable[Violation]:
        """Return the differences between the source and a record, which `commit` added to the ledger."""

    def rest(self) -> Iterable[Violation]:
        """Return the violations that are certain only after the last release."""

    def unchecked(self) -> Iterable[str]:
        """Return sentences on the parts that could not be checked."""


def verify(
    source: Source, settings: Settings, *, services: Collection[str] = (), witness: Witness | None = None
) -> Report:
    """Prove the ledger of a repository, and list every violation.

    Args:
        source: the repository.
        settings: settings of the ledger.
        services: services of today's configuration.
        witness: source that is asked about every release.

    Raises:
        NotALedger: the branch is not a ledger.
        LedgerError: git cannot read the references, the history is cut off, or the ledger's format or
            the list of signers cannot be read.
    """
    return _Verification(source, settings, home(source, settings, services)).report(witness)


class _Verification:
    def __init__(self, source: Source, settings: Settings, here: Home) -> None:
        self._home = here
        self._vouched = 0
        self._git, self._settings = source.git, settings
        self._branch = Branch(source.git, branch=settings.branch, remote=settings.remote)
        proofs = "refs/release-verified-signed" if settings.require_signed else "refs/release-verified"
        self._remembered = f"{proofs}/{settings.remote or 'local'}/{settings.branch}"
        self._signers = Signers.of(source.root, settings)
        self._violations: list[Violation] = []
        self._unchecked: list[str] = []

    def report(self, witness: Witness | None) -> Report:
        head = self._head()
        self._compare_with_memory(head)
        beginning = LedgerState(lineage=Lineage(home=self._home))
        strict = self._settings.require_signed
        audit = Audit(self._git, signers=self._signers, all_signed=strict, before=beginning)
        if head is not None:
            self._complete(head)
            self._check_whether_a_ledger(head)
            self._prove(head, audit, witness)
            self._remember(head)
        return Report(
            ledger=str(self._branch),
            head=head,
            commits=audit.commits,
            records=audit.records,
            releases=audit.releases,
            violations=tuple(self._violations),
            unchecked=tuple(self._unchecked),
        )

    def _head(self) -> str | None:
        """Return the newest known commit; the server's commit after a fork or a rewind."""
        try:
            return self._branch.refresh()
        except LedgerRewritten as error:
            self._violations.append(_rewound(error.seen, error.found))
            return error.seen
        except LedgerUnreachable as error:
            self._unchecked.append(f"the state of {self._settings.remote} now: {error.found}")
        try:
            return self._branch.head()
        except LedgerRewritten as error:
            self._violations.append(_rewound(error.seen, error.found))
            return error.seen

    def _complete(self, head: str) -> None:
        """Fetch the missing history, if this clone has only the newest commits."""
        if self._settings.remote is None or oldest_here(self._git, head) is None:
            return
        try:
            self._branch.complete(head)
        except LedgerUnreachable as error:
            raise LedgerShallow(
                f"prove the ledger {self._branch} from its first commit",
                f"this clone has only the newest commits, and could not fetch the rest: {error.found}",
                f"{error.hint}; then run `invoke verify --ledger` again",
            ) from error

    def _compare_with_memory(self, head: str | None) -> None:
        """Add a violation if the history lacks the last commit verified in this clone."""
        seen = self._seen()
        if not seen or seen == head:
            return
        contains = head is not None and self._git.run("merge-base", "--is-ancestor", seen, head).status == 0
        if not contains and not any(violation.kind == "rewound" for violation in self._violations):
            self._violations.append(_rewound(seen, f"the branch is at {head or 'nothing'}, which lacks it"))

    def _remember(self, head: str) -> None:
        """Store the head of a ledger without violations, if no command has proved it in this clone yet."""
        if not self._violations and not self._seen():
            self._git.run("update-ref", "--stdin", stdin=update_ref_input({self._remembered: (head, None)}))

    def _seen(self) -> str:
        return self._git.run("for-each-ref", "--format=%(objectname)", self._remembered).text

    def _check_whether_a_ledger(self, head: str) -> None:
        """Raise NotALedger if the branch has neither `format` nor records nor an index."""
        answer = self._git.run("ls-tree", "--name-only", "-z", head)
        names = set(answer.text.split("\0"))
        if answer.status == 0 and not names & {layout.FORMAT_PATH, "records", "index"}:
            raise NotALedger(
                f"prove the ledger {self._branch}",
                "the branch is not a ledger: it has no file `format` and no records",
                "set another branch in `ledger.branch`",
            )

    def _prove(self, head: str, audit: Audit, witness: Witness | None) -> None:
        known = read_tags(self._git, self._settings.remote)
        if self._settings.remote is not None and known.there is None:
            self._unchecked.append(f"the git tags of {self._settings.remote}: it does not answer")
        witnesses: list[Tags | Witness] = [known, *([witness] if witness is not None else [])]
        steps = walk(self._git, head, self._trouble)
        for step in steps if self._signers is None else with_signatures(self._git, self._signers, steps):
            violations, releases = audit.step(step)
            self._violations += violations
            if audit.vouches and not any(each.kind in OF_SIGNATURES for each in violations):
                self._vouch()
            asked = ((each, record) for each in witnesses for record in releases)
            self._violations += [one for each, record in asked for one in each.ask(step.commit, record)]
        self._violations += audit.rest()
        if witness is not None:
            self._violations += witness.rest()
            self._unchecked += witness.unchecked()
        if self._vouched:
            self._unchecked.append(f"{self._vouched} signatures: a later signer vouches for the commits")
        if audit.unsigned_before:
            self._unchecked.append(f"{audit.unsigned_before} commits from before the first signed one")

    def _vouch(self) -> None:
        """Drop the signature violations before a commit that vouches for the earlier commits."""
        vouched = [each for each in self._violations if each.kind in OF_SIGNATURES]
        self._violations = [each for each in self._violations if each.kind not in OF_SIGNATURES]
        self._vouched += len(vouched)

    def _trouble(self, words: str) -> None:
        """Add a violation: git stopped in the middle of the history."""
        self._violations.append(
            Violation(
                kind="damaged",
                commit=None,
                path=str(self._branch),
                found=words,
                expected="a complete history",
            )
        )


def _rewound(seen: str, found: str) -> Violation:
    return Violation(
        kind="rewound", commit=seen, path="", found=found, expected="a branch that contains this commit"
    )
