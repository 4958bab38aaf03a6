"""Where a record goes in the chain, and whether it is there already. Reads the ledger, writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final, Protocol

from release.errors import LedgerError, VersionTaken
from release.frozen import replace
from release.ledger import layout
from release.records import Body, Deployment, Draft, Freeze, Quarantine, Record, Release, Verification

_ID = re.compile(r"[0-9a-f]{64}")


class Reader(Protocol):
    """A ledger as it is read: `release.ledger.store.Ledger`."""

    def read(self, path: str) -> bytes | None:
        """One file."""

    def names(self, folder: str) -> tuple[str, ...]:
        """The names in a folder, sorted."""

    def record(self, record: str) -> Record[Body]:
        """One record by its id."""


def entry(ledger: Reader, path: str) -> str | None:
    """The record id in an index file; None when there is no such file. Raises LedgerError: no id in it."""
    content = ledger.read(path)
    if content is None:
        return None
    found = content.decode("utf-8", "replace").removesuffix("\n")
    if not _ID.fullmatch(found):
        raise LedgerError(
            f"read the index entry {path} of the ledger", "it holds no record id", "invoke verify --ledger"
        )
    return found


def last(ledger: Reader, service: str) -> tuple[int, str | None]:
    """Number and id of a service's last record; 0 and None before the first. Three short listings."""
    folder = layout.seq_folder(service)
    for _ in range(3):
        names = ledger.names(folder)
        if not names:
            return 0, None
        folder = f"{folder}/{names[-1]}"
    number = folder.rpartition("/")[2].partition("-")[0]
    return int(number), entry(ledger, folder)


class Placing:
    """The places of the drafts of one append, on one state of the ledger."""

    def __init__(self, ledger: Reader) -> None:
        """Nothing is placed yet."""
        self._ledger = ledger
        self._last: dict[str, tuple[int, str | None]] = {}
        self._new: dict[str, Record[Body]] = {}
        self.files: dict[str, bytes] = {}
        """Paths and contents that the new records add."""

    @property
    def new(self) -> tuple[Record[Body], ...]:
        """Records that the ledger has not got yet."""
        return tuple(self._new.values())

    def place(self, draft: Draft[Body]) -> Record[Body]:
        """The record that the draft is already, or becomes. Raises VersionTaken, LedgerError."""
        return self.existing(draft) or self._added(draft)

    def _added(self, draft: Draft[Body]) -> Record[Body]:
        number, before = self._last.get(draft.service) or last(self._ledger, draft.service)
        record = draft.at(number + 1, before)
        paths = layout.paths_of(record, lambda path: self._entry(path) is not None)
        self.files |= {path: f"{record.id}\n".encode() for path in paths}
        self.files[layout.record_path(record.id)] = record.to_bytes()
        self._new[record.id] = record
        self._last[draft.service] = (record.envelope.seq, record.id)
        return record

    def existing(self, draft: Draft[Body]) -> Record[Body] | None:
        """The record that says what the draft says, if there is one. Raises VersionTaken, LedgerError."""
        if isinstance(draft.body, Release):
            return self._same_release(draft, draft.body)
        if isinstance(draft.body, Deployment):
            return self._same_event(draft, draft.body)
        if isinstance(draft.body, Quarantine):
            folder = layout.quarantine_folder(draft.service, draft.body.release)
            return self._same_word(draft, folder, f"{draft.body.release}-")
        if isinstance(draft.body, Freeze):
            return self._same_word(draft, layout.freeze_folder(draft.service, draft.body.environment), "")
        if isinstance(draft.body, Verification):
            return self._same_verification(draft)
        return None

    def _same_release(self, draft: Draft[Body], body: Release) -> Record[Body] | None:
        """One version, one digest; both ways round."""
        known = self._entry(layout.version_path(draft.service, body.version))
        if known is not None:
            record = self._record(known)
            if _identity(record.body) == _identity(body):
                return record
            raise _taken(draft, body, record)
        known = self._entry(layout.digest_path(draft.service, body.image.digest.removeprefix("sha256:")))
        if known is not None:
            raise _taken(draft, body, self._record(known), "one image has one version: deploy that one")
        return None

    def _same_event(self, draft: Draft[Body], body: Deployment) -> Record[Body] | None:
        """The event of the same attempt that says the same; its time may have been set right since."""
        events = self._events(draft.service, body.deployment)
        return next((record for record in events if _says(record, draft)), None)

    def _same_word(self, draft: Draft[Body], folder: str, prefix: str) -> Record[Body] | None:
        """The same word of the same moment: one that waited for the server may have arrived already."""
        names = [name for name in self._ledger.names(folder) if name.startswith(prefix)]
        known = (entry(self._ledger, f"{folder}/{name}") for name in names)
        records = [self._ledger.record(record) for record in known if record is not None]
        same = (record for record in (*records, *self._new.values()) if record.draft() == draft)
        return next(same, None)

    def _same_verification(self, draft: Draft[Body]) -> Record[Body] | None:
        """The same check of the same moment: its index entries tell all but its id or its number."""
        path = next(islice(layout.paths_of(draft.at(1, None), lambda _: False), 1, None), None)
        if path is None:
            return None
        folder, _, name = path.rpartition("/")
        beginning = f"{name.partition('-')[0]}-"
        names = [name for name in self._ledger.names(folder) if name.startswith(beginning)]
        known = (entry(self._ledger, f"{folder}/{name}") for name in names)
        records = [self._ledger.record(record) for record in known if record is not None]
        same = (record for record in (*records, *self._new.values()) if record.draft() == draft)
        return next(same, None)

    def _events(self, service: str, deployment: str) -> Iterator[Record[Body]]:
        folder = layout.deployment_folder(service, deployment)
        names = [name for name in self._ledger.names(folder) if name.startswith(f"{deployment}-")]
        known = (entry(self._ledger, f"{folder}/{name}") for name in names)
        yield from (self._ledger.record(record) for record in known if record is not None)
        for record in self._new.values():
            if isinstance(record.body, Deployment) and record.envelope.service == service:
                yield record

    def _entry(self, path: str) -> str | None:
        added = self.files.get(path)
        return added.decode().strip() if added is not None else entry(self._ledger, path)

    def _record(self, record: str) -> Record[Body]:
        return self._new.get(record) or self._ledger.record(record)


def version_taken(attempted: str, commit: str, taken: Record[Body], hint: str = "") -> VersionTaken:
    """The error of a release that comes too late: what is released, by whom, and when.

    Args:
        attempted: what was tried, with its content.
        commit: that was to be released.
        taken: the release that is in the ledger.
        hint: what to do next, where that is not as usual.
    """
    by, theirs = taken.envelope, taken.body
    assert isinstance(theirs, Release)  # noqa: S101 - version and digest entries name releases
    is_same = theirs.source.commit == commit
    usual = _FIND_IT if is_same else "a released version is never made again: give a higher one"
    return VersionTaken(
        attempted,
        f"{by.service} {theirs.version} is {content_of(theirs.image.digest, theirs.source.commit)}, "
        f"recorded by {by.actor.name} <{by.actor.email}> at {by.recorded_at}",
        hint or usual,
    )


_FIND_IT: Final = (
    "another run has released this commit: run `nox -s release` again, and it finds that release"
)


def content_of(digest: str, commit: str) -> str:
    """As "sha256:0123456789ab of commit 0123456789ab"."""
    return f"{digest[:19]} of commit {commit[:12]}"


def _taken(draft: Draft[Body], body: Release, taken: Record[Body], hint: str = "") -> VersionTaken:
    content = content_of(body.image.digest, body.source.commit)
    attempted = f"release {draft.service} {body.version} as {content}"
    return version_taken(attempted, body.source.commit, taken, hint)


def _identity(body: Body) -> tuple[str, str] | None:
    return (body.image.digest, body.source.commit) if isinstance(body, Release) else None


def _says(record: Record[Body], draft: Draft[Body]) -> bool:
    place = record.envelope
    return replace(draft, recorded_at=place.recorded_at).at(place.seq, place.prev).id == record.id
