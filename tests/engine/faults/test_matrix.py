"""The cells of the fault matrix, played: what happened, what was retried, and where it ended.

Those that need an engine of their own are in `test_engines.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from release.errors import ReleaseError
from release.images.engine import Engine
from tests.engine import lab
from tests.engine.faults.case import NOTHING, REFUSED, RELEASED, TAGGED_BY_OTHERS, Cell, Clock, OfEngine
from tests.engine.faults.matrix import CELLS
from tests.engine.faults.stand import Passed, Stand, passed_gates, stand
from tests.engine.service import IDENTITY
from tests.soak import rows

WRITES = ("POST", "PUT", "PATCH")
AGAIN = ("; trying again", "uploading again")


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Passed]:
    """A service whose gates have passed, once for all cells of a worker."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in IDENTITY.items():
            patch.setenv(name, value)
        made = passed_gates(tmp_path_factory.mktemp("passed"))
    yield made
    lab.remove_service(engine, made.service.name)


@pytest.fixture(autouse=True)
def _somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who releases."""
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)


PLAYED = [cell for cell in CELLS if not isinstance(cell.trouble, OfEngine) and (rows.ALL or not cell.is_long)]


@pytest.mark.parametrize("cell", PLAYED, ids=lambda cell: cell.name)
def test_every_cell_of_the_matrix(cell: Cell, passed: Passed, engine: Engine, tmp_path: Path) -> None:
    """What is told and counted, the exit status, what a stranger then sees, and what a rerun does."""
    with stand(cell, passed, engine, tmp_path) as place:
        place.make_trouble()
        error = place.run()
        told = "\n".join([*place.told, str(error)])
        assert int(error is not None) == cell.exit, told
        assert cell.happened in told, told
        assert sum(any(words in line for words in AGAIN) for line in place.told) == cell.again, told
        assert error is None or (error.hint and cell.hint in error.hint), told
        assert cell.sends or not uploads(place), uploads(place)
        hits = len(place.proxy.hits)
        assert hits or not place.proxy.faults, "the fault was never met"
        is_as_the_cell_says(place, cell)
        run_again(place, cell)


def uploads(place: Stand) -> list[str]:
    """Requests that begin, continue or end an upload, whoever sent them."""
    sent = (request.split(" ", 1) for request in place.proxy.requests)
    return [f"{method} {path}" for method, path in sent if method in WRITES and "/blobs/" in path]


def is_as_the_cell_says(place: Stand, cell: Cell) -> None:
    """Record and git tag are both there, or neither; a release without trouble also has its tag."""
    records = place.records()
    assert len(records) == int(cell.state not in (NOTHING, REFUSED))
    assert ("refs/tags/v0.1.0" in place.refs()) == bool(records)
    if cell.state == RELEASED:
        is_whole(place)
    if isinstance(cell.trouble, Clock):
        times_are_sane(place, cell.trouble)


def is_whole(place: Stand) -> None:
    """One record, one git tag, one digest."""
    (record,) = place.records()
    assert place.tagged() == record["image"]["digest"] == str(place.passed.built.stored_image.id)
    assert "refs/tags/v0.1.0" in place.refs()


def run_again(place: Stand, cell: Cell) -> None:
    """Once the trouble is over, the same command ends in the one release; what somebody must decide stays."""
    place.end_trouble()
    error = place.run()
    if cell.state in (REFUSED, TAGGED_BY_OTHERS):
        assert isinstance(error, ReleaseError)
        assert cell.hint in error.hint
        return
    assert error is None, error
    is_whole(place)


def times_are_sane(place: Stand, clock: Clock) -> None:
    """The record has the clock's time, which may be wrong; durations are measured with another clock."""
    (record,) = place.records()
    recorded = datetime.fromisoformat(record["recorded_at"])
    committed = datetime.fromisoformat(record["source"]["commit_time"])
    assert abs(recorded - committed - timedelta(hours=clock.hours)) < timedelta(hours=1)
    assert all(0 <= gate["duration_ms"] < 600_000 for gate in record["gates"])
