"""What speaks against a deployment, and what a rollback leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from release.deploy.core.place import Place
from release.deploy.planning.policy import (
    Aftermath,
    Allowance,
    PolicyState,
    aftermath,
    freeze_problems,
    later_time,
    quarantine_problems,
)
from release.ledger.query import FreezeState, QuarantineState
from release.records import Body, Freeze, Quarantine
from tests.unit.deploy.fakes import ACTOR, MOMENT, release

PLACE = Place(service="api", environment="production")
OLD, NEW = release("0.1.0"), release("0.2.0")
DEPLOYMENT = "0123456789ab"


def quarantine(*, by_rollback: bool = False, environment: str | None = "production") -> QuarantineState:
    said = Quarantine(
        release=NEW.id,
        environment=environment,
        message="loses orders",
        deployment=DEPLOYMENT if by_rollback else None,
    )
    return QuarantineState(quarantine=said, recorded_at=MOMENT, actor=ACTOR)


def frozen(*, by_rollback: bool = False, until: str | None = None) -> FreezeState:
    word = Freeze(
        environment="production",
        message="audit",
        until=until,
        deployment=DEPLOYMENT if by_rollback else None,
    )
    return FreezeState(freeze=word, recorded_at=MOMENT, actor=ACTOR)


def state(**words: Any) -> PolicyState:
    return PolicyState(**{"quarantine": None, "freeze": None, **words})


def test_a_release_that_is_set_aside_is_barred_unless_that_is_allowed() -> None:
    """The way out names the environment it was said for."""
    (problem,) = quarantine_problems(state(quarantine=quarantine()), PLACE, NEW, Allowance())
    assert "0.2.0 is quarantined in production: loses orders" in problem.message
    assert "`invoke quarantine 0.2.0 --lift --environment production --message WHY`" in problem.message
    (everywhere,) = quarantine_problems(
        state(quarantine=quarantine(environment=None)), PLACE, NEW, Allowance()
    )
    assert "--lift --message WHY" in everywhere.message
    assert quarantine_problems(state(quarantine=quarantine()), PLACE, NEW, Allowance(quarantined=True)) == []
    assert quarantine_problems(state(), PLACE, NEW, Allowance()) == []


def test_a_frozen_environment_is_closed_to_deployments_and_never_to_rollbacks() -> None:
    """Unless the deployment thaws it."""
    (problem,) = freeze_problems(state(freeze=frozen()), PLACE, "promote", Allowance())
    assert "production is frozen until `invoke thaw`: audit" in problem.message
    assert freeze_problems(state(freeze=frozen()), PLACE, "promote", Allowance(thaw=True)) == []
    assert freeze_problems(state(freeze=frozen()), PLACE, "rollback", Allowance()) == []
    assert freeze_problems(state(), PLACE, "promote", Allowance()) == []


def following(why: Any, target: Any, left: Any, words: PolicyState, *, freeze: int = 3_600_000) -> Aftermath:
    return aftermath(PLACE, why, target, left, words, freeze=freeze)


def bodies(found: Aftermath) -> list[Body]:
    return list(found.bodies(DEPLOYMENT, "why not"))


def test_a_rollback_sets_aside_what_it_left_and_freezes() -> None:
    """Both name the rollback and what it went back to."""
    found = following("rollback", OLD, NEW, state())
    aside, freeze = bodies(found)
    assert isinstance(aside, Quarantine)
    assert (aside.release, aside.environment, aside.deployment) == (NEW.id, "production", DEPLOYMENT)
    assert aside.message == "rolled back to 0.1.0: why not"
    assert isinstance(freeze, Freeze)
    assert freeze.until is not None
    assert found.sentences() == ("0.2.0 is quarantined in production", "production is frozen for 1h")


@pytest.mark.parametrize(
    ("why", "target", "left", "words", "freeze", "expected"),
    [
        ("promote", NEW, OLD, state(), 1, ()),
        ("promote", NEW, OLD, state(freeze=frozen()), 1, ("production is thawed",)),
        ("rollback", OLD, OLD, state(), 0, ()),
        ("rollback", OLD, None, state(), 0, ()),
        ("rollback", OLD, NEW, state(freeze=frozen()), 0, ("0.2.0 is quarantined in production",)),
        (
            "rollback",
            NEW,
            OLD,
            state(quarantine=quarantine(by_rollback=True), freeze=frozen(by_rollback=True)),
            1,
            ("0.2.0 is no longer quarantined in production", "production is thawed"),
        ),
        (
            "promote",
            NEW,
            OLD,
            state(quarantine=quarantine(by_rollback=True)),
            1,
            ("0.2.0 is no longer quarantined in production",),
        ),
        ("promote", NEW, OLD, state(quarantine=quarantine()), 1, ()),
        (
            "rollback",
            NEW,
            OLD,
            state(quarantine=quarantine()),
            0,
            ("0.1.0 is quarantined in production",),
        ),
    ],
)
def test_what_follows_depends_on_what_was_state(
    why: Any, target: Any, left: Any, words: PolicyState, freeze: int, expected: tuple[str, ...]
) -> None:
    """What a rollback set aside is welcome again; what a person set aside is not."""
    found = following(why, target, left, words, freeze=freeze)
    assert found.sentences() == expected
    assert len(bodies(found)) == len(expected)


@pytest.mark.parametrize(
    ("until", "froze"), [(None, False), ("2999-01-01T00:00:00.000Z", False), (MOMENT, True)]
)
def test_a_rollback_freezes_only_for_longer_than_somebody_did(until: str | None, *, froze: bool) -> None:
    """The last word decides, so a shorter one would end the longer one early."""
    found = following("rollback", OLD, NEW, state(freeze=frozen(until=until)))
    assert any(isinstance(body, Freeze) for body in bodies(found)) is froze


def test_undoing_a_rollback_ends_its_freeze_and_nobody_elses() -> None:
    """A person's stays; one that the rollback's had covered is said once more."""
    aside = quarantine(by_rollback=True)
    stays = following("rollback", NEW, OLD, state(quarantine=aside, freeze=frozen()))
    assert stays.sentences() == ("0.2.0 is no longer quarantined in production",)
    covered = frozen(until="2999-01-01T00:00:00.000Z")
    words = state(quarantine=aside, freeze=frozen(by_rollback=True), beneath=covered)
    found = following("rollback", NEW, OLD, words)
    assert "production stays frozen, as it was before the rollback" in found.sentences()
    assert bodies(found)[-1] == covered.freeze


def test_a_moment_later_is_written_as_records_write_it() -> None:
    """RFC 3339, UTC, milliseconds; across midnight."""
    assert later_time("2026-11-20T23:30:00.000Z", 3_600_000) == "2026-11-21T00:30:00.000Z"
