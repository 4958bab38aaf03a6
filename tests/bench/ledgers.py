"""Ledgers of any size, made by `git fast-import` from true records in their true places.

One record and one commit each, as the library appends. A ledger stays under `.release/bench/` until what
it is made by changes.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import IO, Final

import release.ledger.layout
import release.records
import release.runspec
from release.ledger import layout
from release.records import Body, Draft, Genesis, Record, Release
from tests.unit.ledger import samples
from tests.unit.repository import Repository

BRANCH: Final = "release-ledger"
SERVICE: Final = "api"
_BEGIN: Final = datetime(2021, 1, 1, tzinfo=UTC)
_ROUND: Final = timedelta(hours=4)
_GENESIS: Final = Genesis(ledger="5" * 32, roots=())
_EVENTS: Final = (
    ("staging", "started"),
    ("staging", "healthy"),
    ("production", "started"),
    ("production", "healthy"),
    ("production", "started"),
    ("production", "failed"),
    ("production", "started"),
    ("production", "healthy"),
)
"""Each release is deployed like this, and a note ends the round: ten records."""

ROUND_RECORDS: Final = len(_EVENTS) + 2


def version(number: int) -> str:
    """The version of the release with this number, from 0."""
    return f"{1 + number // 2500}.{number % 2500 // 10}.{number % 10}"


def moment(number: int, minute: int = 0) -> str:
    """When the release with this number was made, and so many minutes later."""
    at = _BEGIN + number * _ROUND + timedelta(minutes=minute)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def drafts(count: int) -> Iterator[Draft[Body]]:
    """The records of a ledger, in order."""
    for number in range(-(-count // ROUND_RECORDS)):
        yield from _round(number, min(ROUND_RECORDS, count - number * ROUND_RECORDS))


def _round(number: int, count: int) -> Iterator[Draft[Body]]:
    """One release and what became of it. The release record's id is filled in by `records`."""
    yield samples.release(version(number), at=moment(number))
    for place, (environment, status) in enumerate(_EVENTS[: count - 1]):
        yield samples.event(
            "0" * 64,
            status,
            deployment=f"{number} {place // 2}",
            environment=environment,
            at=moment(number, 2 + place),
        )
    if count == ROUND_RECORDS:
        yield samples.note(f"round {number}", at=moment(number, 30))


def records(count: int) -> Iterator[Record[Body]]:
    """The same, chained as the ledger chains them."""
    before, made = None, ""
    for seq, draft in enumerate(drafts(count), start=1):
        record = draft.at(seq, before, genesis=_GENESIS if seq == 1 else None)
        if isinstance(record.body, release.records.Deployment):
            record = Record(envelope=record.envelope, body=record.body.model_copy(update={"release": made}))
        before = record.id
        made = before if isinstance(record.body, Release) else made
        yield record


def _blob(mark: int, content: bytes) -> bytes:
    return b"blob\nmark :%d\ndata %d\n%s\n" % (mark, len(content), content)


def _commit(record: Record[Body], number: int) -> bytes:
    """One append as fast-import reads it (git-fast-import, "Input Format")."""
    content = record.to_bytes()
    oid = hashlib.sha256(content).hexdigest()
    seconds = int(datetime.fromisoformat(record.envelope.recorded_at).timestamp())
    message = f"{SERVICE}: {record.envelope.kind}\n".encode()
    first = b"M 100644 inline %s\ndata %d\n%s\n" % (
        layout.FORMAT_PATH.encode(),
        len(layout.FORMAT),
        layout.FORMAT,
    )
    whole, entry = 2 * number, 2 * number + 1
    rows = [f"M 100644 :{whole} {layout.record_path(oid)}\n"]
    rows += [f"M 100644 :{entry} {path}\n" for path in layout.index_paths(record, lambda _: False)]
    return b"".join(
        [
            *(_blob(whole, content), _blob(entry, f"{oid}\n".encode())),
            b"commit refs/heads/%s\ncommitter Ada <ada@example.org> %d +0000\n" % (BRANCH.encode(), seconds),
            *(b"data %d\n%s" % (len(message), message), first if number == 1 else b""),
            *("".join(rows).encode(), b"\n"),
        ]
    )


@cache
def _key() -> str:
    """Changes with everything that a ledger is made by."""
    modules = (release.ledger.layout, release.records, release.runspec, samples)
    sources = [Path(str(module.__file__)) for module in modules] + [Path(__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def ledger(store: Path, count: int) -> Repository:
    """A bare repository whose ledger has so many records; made when it is not there yet."""
    for old in store.glob("ledger-*"):
        if f"-{_key()}-" not in old.name:
            shutil.rmtree(old)
    place = store / f"ledger-{_key()}-{count}.git"
    if not place.exists():
        _made(store / f"unfinished-{count}.git", count).root.rename(place)
    return Repository(place)


def _made(place: Path, count: int) -> Repository:
    shutil.rmtree(place, ignore_errors=True)
    bare = Repository.init(place, bare=True)
    with subprocess.Popen(("git", "fast-import", "--quiet"), cwd=place, stdin=subprocess.PIPE) as importer:
        assert importer.stdin is not None
        _sent(importer.stdin, count)
    assert importer.returncode == 0
    bare.git("commit-graph", "write", "--reachable")
    bare.git("config", "uploadpack.allowFilter", "true")
    return bare


def _sent(stream: IO[bytes], count: int) -> None:
    for number, record in enumerate(records(count), start=1):
        stream.write(_commit(record, number))
    stream.close()
