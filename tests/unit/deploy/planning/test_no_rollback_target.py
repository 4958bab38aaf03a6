"""The reason why a bare rollback has no target is true for what ran and what is quarantined."""

from __future__ import annotations

import pytest

from release.deploy.planning.no_rollback_target import no_target_reason

NOWHERE = ", so a rollback without --to has no target"


@pytest.mark.parametrize(
    ("quarantined", "said"),
    [
        ([], "no release was verified healthy here yet"),
        ([False], f"only one release ran here{NOWHERE}"),
        ([False, True], f"the other release that ran here is quarantined{NOWHERE}"),
        ([False, True, True], f"the other 2 releases that ran here are quarantined{NOWHERE}"),
        ([True], f"the one release that ran here is quarantined{NOWHERE}"),
        ([True, True], f"all 2 releases that ran here are quarantined{NOWHERE}"),
        ([True, False], ""),
        ([False, True, False], ""),
    ],
)
def test_the_note_says_what_ran_and_what_is_quarantined(quarantined: list[bool], said: str) -> None:
    assert no_target_reason(quarantined, 3) == said


def test_where_one_release_was_asked_for_nothing_is_said_of_the_others() -> None:
    assert no_target_reason([False], 1) == ""
