"""Metrics of a service's releases and rebuilds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import dropwhile, takewhile
from typing import Final

from release.ledger import layout, query
from release.ledger.index_reader import record_at
from release.ledger.metrics.values import Metric, Span, earlier, ratio, seconds_between, typical
from release.ledger.releases import as_release, release_record
from release.ledger.store import Ledger
from release.records import Body, Gate, Record, Release, Verification

_SKEW: Final = timedelta(days=1)
"""Largest difference of the clocks of two writers."""

MOST_IN_A_ROW: Final = 1000
"""Most releases that are read for the age of one lockfile."""


class Releases:
    """Releases of a service, newest first. Each record is read once, on demand."""

    def __init__(self, ledger: Ledger, service: str) -> None:
        """Keep the arguments; read nothing."""
        self.ledger = ledger
        self.service = service
        self._read: list[Record[Release]] = []
        self._by_id: dict[str, Record[Release]] = {}
        self._rest = query.history(ledger, service, kind=Release.kind)

    def __iter__(self) -> Iterator[Record[Release]]:
        """Yield the releases that were read before, then read and yield the others."""
        place = 0
        while place < len(self._read) or self._read_next():
            yield self._read[place]
            place += 1

    def _read_next(self) -> bool:
        record = next(self._rest, None)
        if record is not None:
            self._read.append(as_release(record))
            self._by_id[record.id] = self._read[-1]
        return record is not None

    def find(self, record: str) -> Record[Release]:
        """Return a release by the id of its record. Raises LedgerError."""
        if record not in self._by_id:
            self._by_id[record] = release_record(self.ledger, record)
        return self._by_id[record]

    def first_record(self) -> str | None:
        """Return the time of the service's first record; None if there is none. Raise LedgerError."""
        path = layout.seq_folder(self.service)
        for _ in range(3):
            names = self.ledger.names(path)
            if not names:
                return None
            path = f"{path}/{names[0]}"
        return record_at(self.ledger, path).envelope.recorded_at

    def first_number_to_read(self, moment: str) -> int:
        """Return the number of a release; this release and all records before it are older than a time.

        A release is recorded at once, so every record before it is as old. Events may have waited for the
        git server, and a recovered release keeps its old time.
        """
        limit = earlier(moment, _SKEW)
        old = (each for each in self if each.envelope.recorded_at < limit and each.body.recovered is None)
        return next((each.envelope.seq for each in old), 0)

    def within(self, span: Span) -> list[Record[Release]]:
        """Return the releases of a span that were not recovered, newest first."""
        first_number = self.first_number_to_read(span.since)
        recent = takewhile(lambda each: each.envelope.seq > first_number, self)
        return [
            each for each in recent if span.holds(each.envelope.recorded_at) and each.body.recovered is None
        ]


def stage_metrics(past: Releases, span: Span) -> Iterator[Metric]:
    """Yield the durations of the chain and of its stages, in the span and in the span before it."""
    for name, part in (("before", span.before()), ("after", span)):
        releases = past.within(part)
        chains, stages = [], dict[str, list[float]]()
        for each in releases:
            own = [gate for gate in each.body.gates if gate.run is None]
            chains += _chain(each, own)
            for gate in own:
                stages.setdefault(gate.name, []).append(gate.duration_ms / 1000)
        labels, none = {"period": name}, "no release was recorded"
        yield typical("chain_duration", chains, labels, none)
        for stage, durations in stages.items():
            yield typical("stage_duration", durations, {**labels, "stage": stage}, none)


def _chain(release: Record[Release], own: list[Gate]) -> list[float]:
    """Return the seconds from the first stage that ran to the record; nothing if no stage ran."""
    starts = sorted(gate.started for gate in own)
    return [seconds_between(start, release.envelope.recorded_at) for start in starts[:1]]


def lock_age(past: Releases, span: Span, release: str | None, labels: Mapping[str, str]) -> Metric:
    """Return the age of a release's lockfile: the time since the first release in a row that has it."""
    row, note = _same_lock(past, release)
    if note:
        return Metric(name="lock_age", labels=labels, note=note)
    age = seconds_between(row[-1].envelope.recorded_at, span.until)
    return Metric(name="lock_age", value=age, count=len(row), labels=labels)


def _same_lock(past: Releases, release: str | None) -> tuple[list[Record[Release]], str]:
    """Return the releases in a row with the lockfile of this one, newest first; or why they are not known."""
    if release is None:
        return [], "there is no release"
    row: list[Record[Release]] = []
    for each in dropwhile(lambda found: found.id != release, past):
        lock = each.body.lock
        if lock is None:
            return [], f"the record of {each.body.version} has no lockfile"
        if row and row[0].body.lock != lock:
            break
        if len(row) == MOST_IN_A_ROW:
            return [], f"more than {MOST_IN_A_ROW} releases in a row have this lockfile"
        row.append(each)
    return row, "" if row else "the record of the release cannot be read"


def rebuild_metrics(past: Releases, span: Span) -> Iterator[Metric]:
    """Yield how many rebuilds gave the recorded image: all, and those of each CI system and of machines."""
    results: dict[str, list[bool]] = {}
    for where, passed in _rebuilds(past, span):
        results.setdefault(where, []).append(passed)
    every = [passed for group in results.values() for passed in group]
    yield ratio("reproducibility_rate", sum(every), len(every), {}, "no rebuild was recorded")
    for where, group in sorted(results.items()):
        yield ratio("reproducibility_rate", sum(group), len(group), {"where": where}, "")


def _rebuilds(past: Releases, span: Span) -> Iterator[tuple[str, bool]]:
    """Yield the CI system of each rebuild, or "machine", and if it passed; those that wait are among them."""
    first_number = past.first_number_to_read(span.since)
    every = query.history(past.ledger, past.service, kind=Verification.kind)
    recent = takewhile(lambda each: each.envelope.seq > first_number, every)
    known: list[tuple[str, str | None, Body]] = [
        (each.envelope.recorded_at, each.envelope.actor.ci, each.body) for each in recent
    ]
    waiting = (draft for draft in past.ledger.unsynced() if draft.service == past.service)
    known += [(draft.recorded_at, draft.actor.ci, draft.body) for draft in waiting]
    for moment, ci, body in known:
        if isinstance(body, Verification) and body.what == "rebuild" and span.holds(moment):
            yield ci or "machine", body.result == "passed"
