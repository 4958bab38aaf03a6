"""What is there before anything is decided, and what a rollback that names nothing goes back to."""

from __future__ import annotations

import pytest

from release.deploy.environment.current_settings import current_settings
from release.deploy.environment.observe import last_good, look_around
from release.records import Quarantine
from tests.unit.deploy.scene import PLACE, Scene, scene

__all__ = ["scene"]


def left(of: Scene) -> tuple[str | None, str | None, str]:
    """The version that is left, how its deployment stands, and where a bare rollback goes."""
    observation = look_around(of.live)
    version = observation.left.body.version if observation.left is not None else None
    status = (
        observation.running_deployment.deployment.status
        if observation.running_deployment is not None
        else None
    )
    return version, status, last_good(of.live, observation)


def test_what_runs_as_recorded_is_left_for_what_was_healthy_before(scene: Scene) -> None:
    """The usual."""
    scene.release("1.4.1", "1.4.2")
    scene.deploy("1.4.1")
    scene.runs("1.4.2", scene.deploy("1.4.2"))
    assert left(scene) == ("1.4.2", "healthy", "previous")


def test_a_release_that_another_clone_deployed_is_left_for_the_last_healthy_one(scene: Scene) -> None:
    """Its release is in the ledger and its deployment is not: the image's id proves it."""
    scene.release("1.4.1", "1.4.2", "1.5.0")
    scene.deploy("1.4.1")
    scene.deploy("1.4.2")
    scene.runs("1.5.0", "0123456789ab")
    assert left(scene) == ("1.5.0", None, "-0")


def test_a_rollback_that_another_clone_made_is_not_gone_forward_from(scene: Scene) -> None:
    """An earlier release runs again: the target is what was healthy before it, not what it replaced."""
    scene.release("1.4.0", "1.4.1", "1.4.2")
    for version in ("1.4.0", "1.4.1", "1.4.2"):
        scene.deploy(version)
    scene.runs("1.4.1", "0123456789ab")
    assert left(scene) == ("1.4.1", None, "1.4.0")
    scene.say(Quarantine(release=scene.releases["1.4.0"].id, environment=None, message="bad"))
    assert left(scene)[2] == "previous"


def test_a_label_is_a_claim_and_the_image_is_the_proof(scene: Scene) -> None:
    """A container that calls itself 1.4.2 and runs the image of 1.5.0 is 1.5.0."""
    scene.release("1.4.2", "1.5.0")
    deployment = scene.deploy("1.4.2")
    scene.runs("1.5.0", deployment, called="1.4.2")
    observation = look_around(scene.live)
    assert observation.left is not None
    assert observation.left.body.version == "1.5.0"
    assert observation.event is None
    assert last_good(scene.live, observation) == "-0"


def test_what_is_no_release_of_this_clone_is_not_ours(scene: Scene) -> None:
    """Nothing proves what it is: it is named, and the ledger says what is left."""
    scene.release("1.4.1", "1.4.2")
    scene.deploy("1.4.1")
    scene.deploy("1.4.2")
    scene.runs("1.5.0", "0123456789ab")
    assert left(scene)[0] == "1.4.2"
    ours = look_around(scene.live).ours
    assert (ours.up, [each.name for each in ours.strangers]) == ((), [PLACE.container])


@pytest.mark.parametrize("status", ["mixed", "failed", "started"])
def test_what_was_tried_in_vain_is_left_whether_it_runs_or_not(scene: Scene, status: str) -> None:
    """With how it ended, and by whom."""
    scene.release("1.4.1", "1.4.2", "1.5.0")
    scene.deploy("1.4.1")
    scene.deploy("1.4.2")
    deployment = scene.deploy("1.5.0", status)
    assert left(scene) == ("1.5.0", status, "-0")
    scene.runs("1.5.0", deployment)
    assert left(scene) == ("1.5.0", status, "-0")


def test_what_a_killed_operator_began_is_read_from_the_lock(scene: Scene) -> None:
    """The ledger knows nothing of it: who tried it stands in the lock."""
    scene.release("1.4.2", "1.5.0")
    scene.deploy("1.4.2")
    began = scene.began("1.5.0")
    spec, _ = current_settings(scene.live, scene.releases["1.5.0"])
    began = began.of(
        began.body.model_copy(update={"run_spec": spec, "digest": scene.releases["1.5.0"].body.image.digest})
    )
    scene.locked(began)
    scene.runs("1.5.0", began.body.deployment)
    assert left(scene) == ("1.5.0", "started", "-0")


def test_of_two_releases_that_run_the_unexpected_one_is_left(scene: Scene) -> None:
    """Behind a proxy and in a Swarm both may serve."""
    scene.release("1.4.2", "1.5.0")
    healthy, mixed = scene.deploy("1.4.2"), scene.deploy("1.5.0", "mixed")
    scene.runs("1.4.2", healthy)
    scene.runs("1.5.0", mixed, name=PLACE.fresh(mixed))
    assert left(scene) == ("1.5.0", "mixed", "-0")


def test_where_nothing_runs_after_a_good_end_the_ledgers_release_is_left(scene: Scene) -> None:
    """Its container is gone; it is the one that a rollback leaves."""
    scene.release("1.4.1", "1.4.2")
    scene.deploy("1.4.1")
    scene.deploy("1.4.2")
    assert left(scene) == ("1.4.2", "healthy", "previous")


def test_a_last_healthy_release_that_is_set_aside_is_passed_over(scene: Scene) -> None:
    """The one before it is gone back to."""
    scene.release("1.4.1", "1.4.2", "1.5.0")
    scene.deploy("1.4.1")
    scene.deploy("1.4.2")
    scene.runs("1.5.0", "0123456789ab")
    scene.say(Quarantine(release=scene.releases["1.4.2"].id, environment=None, message="bad"))
    assert left(scene)[2] == "previous"


def test_a_rollback_that_failed_sets_nothing_aside(scene: Scene) -> None:
    """What it went to was good before, and was tried because something else was not."""
    scene.release("1.4.2", "1.5.0")
    scene.deploy("1.4.2")
    scene.deploy("1.5.0")
    scene.deploy("1.4.2", "failed", "rollback")
    observation = look_around(scene.live)
    assert observation.left is not None
    assert observation.left.body.version == "1.4.2"
    assert observation.abandoned is None
