"""Rules of the genesis records: the repository that a ledger belongs to, and its services.

The first record that a service appends carries a `genesis`: the id of the ledger, and the root commits of the
code. So a ledger of another repository is refused, though the same people signed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from release.errors import LedgerMissing
from release.ledger import layout
from release.ledger.commit_stream import Step
from release.ledger.violations import Violation, commit_violation
from release.records import Body, Genesis, Record
from release.values import Struct, replace


class Home(Struct, frozen=True, kw_only=True):
    """Identity of this repository, from the operator's clone and configuration."""

    services: frozenset[str] = frozenset()
    """Services of today's configuration."""
    ledger: str | None = None
    """Id of the ledger that the configuration names."""
    roots: Callable[[], frozenset[str]] = frozenset
    """Returns the commits without a parent in the history of HEAD; empty in a shallow clone."""
    released: Callable[[], str | None] = lambda: None
    """Returns a git tag whose message names a released digest; None if no tag does."""

    def check_beginning(self, ledger: str) -> None:
        """Raise LedgerMissing if a ledger existed here before and is lost.

        Args:
            ledger: branch of the ledger, as git writes it.
        """
        attempted, tag = f"begin the ledger {ledger}", None
        if self.ledger is not None:
            found = f"`ledger.id` names the ledger {self.ledger}, and the branch does not exist"
        elif (tag := self.released()) is not None:
            found = f"the git tag {tag} names a release of an earlier ledger, and the branch does not exist"
        else:
            return
        begin = "remove `ledger.id` from the configuration, and " if tag is None else ""
        raise LedgerMissing(
            attempted,
            found,
            "restore the deleted branch from a clone that knows it: `git for-each-ref refs/release` shows "
            "what a clone knows. If no clone knows it: invoke ledger-rebuild. To begin another ledger on "
            f"purpose, as in a fork: {begin}nox -s release -- --new-ledger",
        )


class Lineage(Struct, frozen=True, kw_only=True):
    """Binding of a ledger to a repository and services, up to one commit."""

    ledger: str | None = None
    """Id of the ledger; None before its first genesis."""
    bound: frozenset[str] = frozenset()
    """Services with a genesis."""
    older: frozenset[str] = frozenset()
    """Services that had records before the first genesis of the ledger."""
    home: Home = Home()

    def with_record(self, record: Record[Body]) -> Lineage:
        """Return the binding after one more record."""
        genesis, service = record.envelope.genesis, record.envelope.service
        if genesis is not None:
            return replace(self, ledger=self.ledger or genesis.ledger, bound=self.bound | {service})
        if self.ledger is None and service not in self.older:
            return replace(self, older=self.older | {service})
        return self

    def violations(self, step: Step, record: Record[Body]) -> Iterator[Violation]:
        """Yield the violations of one more record."""
        genesis, service = record.envelope.genesis, record.envelope.service
        if genesis is not None:
            yield from self._foreign(step, record, genesis)
        elif self.ledger is not None and service not in self.bound | self.older | self.home.services:
            path = layout.record_path(record.id)
            found = f"the service {service}, which has no genesis here and is not configured"
            yield commit_violation(step, "foreign-service", found, "a service of this ledger", path)

    def _foreign(self, step: Step, record: Record[Body], genesis: Genesis) -> Iterator[Violation]:
        path, service = layout.record_path(record.id), record.envelope.service
        expected = self.ledger or self.home.ledger
        if expected is not None and genesis.ledger != expected:
            found = f"{service} is bound to the ledger {genesis.ledger}"
            yield commit_violation(step, "foreign-ledger", found, f"the ledger {expected}", path)
        elif service in self.bound:
            yield commit_violation(step, "foreign-ledger", f"{service} is bound a second time", "once", path)
        elif self._is_elsewhere(genesis):
            found = f"the repository with the root commit {', '.join(genesis.roots)[:200]}"
            here = ", ".join(sorted(self.home.roots()))[:200]
            yield commit_violation(step, "foreign-ledger", found, f"this repository: {here}", path)

    def _is_elsewhere(self, genesis: Genesis) -> bool:
        if self.home.ledger is not None or not genesis.roots:
            return False
        here = self.home.roots()
        return bool(here) and not here & set(genesis.roots)
