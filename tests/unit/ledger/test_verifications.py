"""Checks, drills and rebuilds in the ledger: found by environment, by release, and while they wait."""

from __future__ import annotations

from contextlib import closing
from typing import Literal

import pytest
from pydantic import ValidationError

from release.config import Ledger as Settings
from release.git.source import Source
from release.ledger import query
from release.ledger.rebuild import survey_index
from release.ledger.store import Ledger
from release.ledger.verify import verify
from tests.unit.ledger import samples
from tests.unit.ledger.samples import event, moment, release, verification
from tests.unit.repository import Repository

What = Literal["readiness", "drill", "rebuild"]


@pytest.fixture
def ledger(here: Repository) -> Ledger:
    """An empty ledger without a server."""
    return samples.ledger(here.root)


def times(ledger: Ledger, what: What, environment: str = "production") -> list[str]:
    found = query.verifications(ledger, "api", environment, what)
    return [tried.recorded_at for tried in found]


def test_checks_of_an_environment_come_newest_first_and_by_sort(ledger: Ledger) -> None:
    """A drill is not among the readiness checks, nor is another environment's."""
    (one,) = ledger.append([release("1.0.0")])
    ledger.append(
        [
            verification(one, "readiness", at=moment(1)),
            verification(one, at=moment(2)),
            verification(one, environment="staging", at=moment(3)),
            verification(one, "rebuild", at=moment(4)),
            verification(one, at=moment(5)),
        ]
    )
    assert times(ledger, "drill") == [moment(5), moment(2)]
    assert times(ledger, "readiness") == [moment(1)]
    assert times(ledger, "drill", "staging") == [moment(3)]


def test_the_history_of_an_environment_tells_what_was_tried_out_in_it(ledger: Ledger) -> None:
    """Drills and readiness checks among deployments and freezes, newest first, down to a moment."""
    (one,) = ledger.append([release("1.0.0")])
    ledger.append(
        [
            verification(one, "readiness", at=moment(1)),
            event(one, at=moment(2)),
            verification(one, at=moment(3)),
            verification(one, environment="staging", at=moment(4)),
        ]
    )
    told = list(query.history(ledger, "api", environment="production"))
    assert [record.envelope.recorded_at for record in told] == [moment(3), moment(2), moment(1)]
    since = query.history(ledger, "api", environment="production", since=moment(2))
    assert list(since) == told[:2]


def test_the_rehearsed_time_is_that_of_the_last_drill_that_passed(ledger: Ledger) -> None:
    """A later one that failed says nothing about time."""
    (one,) = ledger.append([release("1.0.0")])
    assert query.last_drill(ledger, "api", "production") is None
    ledger.append(
        [
            verification(one, milliseconds=1900, at=moment(1)),
            verification(one, milliseconds=2100, at=moment(2)),
            verification(one, result="failed", at=moment(3)),
        ]
    )
    found = query.last_drill(ledger, "api", "production")
    assert found is not None
    assert (found.verification.duration_ms, found.recorded_at) == (2100, moment(2))


def test_a_release_knows_its_drills_and_rebuilds(ledger: Ledger) -> None:
    """Not the daily looks at many, and not those of other releases."""
    one, two = ledger.append([release("1.0.0"), release("2.0.0")])
    ledger.append(
        [
            verification(one, "readiness", at=moment(1)),
            verification(one, at=moment(2)),
            verification(two, at=moment(3)),
            verification(one, "rebuild", result="failed", at=moment(4)),
        ]
    )
    found = [
        (tried.verification.what, tried.passed)
        for tried in query.verifications_of_release(ledger, "api", one.id)
    ]
    assert found == [("drill", True), ("rebuild", False)]


def test_the_ledger_proves_and_rebuilds_their_index(here: Repository, ledger: Ledger) -> None:
    """Every entry follows from the record, so a verification finds nothing, and a survey neither."""
    (one,) = ledger.append([release("1.0.0")])
    ledger.append([verification(one, at=moment(1)), verification(one, "rebuild", at=moment(2))])
    found = survey_index(ledger)
    assert (found.missing, found.wrong) == ({}, ())
    with closing(Source.open(here.root)) as source:
        report = verify(source, Settings())
    assert {violation.kind for violation in report.violations} == {"tag-missing"}


@pytest.mark.parametrize("what", ["drill", "rebuild"])
def test_a_check_that_is_sent_twice_is_one_record(ledger: Ledger, what: What) -> None:
    """As when a connection broke after it had arrived."""
    (one,) = ledger.append([release("1.0.0")])
    drafted = verification(one, what)
    first, second = ledger.append([drafted])[0], ledger.append([drafted])[0]
    assert first.id == second.id
    assert [tried.verification.what for tried in query.verifications_of_release(ledger, "api", one.id)] == [
        what
    ]


def test_a_check_that_waits_for_the_server_counts(server: Repository, ada: Repository) -> None:
    """The rehearsed time is known here before it is published, and once afterwards."""
    ledger = samples.ledger(ada.root, remote="origin")
    (one,) = ledger.append([release("1.0.0")])
    away = server.root.rename(server.root.with_name("away.git"))
    assert ledger.append_events([verification(one)]) is None
    assert query.last_drill(ledger, "api", "production") is not None
    assert len(query.verifications_of_release(ledger, "api", one.id)) == 1
    away.rename(server.root)
    assert ledger.sync() == 1
    assert times(ledger, "drill") == [samples.NOON]
    assert len(query.verifications_of_release(ledger, "api", one.id)) == 1


def test_the_name_of_an_environment_does_not_leave_its_folder(ledger: Ledger) -> None:
    """A record that would write elsewhere in the index is refused."""
    (one,) = ledger.append([release("1.0.0")])
    with pytest.raises(ValidationError, match="environment"):
        ledger.append([verification(one, environment="../../records")])
