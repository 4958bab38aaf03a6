"""What the ledger costs as it grows: questions, appends, memory, and a clone's first look."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from release.git.source import Source
from release.ledger import query
from release.ledger.genesis import Home
from release.ledger.proof import Policies
from release.ledger.store import Ledger
from release.ledger.verified_head import Policy
from release.values import Struct
from tests.bench import ledgers
from tests.bench.ledgers import SERVICE, moment, version
from tests.bench.measure import ratio, side_by_side, table
from tests.unit.ledger import samples
from tests.unit.repository import Repository

SIZES: Final = (100, 10_000, 100_000)
RUNS: Final = 25
PAGE: Final = 20
_BRANCH: Final = f"refs/heads/{ledgers.BRANCH}"

Ask = Callable[[Ledger, int], object]

QUESTIONS: Final[dict[str, Ask]] = {
    "open, and ask nothing": lambda ledger, number: None,
    "by version": lambda ledger, number: _found(ledger, version(number), number),
    "by a line of versions (`1.4`)": lambda ledger, number: query.resolve(
        ledger, SERVICE, version(number).rpartition(".")[0], environment=None
    ),
    "by digest": lambda ledger, number: _found(ledger, f"sha256:{samples.digits(version(number))}", number),
    "by commit": lambda ledger, number: _found(
        ledger, samples.digits(f"commit {version(number)}", 40), number
    ),
    "what ran at a moment": lambda ledger, number: query.deployment_running_at(
        ledger, SERVICE, "production", moment(number, 60)
    ),
    "`previous`": lambda ledger, number: query.resolve(ledger, SERVICE, "previous", environment="production"),
    f"first page of history ({PAGE})": lambda ledger, number: _page(ledger),
}


def _found(ledger: Ledger, target: str, number: int) -> None:
    found = query.resolve(ledger, SERVICE, target, environment=None)
    assert found.body.version == version(number)


def _page(ledger: Ledger) -> None:
    assert len(list(itertools.islice(query.history(ledger, SERVICE), PAGE))) == PAGE


class Grown:
    """A clone whose ledger has so many records; what it holds is shared with the stored one."""

    def __init__(self, store: Path, room: Path, records: int) -> None:
        self.records = records
        self.stored = ledgers.ledger(store, records)
        self.clone = Repository.init(room / f"clone-{records}")
        share(self.clone.root / ".git", self.stored)
        self.clone.git("update-ref", _BRANCH, self.stored.git("rev-parse", _BRANCH))
        self.check()

    def check(self) -> None:
        """The library reads as many records as were meant, each in its place."""
        with self.opened() as ledger:
            newest = next(query.history(ledger, SERVICE))
            assert newest.envelope.seq == self.records
            for record in itertools.islice(query.history(ledger, SERVICE), 50):
                assert record.envelope.prev is not None
                assert ledger.record(record.envelope.prev).envelope.seq == record.envelope.seq - 1

    @contextmanager
    def opened(self) -> Iterator[Ledger]:
        """The clone and its ledger as a command opens them."""
        source = Source.open(self.clone.root)
        try:
            yield Ledger.open(source, branch=ledgers.BRANCH, remote=None)
        finally:
            source.close()

    def asked(self, ask: Ask, run: int) -> None:
        """One question, from nothing."""
        number = run * 7919 % (self.records // ledgers.ROUND_RECORDS)
        with self.opened() as ledger:
            ask(ledger, number)

    def own_work(self, ask: Ask, run: int) -> float:
        """Seconds of the question alone, on a ledger that is open and has read nothing."""
        number = run * 7919 % (self.records // ledgers.ROUND_RECORDS)
        with self.opened() as ledger:
            begin = time.perf_counter()
            ask(ledger, number)
            return time.perf_counter() - begin

    def appended(self, kind: str, run: int) -> None:
        """One append, from nothing. A release goes into the fullest folder of versions."""
        at = moment(self.records, run)
        last = version(self.records // ledgers.ROUND_RECORDS - 1).partition(".")[0]
        draft = samples.release(f"{last}.900.{run}", at=at)
        if kind == "event":
            draft = samples.event("1" * 64, deployment=f"more {run}", at=at)
        with self.opened() as ledger:
            (record,) = ledger.append([draft])
        assert record.envelope.seq > self.records


def share(git_dir: Path, stored: Repository) -> None:
    """Use another repository's objects (gitrepository-layout, "objects/info/alternates")."""
    (git_dir / "objects" / "info").mkdir(parents=True, exist_ok=True)
    (git_dir / "objects" / "info" / "alternates").write_text(f"{stored.root}/objects\n")


def _rows(label: str, action: Callable[[Grown, int], float | None], grown: list[Grown]) -> list[str]:
    figures = side_by_side({one.records: _bound(action, one) for one in grown}, RUNS)
    base, *larger = figures.values()
    return [label, str(base), *(cell for one in larger for cell in (str(one), ratio(one, base)))]


def _asked(ask: Ask, one: Grown, run: int) -> None:
    one.asked(ask, run)


def _bound(action: Callable[[Grown, int], float | None], one: Grown) -> Callable[[int], float | None]:
    return lambda run: action(one, run)


def growth(store: Path, room: Path) -> str:
    """Every question and both appends, at every size; and the memory that reading takes."""
    grown = [Grown(store, room, size) for size in SIZES]
    page = QUESTIONS[f"first page of history ({PAGE})"]
    actions: dict[str, Callable[[Grown, int], float | None]] = {
        **{label: partial(_asked, ask) for label, ask in QUESTIONS.items()},
        "the same, its own work": lambda one, run: one.own_work(page, run),
        "append an event": lambda one, run: one.appended("event", run),
        "append a release": lambda one, run: one.appended("release", run),
    }
    rows = [_rows(label, action, grown) for label, action in actions.items()]
    rows.append(_memory_row(grown))
    head = ["milliseconds", "100 records", "10,000", "ratio", "100,000", "ratio"]
    return table(head, rows)


_READER: Final = """
import resource, sys
from pathlib import Path
from release.ledger import query
from release.ledger.store import Ledger
from release.git.source import Source
source = Source.open(Path(sys.argv[1]))
ledger = Ledger.open(source, branch=sys.argv[2], remote=None)
read = 0
while read < 2000:
    for read, record in enumerate(query.history(ledger, "api"), start=read + 1):
        if read == 2000:
            break
source.close()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _memory_row(grown: list[Grown]) -> list[str]:
    peaks = [_peak(one) for one in grown]
    cells = [cell for peak in peaks[1:] for cell in (f"{peak:.0f}", f"{peak / peaks[0]:.2f}")]
    return ["memory at its peak while 2,000 records are read, MB", f"{peaks[0]:.0f}", *cells]


def _peak(one: Grown) -> float:
    """Megabytes."""
    argv = (sys.executable, "-c", _READER, one.clone.root, ledgers.BRANCH)
    return int(subprocess.run(argv, check=True, capture_output=True, text=True).stdout) / 1024


# a clone that has just been made


class First(Struct, frozen=True, kw_only=True):
    """Cost of a first fetch: seconds and megabytes."""

    fetch: float
    megabytes: float
    append: float
    again: float
    by_version: float
    page: float


def fetching(store: Path, room: Path) -> str:
    """What a fresh clone pays to have and to prove a ledger: all of it, or what a CI job needs."""
    taken = [
        _fetched(_server(store, room / "10,000", SIZES[1]), room / "job-10,000", tip=True),
        _fetched(_server(store, room / "100,000", SIZES[2]), room / "job-100,000", tip=True),
        _fetched(_server(store, room / "whole", SIZES[2]), room / "all", tip=False),
    ]
    rows = [
        ["first fetch, and the proof, s", *(f"{one.fetch:.1f}" for one in taken)],
        ["on the disk, MB", *(f"{one.megabytes:.0f}" for one in taken)],
        ["append a note, ms", *(f"{one.append * 1e3:.0f}" for one in taken)],
        ["next fetch, after one append, ms", *(f"{one.again * 1e3:.0f}" for one in taken)],
        ["release by version, ms", *(f"{one.by_version * 1e3:.0f}" for one in taken)],
        [f"first page of history ({PAGE}), ms", *(f"{one.page * 1e3:.0f}" for one in taken)],
    ]
    head = [
        "in a fresh clone, server on the same disk",
        "CI, 10,000",
        "CI, 100,000",
        "whole, 100,000",
    ]
    return table(head, rows)


def _server(store: Path, room: Path, count: int) -> Repository:
    stored = ledgers.ledger(store, count)
    server = Repository.init(room / "server.git", bare=True)
    share(server.root, stored)
    server.git("update-ref", _BRANCH, stored.git("rev-parse", _BRANCH))
    server.git("config", "uploadpack.allowFilter", "true")
    code = Repository.init(room / "code")
    code.commit("feat: start", file="1")
    code.git("push", "-q", str(server.root), "main")
    return server


def _fetched(server: Repository, root: Path, *, tip: bool) -> First:
    """Fetch into a new clone, as in a CI job or whole, and ask."""
    Repository.clone(f"file://{server.root}", root, "--depth=1", "--single-branch")
    source = Source.open(root)
    policies = Policies(policy=Policy(home=Home(services=frozenset({SERVICE})), tip=tip))
    ledger = Ledger.open(source, branch=ledgers.BRANCH, remote="origin", policies=policies)
    fetch = _took(ledger.refresh)
    megabytes = sum(path.stat().st_size for path in (root / ".git").rglob("*") if path.is_file()) / 1e6
    append = _took(lambda: ledger.append([samples.note("here", at=moment(SIZES[-1]))]))
    _append_elsewhere(server, root.with_name(f"{root.name}-other"))
    again = _took(ledger.refresh)
    by_version = _took(lambda: _found(ledger, version(471), 471))
    page = _took(lambda: _page(ledger))
    source.close()
    shutil.rmtree(root)
    return First(
        fetch=fetch, megabytes=megabytes, append=append, again=again, by_version=by_version, page=page
    )


def _append_elsewhere(server: Repository, root: Path) -> None:
    clone = Repository.init(root)
    share(root / ".git", server)
    clone.git("remote", "add", "origin", str(server.root))
    source = Source.open(root)
    ledger = Ledger.open(source, branch=ledgers.BRANCH, remote="origin")
    ledger.append([samples.note(f"by {root.name}", at=moment(SIZES[-1]))])
    source.close()


def _took(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin
