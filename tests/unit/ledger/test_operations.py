"""Operations on what runs: in the order of time, and the stop that holds."""

from __future__ import annotations

from typing import Any

import pytest

from release.ledger import query
from release.ledger.store import Ledger
from release.records import Body, Draft, Operation
from tests.unit.ledger import samples
from tests.unit.repository import Repository

STOP, START, RUN = "a" * 12, "b" * 12, "c" * 12


def said(what: str, status: str, minute: int, name: str = "", **changes: Any) -> Draft[Body]:
    known = {"stop": STOP, "start": START, "run": RUN}
    body = Operation(
        operation=name or known[what],
        what=what,
        environment=changes.pop("environment", "production"),
        release="1" * 64,
        deployment="d" * 12,
        status=status,
        **changes,
    )
    return samples.draft(body, service="api", at=samples.moment(minute))


def stopped(ledger: Ledger) -> str | None:
    found = query.maintenance_stop(ledger, "api", "production")
    return found.stop.operation.operation if found is not None else None


@pytest.mark.parametrize(
    ("drafts", "expected"),
    [
        ([], None),
        ([said("stop", "started", 1)], STOP),
        ([said("stop", "started", 1), said("stop", "done", 2)], STOP),
        ([said("stop", "started", 1), said("stop", "failed", 2)], None),
        ([said("stop", "done", 1), said("start", "started", 2), said("start", "done", 3)], None),
        ([said("stop", "done", 1), said("start", "started", 2)], STOP),
        ([said("stop", "done", 1), said("start", "started", 2), said("start", "failed", 3)], STOP),
        ([said("stop", "done", 1), said("run", "done", 2)], STOP),
        ([said("stop", "done", 1, environment="staging")], None),
    ],
)
def test_a_stop_holds_until_a_start_ends_well(
    here: Repository, drafts: list[Draft[Body]], expected: str | None
) -> None:
    """A failed one, and one of another environment, change nothing."""
    ledger = samples.ledger(here.root)
    for draft in drafts:
        ledger.append_events([draft])
    assert stopped(ledger) == expected


@pytest.mark.parametrize(("status", "expected"), [("healthy", None), ("restored", None), ("failed", STOP)])
def test_a_deployment_after_it_ends_it(here: Repository, status: str, expected: str | None) -> None:
    """One that failed leaves what was stopped as it was."""
    ledger = samples.ledger(here.root)
    ledger.append([samples.release("0.1.0")])
    ledger.append_events([said("stop", "done", 5)])
    assert stopped(ledger) == STOP
    found = query.release_of_version(ledger, "api", "0.1.0")
    assert found is not None
    ledger.append_events([samples.event(found, status, deployment="x", at=samples.moment(6))])
    assert stopped(ledger) == expected


def test_the_newest_without_an_end_is_unfinished(here: Repository) -> None:
    """Until its end, or a later deployment, is recorded."""
    ledger = samples.ledger(here.root)
    ledger.append([samples.release("0.1.0")])
    ledger.append_events([said("run", "started", 1)])
    found = query.unfinished_operation(ledger, "api", "production")
    assert found is not None
    assert str(found).startswith(f"run {RUN} by ")
    ledger.append_events([said("run", "done", 2, exit_status=0)])
    assert query.unfinished_operation(ledger, "api", "production") is None


def test_operations_are_part_of_the_history(here: Repository) -> None:
    """Of their environment, and each is recorded once."""
    ledger = samples.ledger(here.root)
    draft = said("run", "done", 1, exit_status=3, command=("app", "***"))
    first, second = ledger.append_events([draft]), ledger.append_events([draft])
    assert first is not None
    assert first == second
    found = list(query.history(ledger, "api", environment="production"))
    assert [record.id for record in found] == [first[0].id]
    assert list(query.history(ledger, "api", environment="staging")) == []


def test_a_clock_that_is_behind_does_not_reorder(here: Repository) -> None:
    """A stop after a deployment has a later time than that."""
    ledger = samples.ledger(here.root)
    ledger.append([samples.release("0.1.0")])
    found = query.release_of_version(ledger, "api", "0.1.0")
    assert found is not None
    ledger.append_events([samples.event(found, "healthy", deployment="x", at=samples.moment(9))])
    ledger.append_events([said("stop", "done", 5)])
    assert stopped(ledger) == STOP


def test_processes_are_stopped_and_started_one_by_one(here: Repository) -> None:
    """A start of one leaves the others stopped."""
    ledger = samples.ledger(here.root)
    ledger.append_events([said("stop", "done", 1, process="worker")])
    ledger.append_events([said("stop", "done", 2, "e" * 12, process="beat")])
    found = query.maintenance_stop(ledger, "api", "production")
    assert found is not None
    assert [found.holds(name) for name in ("web", "worker", "beat")] == [False, True, True]
    assert str(found).startswith("stopped for maintenance (beat, worker) since 2026-11-20 12:02:00 UTC")
    ledger.append_events([said("stop", "done", 3, "f" * 12)])
    ledger.append_events([said("start", "done", 4, process="web")])
    found = query.maintenance_stop(ledger, "api", "production")
    assert found is not None
    assert [found.holds(name) for name in ("web", "worker", "")] == [False, True, True]
