"""What the proof of a ledger costs: the first one of a clone, and a rollback's part with and without it."""

from __future__ import annotations

import shutil
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Final
from unittest.mock import patch

from release.config import Ledger as Settings
from release.git.source import Source
from release.ledger import query
from release.ledger.git_objects import Writer
from release.ledger.opening import open_ledger
from release.ledger.proof import Proved, Prover
from release.ledger.record_numbering import Stamp
from release.ledger.store import Ledger
from tests.bench import ledgers
from tests.bench.ledgers import SERVICE, moment
from tests.bench.measure import ratio, side_by_side, table
from tests.bench.questions import share
from tests.unit.ledger import samples
from tests.unit.repository import Repository

RECORDS: Final = 10_000
RUNS: Final = 15
SIGNERS: Final = ".release-signers"
_BRANCH: Final = f"refs/heads/{ledgers.BRANCH}"


def rows(store: Path, room: Path) -> str:
    """Both proofs at 10,000 records, with and without required signatures."""
    key = room / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    lines = []
    for label, strict in (("signatures are not required", False), ("signatures are required", True)):
        clone, other = (_clone(store, room / f"{name}-{strict}", key) for name in ("clone", "other"))
        for each in (clone, other):
            _vouch(each)
        first = side_by_side({"first": partial(_first, clone, strict=strict)}, 3)["first"]
        parts = side_by_side(
            {
                "without": partial(_rollback, other, strict=strict, proven=False),
                "with": partial(_rollback, clone, strict=strict, proven=True),
            },
            RUNS,
        )
        costs = ratio(parts["with"], parts["without"])
        lines.append([label, str(first), str(parts["without"]), str(parts["with"]), costs])
    head = ["10,000 records, milliseconds", "first proof of a clone", "a rollback's part, unproven", "proven"]
    return table([*head, "ratio"], lines)


def _clone(store: Path, root: Path, key: Path) -> Repository:
    """A clone whose ledger has the records, and where git signs."""
    stored = ledgers.ledger(store, RECORDS)
    clone = Repository.init(root)
    clone.commit("feat: start", file="1")
    share(clone.root / ".git", stored)
    clone.git("update-ref", _BRANCH, stored.git("rev-parse", _BRANCH))
    clone.write(SIGNERS, f"ada@example.org {key.with_suffix('.pub').read_text()}")
    for name, value in {"gpg.format": "ssh", "user.signingKey": str(key)}.items():
        clone.git("config", name, value)
    return clone


def _opened(source: Source, *, strict: bool, vouching: bool = False) -> Ledger:
    settings = Settings.model_validate({"allowed_signers": SIGNERS, "require_signed": strict})
    quiet = (lambda _: None, lambda _: None)
    return open_ledger(source, settings, (SERVICE,), *quiet, vouching=vouching)


def _vouch(clone: Repository) -> None:
    source = Source.open(clone.root)
    _opened(source, strict=True, vouching=True).append([samples.note("vouched", at=moment(RECORDS))])
    source.close()


def _first(clone: Repository, _run: int, *, strict: bool) -> float:
    """Seconds of opening the ledger in a clone that has proved nothing."""
    shutil.rmtree(clone.root / ".git" / "release" / "verified", ignore_errors=True)
    for proofs in ("release-verified", "release-verified-signed"):
        clone.git("update-ref", "-d", f"refs/{proofs}/local/{ledgers.BRANCH}")
    source = Source.open(clone.root)
    begin = time.perf_counter()
    assert _opened(source, strict=strict).unproven is None
    took = time.perf_counter() - begin
    source.close()
    return took


def _rollback(clone: Repository, run: int, *, strict: bool, proven: bool) -> None:
    """Open, resolve, find what ran and its settings, record the start and the end."""
    source = Source.open(clone.root)
    if proven:
        _asked(_opened(source, strict=strict), f"with {run}")
    else:
        with (
            patch.object(Prover, "prove", _believed),
            patch.object(Writer, "check_own_signature"),
            patch.object(Stamp, "genesis", lambda *_: None),
        ):
            _asked(_opened(source, strict=strict), f"without {run}")
    source.close()


def _believed(_prover: Prover, tip: str | None, _remembered: str | None) -> Proved:
    return Proved(head=tip)


def _asked(ledger: Ledger, deployment: str) -> None:
    current = query.current_deployment(ledger, SERVICE, "production")
    target = query.find(ledger, SERVICE, "-2", environment="production").release
    settings = query.last_healthy(ledger, SERVICE, "production", target.id)
    assert current is not None
    assert settings is not None
    for status in ("started", "healthy"):
        ledger.append([samples.event(target, status, deployment=deployment, at=moment(RECORDS, 60))])
