"""Everything that can fail is told at once."""

from __future__ import annotations

import pytest

from release.deploy.core.image_location import ImageLocation
from release.deploy.planning.preflight import refuse
from release.errors import LockHeld, NotReady, Problem, TargetUnavailable

NOWHERE = ImageLocation(where="nowhere", problem="the engine does not have it")


ENGINE = ImageLocation(where="engine")


PROBLEM = Problem(path="environments.production.networks", message="the engine has no network a")


LOCKED = LockHeld("deploy api in production", "another deployment is under way: Grace")


@pytest.mark.parametrize(
    ("found", "listed", "lock", "kind", "code"),
    [
        (NOWHERE, [PROBLEM], LOCKED, TargetUnavailable, 6),
        (NOWHERE, [], None, TargetUnavailable, 6),
        (ENGINE, [PROBLEM], LOCKED, NotReady, 2),
        (ENGINE, [PROBLEM], None, NotReady, 2),
        (ENGINE, [], LOCKED, LockHeld, 5),
    ],
)
def test_everything_is_listed_and_the_gravest_gives_the_exit_status(
    found: ImageLocation,
    listed: list[Problem],
    lock: LockHeld | None,
    kind: type[TargetUnavailable | NotReady | LockHeld],
    code: int,
) -> None:
    """Bytes before settings before the lock."""
    with pytest.raises(kind) as caught:
        refuse("deploy 0.1.0 of api in production", found, listed, lock)
    assert caught.value.exit_code == code
    parts = [item.message for item in listed] + ([LOCKED.found] if lock is not None else [])
    assert all(part in str(caught.value) for part in parts)


def test_nothing_found_refuses_nothing() -> None:
    """The way is free."""
    refuse("deploy", ENGINE, [], None)


def test_what_is_barred_makes_the_target_unavailable() -> None:
    """With everything else in the same message."""
    aside, port = Problem(path="quarantine", message="quarantined"), Problem(path="publish", message="taken")
    with pytest.raises(TargetUnavailable) as caught:
        refuse("deploy", ENGINE, [port], None, barred=[aside])
    assert "2 problems" in str(caught.value)
