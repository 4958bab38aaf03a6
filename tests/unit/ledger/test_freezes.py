"""Whether an environment is frozen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from release.ledger import query
from release.ledger.store import Ledger
from release.records import Body, Draft, Freeze
from tests.unit.ledger import samples
from tests.unit.repository import Repository

BEFORE, NOON, LATER = "2026-11-20T11:00:00.000Z", samples.NOON, "2026-11-20T13:00:00.000Z"


def word(message: str = "bad night", **changes: Any) -> Draft[Body]:
    body = Freeze(environment=changes.pop("environment", "production"), message=message, **changes)
    return samples.draft(body, service="api", at=NOON)


def frozen(ledger: Ledger, moment: str = NOON, environment: str = "production") -> str | None:
    found = query.active_freeze(ledger, "api", environment, moment)
    return found.freeze.message if found is not None else None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([], None),
        ([word()], "bad night"),
        ([word(), word("fine", thawed=True)], None),
        ([word(), word("fine", thawed=True), word("again")], "again"),
        ([word(until=LATER)], "bad night"),
        ([word(until=NOON)], None),
        ([word(until=BEFORE)], None),
        ([word(), word("shorter", until=BEFORE)], None),
        ([word(environment="staging")], None),
    ],
)
def test_the_last_word_on_the_environment_decides(
    here: Repository, said: Sequence[Draft[Body]], expected: str | None
) -> None:
    """Frozen, thawed, over by itself; of another environment it says nothing."""
    ledger = samples.ledger(here.root)
    for draft in said:
        ledger.append_events([draft])
    assert frozen(ledger) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([word("audit"), word("rolled back", deployment="0123456789ab")], "audit"),
        ([word("rolled back", deployment="0123456789ab")], None),
        ([word("audit"), word("fine", thawed=True), word("rolled back", deployment="0123456789ab")], None),
        ([word("audit", until=BEFORE), word("rolled back", deployment="0123456789ab")], None),
    ],
)
def test_what_a_person_froze_lies_beneath_what_a_rollback_froze(
    here: Repository, said: Sequence[Draft[Body]], expected: str | None
) -> None:
    """As far as it still holds and nobody ended it."""
    ledger = samples.ledger(here.root)
    for draft in said:
        ledger.append_events([draft])
    found = query.freeze_under_rollback_freeze(ledger, "api", "production", NOON)
    assert (found.freeze.message if found is not None else None) == expected


def test_a_freeze_says_until_when_why_and_who() -> None:
    """As the end of a sentence that begins with the environment."""
    frost = query.FreezeState(
        freeze=Freeze(environment="production", message="bad night", until=LATER),
        recorded_at=NOON,
        actor=samples.ADA,
    )
    text = str(frost)
    for part in ("until 2026-11-20 13:00:00 UTC", "bad night", samples.ADA.name):
        assert part in text


def test_a_word_that_waits_for_the_server_comes_after_all_that_are_there(ada: Repository) -> None:
    """Kept in this clone it holds already; published, it is there for everybody, once."""
    ledger = samples.ledger(ada.root, remote="origin")
    ledger.append([word("first")])
    ledger.append_events([word("fine", thawed=True)], publish=False)
    assert frozen(ledger) is None
    assert ledger.sync() == 1
    assert ledger.sync() == 0
    assert frozen(ledger) is None
    ledger.append_events([word("fine", thawed=True)])
    assert len(list(query.history(ledger, "api", kind="freeze"))) == 2


def test_several_events_are_published_at_once(ada: Repository) -> None:
    """One commit for all: nobody sees the one without the other."""
    ledger = samples.ledger(ada.root, remote="origin")
    (release,) = ledger.append([samples.release("1.0.0")])
    done = ledger.append_events([samples.event(release), word(), samples.quarantine(release)])
    assert done is not None
    assert [record.envelope.kind for record in done] == ["deployment", "freeze", "quarantine"]
    assert [record.envelope.seq for record in done] == [2, 3, 4]
    assert ada.git("rev-list", "--count", "refs/release/origin/release-ledger") == "2"


def test_the_history_of_an_environment_has_its_freezes(here: Repository) -> None:
    """Among the deployments, newest first; those of another environment are not there."""
    ledger = samples.ledger(here.root)
    (release,) = ledger.append([samples.release("1.0.0")])
    ledger.append([samples.event(release, at=BEFORE), word(), word(environment="staging")])
    found = query.history(ledger, "api", environment="production")
    assert [record.envelope.kind for record in found] == ["freeze", "deployment"]
