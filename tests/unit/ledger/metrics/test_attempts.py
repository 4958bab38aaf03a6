"""Which deployments failed, when they recovered, and what was rework. Pure."""

from __future__ import annotations

import pytest

from release.ledger.metrics.attempts import Attempt, outcomes


def attempts(*words: str) -> list[Attempt]:
    """Attempts from words as "promote:B:healthy" or "promote:B:mixed,healthy"; one starts each hour.

    Its first end is 10 minutes later, and each further one 10 minutes after that.
    """
    made = []
    for hour, word in enumerate(words, 1):
        reason, release, ends = word.split(":")
        statuses = [each for each in ends.split(",") if each]
        made.append(
            Attempt(
                deployment=str(hour),
                reason=reason,
                release=release,
                started=at(hour, 0),
                ends=tuple((status, at(hour, 10 * place)) for place, status in enumerate(statuses, 1)),
            )
        )
    return made


def at(hour: int, minute: int) -> str:
    return f"2026-10-25T{hour:02d}:{minute:02d}:00.000Z"


def judged(*words: str) -> list[tuple[bool, str | None, bool]]:
    """Of each deployment: if it failed, when it recovered, and if it is rework."""
    return [(each.failed, each.recovered, each.rework) for each in outcomes(attempts(*words))]


GOOD = (False, None, False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["promote:A:healthy", "promote:B:healthy"], [GOOD, GOOD]),
        (["promote:A:healthy", "rollback:Z:healthy"], [(True, at(2, 10), False)]),
        (["promote:A:healthy", "hotfix:B:healthy"], [(True, at(2, 10), False), (False, None, True)]),
        (["promote:A:healthy", "promote:B:restored"], [GOOD, (True, at(2, 10), False)]),
        (["promote:A:failed"], [(True, None, False)]),
        (["promote:A:failed", "promote:A:healthy"], [(True, at(2, 10), False), (False, None, True)]),
        (["promote:A:mixed,healthy"], [(True, at(1, 20), False)]),
        (["promote:A:mixed,restored"], [(True, at(1, 20), False)]),
        (["promote:A:healthy", "rollback:Z:failed"], [(True, None, False)]),
        (["promote:A:healthy", "rollback:Z:failed", "rollback:Z:healthy"], [(True, at(3, 10), False)]),
        (
            ["promote:A:healthy", "promote:B:failed", "rollback:A:healthy"],
            [GOOD, (True, at(3, 10), False)],
        ),
        (
            ["promote:A:healthy", "promote:B:restored", "rollback:Z:healthy"],
            [(True, at(3, 10), False), (True, at(2, 10), True)],
        ),
        (
            ["promote:A:healthy", "hotfix:B:restored", "promote:C:healthy"],
            [(True, at(3, 10), False), (True, at(2, 10), True), (False, None, True)],
        ),
        (["promote:A:healthy", "rollback:Z:healthy", "rollback:Y:healthy"], [(True, at(2, 10), False)]),
        (["promote:A:", "promote:B:healthy"], [GOOD]),
        (["rollback:A:healthy", "promote:B:healthy"], [GOOD]),
    ],
    ids=[
        "two that stayed",
        "rolled back",
        "hotfix",
        "restored by itself",
        "failed and nothing after it",
        "failed, then deployed again",
        "mixed, then finished",
        "mixed, then reverted",
        "rollback that failed",
        "second rollback worked",
        "rollback of a deployment that failed blames that one alone",
        "rollback after a restored one blames what ran",
        "hotfix that was restored",
        "second rollback blames no deployment again",
        "without an end",
        "rollback first",
    ],
)
def test_a_deployment_is_judged_by_its_end_and_by_what_came_after_it(
    words: list[str], expected: list[tuple[bool, str | None, bool]]
) -> None:
    """Failed, moment of the recovery, rework."""
    assert judged(*words) == expected


def test_a_deployment_knows_the_release_that_ran_before_it() -> None:
    """An attempt that did not become healthy leaves the one before."""
    found = outcomes(attempts("promote:A:healthy", "promote:B:restored", "promote:C:healthy"))
    assert [each.before for each in found] == [None, "A", "A"]
