"""Number and predecessor of a record, new or existing. This module reads the ledger and writes nothing."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import islice
from typing import Final

from release.errors import LedgerError, VersionTaken
from release.ledger import layout
from release.ledger.audit import LedgerState
from release.ledger.index_reader import Reader, last_record, read_entry, record_at, record_if_at
from release.ledger.proof import Policies
from release.records import (
    Body,
    Deployment,
    Draft,
    Freeze,
    Genesis,
    Operation,
    Quarantine,
    Record,
    Release,
    Verification,
)
from release.text.local_time import local_time
from release.values import Struct, field, replace


class Stamp(Struct, frozen=True, kw_only=True):
    """Additions of a writer to the envelope: the genesis of a service, and the verified head."""

    policies: Policies
    state: LedgerState = LedgerState()
    fresh: str = field(default_factory=lambda: secrets.token_hex(16))
    """Id for a ledger that has no id yet."""

    def on(self, state: LedgerState) -> Stamp:
        """Return the stamp for a commit on this state."""
        return replace(self, state=state)

    def genesis(self, service: str) -> Genesis | None:
        """Return the genesis for a service without one; None if no genesis is needed."""
        home, lineage = self.policies.policy.home, self.state.lineage
        if not self.policies.bind or service in lineage.bound:
            return None
        ledger = lineage.ledger or home.ledger or self.fresh
        return Genesis(ledger=ledger, roots=tuple(sorted(home.roots())))

    @property
    def verified_head(self) -> str | None:
        """Return the head that was proven with signatures, or that the operator vouches for."""
        proven = self.policies.policy.signers is not None or self.policies.vouch
        return self.state.commit if proven else None


class Placing:
    """Numbers for the drafts of one append, on one state of the ledger."""

    def __init__(self, ledger: Reader, stamp: Stamp | None = None) -> None:
        """Keep the arguments; place nothing."""
        self._ledger = ledger
        self._stamp = stamp
        self._bound: set[str] = set()
        self._last: dict[str, tuple[int, str | None]] = {}
        self._new: dict[str, Record[Body]] = {}
        self.files: dict[str, bytes] = {}
        """Paths and contents that the new records add."""

    @property
    def new(self) -> tuple[Record[Body], ...]:
        """Return the records that the ledger does not have yet."""
        return tuple(self._new.values())

    def place(self, draft: Draft[Body]) -> Record[Body]:
        """Return the existing record of a draft, or a new record. Raise VersionTaken, LedgerError."""
        return self.existing(draft) or self._added(draft)

    def _added(self, draft: Draft[Body]) -> Record[Body]:
        conflict = self.conflict(draft)
        if conflict:
            raise LedgerError(
                f"record an event of {draft.service}", conflict, "list the events: invoke history"
            )
        number, before = self._last.get(draft.service) or last_record(self._ledger, draft.service)
        record = self._at(draft, number + 1, before)
        paths = layout.index_paths(record, lambda path: self._entry(path) is not None)
        self.files |= {path: f"{record.id}\n".encode() for path in paths}
        self.files[layout.record_path(record.id)] = record.to_bytes()
        self._new[record.id] = record
        self._last[draft.service] = (record.envelope.seq, record.id)
        return record

    def _at(self, draft: Draft[Body], seq: int, prev: str | None) -> Record[Body]:
        if self._stamp is None:
            return draft.at(seq, prev)
        genesis = self._stamp.genesis(draft.service) if draft.service not in self._bound else None
        self._bound.add(draft.service)
        return draft.at(seq, prev, genesis=genesis, verified_head=self._stamp.verified_head)

    def existing(self, draft: Draft[Body]) -> Record[Body] | None:
        """Return the record with the draft's content; None if new. Raise VersionTaken, LedgerError."""
        if isinstance(draft.body, Release):
            return self._same_release(draft, draft.body)
        if isinstance(draft.body, Deployment):
            return self._same_event(draft, draft.body)
        if isinstance(draft.body, Quarantine):
            folder = layout.quarantine_folder(draft.service, draft.body.release)
            return self._same_word(draft, folder, f"{draft.body.release}-")
        if isinstance(draft.body, Freeze):
            return self._same_word(draft, layout.freeze_folder(draft.service, draft.body.environment), "")
        if isinstance(draft.body, Verification | Operation):
            return self._same_by_time(draft)
        return None

    def _same_release(self, draft: Draft[Body], body: Release) -> Record[Body] | None:
        """Return the record of the same release. Raise VersionTaken if its version or digest is taken."""
        record = self._known(layout.version_entry_path(draft.service, body.version))
        if record is not None:
            if _identity(record.body) == _identity(body):
                return record
            raise _taken(draft, body, record)
        record = self._known(
            layout.digest_entry_path(draft.service, body.image.digest.removeprefix("sha256:"))
        )
        if record is not None:
            raise _taken(draft, body, record, "one image has one version: deploy that version")
        return None

    def _same_event(self, draft: Draft[Body], body: Deployment) -> Record[Body] | None:
        """Return the event of the same attempt with the same content; its time may differ.

        A deployment starts once: another clone may have recorded the start from the lock.
        """
        events = list(self._events(draft.service, body.deployment))
        same = next((record for record in events if _says(record, draft)), None)
        if same is not None or body.status not in ("started", "healthy"):
            return same
        if body.status == "started":
            return next((record for record in events if _is_start(record, body)), None)
        healthy = (record for record in events if _is_healthy(record, body))
        return next((record for record in healthy if _what_ran(record.body) == _what_ran(body)), None)

    def conflict(self, draft: Draft[Body]) -> str:
        """Return why an event contradicts the ledger, as its deployment was healthy; empty if it does not."""
        body = draft.body
        if not isinstance(body, Deployment) or body.status != "healthy" or self.existing(draft) is not None:
            return ""
        events = self._events(draft.service, body.deployment)
        known = next((record for record in events if _is_healthy(record, body)), None)
        if known is None:
            return ""
        return f"the record {known.id} has this deployment as healthy, with another release or other settings"

    def _same_word(self, draft: Draft[Body], folder: str, prefix: str) -> Record[Body] | None:
        """Return the quarantine or freeze of the same time and content; None if new."""
        names = [name for name in self._ledger.names(folder) if name.startswith(prefix)]
        records = [record_at(self._ledger, f"{folder}/{name}") for name in names]
        same = (record for record in (*records, *self._new.values()) if record.draft() == draft)
        return next(same, None)

    def _same_by_time(self, draft: Draft[Body]) -> Record[Body] | None:
        """Return the verification or operation of the same time and content; None if new."""
        path = next(islice(layout.index_paths(draft.at(1, None), lambda _: False), 1, None), None)
        if path is None:
            return None
        folder, _, name = path.rpartition("/")
        beginning = f"{name.partition('-')[0]}-"
        names = [name for name in self._ledger.names(folder) if name.startswith(beginning)]
        records = [record_at(self._ledger, f"{folder}/{name}") for name in names]
        same = (record for record in (*records, *self._new.values()) if record.draft() == draft)
        return next(same, None)

    def _events(self, service: str, deployment: str) -> Iterator[Record[Body]]:
        folder = layout.deployment_folder(service, deployment)
        names = [name for name in self._ledger.names(folder) if name.startswith(f"{deployment}-")]
        yield from (record_at(self._ledger, f"{folder}/{name}") for name in names)
        for record in self._new.values():
            if isinstance(record.body, Deployment) and record.envelope.service == service:
                yield record

    def _entry(self, path: str) -> str | None:
        added = self.files.get(path)
        return added.decode().strip() if added is not None else read_entry(self._ledger, path)

    def _known(self, path: str) -> Record[Body] | None:
        """Return the record of an index entry, from this append or from the ledger."""
        added = self.files.get(path)
        if added is not None:
            return self._new[added.decode().strip()]
        return record_if_at(self._ledger, path)


def version_taken_error(attempted: str, commit: str, taken: Record[Body], hint: str = "") -> VersionTaken:
    """Return the error for a release whose version or digest is taken. It names the existing release.

    Args:
        attempted: action that failed, with version and content.
        commit: commit of the new release.
        taken: existing release.
        hint: next step; empty: the usual one.
    """
    by, theirs = taken.envelope, taken.body
    assert isinstance(theirs, Release)  # noqa: S101 - version and digest entries name releases
    is_same = theirs.source.commit == commit
    usual = _FIND_IT if is_same else "a released version is never made again: release a higher version"
    return VersionTaken(
        attempted,
        f"{by.service} {theirs.version} is "
        f"{describe_content(theirs.image.digest, theirs.source.commit)}, recorded by {by.actor.name} "
        f"<{by.actor.email}> at {local_time(by.recorded_at)}",
        hint or usual,
    )


_FIND_IT: Final = "another run has released this commit: run `nox -s release` again to use that release"


def describe_content(digest: str, commit: str) -> str:
    """Return text such as "sha256:0123456789ab of commit 0123456789ab"."""
    return f"{digest[:19]} of commit {commit[:12]}"


def _taken(draft: Draft[Body], body: Release, taken: Record[Body], hint: str = "") -> VersionTaken:
    content = describe_content(body.image.digest, body.source.commit)
    attempted = f"release {draft.service} {body.version} as {content}"
    return version_taken_error(attempted, body.source.commit, taken, hint)


def _identity(body: Body) -> tuple[str, str] | None:
    return (body.image.digest, body.source.commit) if isinstance(body, Release) else None


def _says(record: Record[Body], draft: Draft[Body]) -> bool:
    return replace(draft, recorded_at=record.envelope.recorded_at) == record.draft()


def _is_healthy(record: Record[Body], of: Deployment) -> bool:
    body = record.body
    known = (body.deployment, body.status) if isinstance(body, Deployment) else None
    return known == (of.deployment, "healthy")


def _is_start(record: Record[Body], of: Deployment) -> bool:
    body = record.body
    known = isinstance(body, Deployment) and (body.deployment, body.status) == (of.deployment, "started")
    return known and _what_ran(body) == _what_ran(of)


def _what_ran(body: Body) -> tuple[object, ...]:
    assert isinstance(body, Deployment)  # noqa: S101 - asked of events alone
    return body.environment, body.release, body.digest, body.run_spec
