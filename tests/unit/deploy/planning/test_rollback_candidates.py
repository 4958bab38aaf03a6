"""What somebody who has not decided yet may answer."""

from __future__ import annotations

import pytest

from release.commands.text import plans
from release.deploy.planning.rollback_candidates import Candidate, chosen
from release.ledger.query import QuarantineState
from release.records import Quarantine
from release.runspec import RunSpec
from tests.unit.deploy.fakes import ACTOR, MOMENT, event, release

RELEASES = [release(version) for version in ("0.3.0", "0.2.0", "0.1.0")]
ASIDE = QuarantineState(
    quarantine=Quarantine(release=RELEASES[1].id, message="loses orders"), recorded_at=MOMENT, actor=ACTOR
)
OFFERED = [
    Candidate(release=each, event=event(each, RunSpec(), message="why"), word=word, is_current=number == 0)
    for number, (each, word) in enumerate(zip(RELEASES, (None, ASIDE, None), strict=True))
]


@pytest.mark.parametrize(
    ("answer", "target"),
    [("", "previous"), ("1", "0.3.0"), ("3", "0.1.0"), ("0", None), ("4", None), ("-1", None), ("x", None)],
)
def test_an_answer_is_a_number_of_the_list_or_nothing(answer: str, target: str | None) -> None:
    """Nothing is the default; anything else is no answer."""
    assert chosen(OFFERED, "previous", answer) == target


def test_candidates_are_shown_with_what_speaks_against_them() -> None:
    """Numbered from 1, the current one marked."""
    rows = dict(plans.candidate_rows(OFFERED))
    assert list(rows) == ["1", "2", "3"]
    assert rows["1"].startswith("0.3.0 ")
    assert "runs now" in rows["1"]
    assert "loses orders" in rows["2"]
    assert "by Ada Lovelace: why" in rows["3"]
