"""What was found beforehand and is looked at again: what does not serve, and what was left open."""

from __future__ import annotations

import pytest

from release.deploy.execution.attempt_events import AttemptEvents
from release.deploy.execution.deploy import carry_out
from release.errors import DeploymentFailed
from release.programs.interruption import Interruption
from release.records import Deployment
from release.values import replace
from tests.unit.deploy.scene import PLACE, Scene, scene

__all__ = ["scene"]


def test_what_runs_as_asked_and_does_not_serve_says_how_it_is_replaced(scene: Scene) -> None:
    """It is only looked at, so nothing was changed: the command that replaces it is written out."""
    scene.release("1.4.1")
    scene.runs("1.4.1", scene.deploy("1.4.1"))
    prepared = scene.prepared("1.4.1", "rollback")
    (kept,) = scene.engine.kept
    kept.state = replace(kept.state, status="exited")
    with pytest.raises(DeploymentFailed) as caught:
        carry_out(prepared, message="", interruption=Interruption())
    assert caught.value.exit_code == 1
    assert (
        "to replace it although it runs as asked: `invoke rollback --to 1.4.1 --again`" in caught.value.hint
    )
    assert scene.engine.calls == []


def test_what_ended_since_the_ledger_was_read_is_not_called_failed(scene: Scene) -> None:
    """Whoever had begun it was about to record the end: that stands, and nothing is added to it."""
    scene.release("1.4.1", "1.5.0")
    scene.runs("1.4.1", scene.deploy("1.4.1"))
    began = scene.deploy("1.5.0", "started")
    scene.runs("1.5.0", began, name=PLACE.fresh(began), status="exited")
    events = AttemptEvents(prepared=scene.prepared("1.5.0", "promote"), deployment="0" * 12, message="")
    left = events.prepared.observation.unfinished
    assert left is not None
    (failed,) = events.interrupted_end()
    assert isinstance(failed.body, Deployment)
    assert failed.body.status == "failed"
    scene.say(left.ended("restored", "unix:///x", None, "as before", "by its own operator"))
    scene.live.workspace.ledger.look_again()
    assert events.interrupted_end() == []
