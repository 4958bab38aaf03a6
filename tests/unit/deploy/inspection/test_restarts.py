"""What was started again after it was verified."""

from __future__ import annotations

from typing import Any

import pytest

from release.deploy.core.instance import Placed
from release.deploy.core.place import DEPLOYMENT
from release.deploy.inspection.restarts import restarted
from release.deploy.targets.swarm.instances import ended_tasks
from release.values import replace
from tests.unit.deploy.fakes import instance
from tests.unit.deploy.scene import Scene, scene

__all__ = ["scene"]


def told(scene: Scene, *deployed: tuple[str, str], **changes: Any) -> list[str]:
    """What is said of a container of the first deployment, after all of them; noon is 12:00."""
    scene.release("0.1.0", "0.2.0")
    first = ""
    for version, status in deployed:
        made = scene.deploy(version, status)
        first = first or made
    event = next(each for each in scene.live.events_of(first) if each.deployment.status == "healthy")
    timed = event.deployment.model_copy(update={"duration_ms": 30_000})
    container = instance(labels={DEPLOYMENT: first}, created_at="2026-11-20T12:01:00.5Z", **changes)
    return list(restarted(scene.live, [container], replace(event, deployment=timed)))


def test_a_container_that_runs_since_its_deployment_is_no_news(scene: Scene) -> None:
    """It was started within the time that its deployment took."""
    assert told(scene, ("0.1.0", "healthy"), started_at="2026-11-20T12:01:20.123456789Z") == []


def test_a_restart_by_the_engine_is_told(scene: Scene) -> None:
    """Its count is enough."""
    (text,) = told(scene, ("0.1.0", "healthy"), restarts=2)
    assert text.startswith("api-production ended, and the engine restarted it 2 times: `docker logs")


def test_a_start_by_hand_is_told(scene: Scene) -> None:
    """It came later than the deployment took, and than its proof."""
    (text,) = told(scene, ("0.1.0", "healthy"), started_at="2026-11-20T13:00:00.5Z")
    assert text.startswith(
        "api-production was started again at 2026-11-20 13:00:00 UTC, after it was verified"
    )


@pytest.mark.parametrize(("status", "count"), [("restored", 0), ("failed", 1), ("mixed", 1)])
def test_what_a_failed_deployment_put_back_was_proven_again(scene: Scene, status: str, count: int) -> None:
    """Its end is the later proof; another end is none."""
    at = "2026-11-20T12:03:30Z"
    found = told(scene, ("0.1.0", "healthy"), ("0.2.0", status), started_at=at)
    assert len(found) == count


def test_tasks_that_ended_by_themselves_are_told() -> None:
    """Each place once, with the last reason."""
    known = {"node": "", "answers": True, "version": "0.1.0", "state": "running", "error": ""}
    tasks = [
        Placed(name="api.1", ended=0, last="", **known),  # type: ignore[arg-type]
        Placed(name="api.2", ended=3, last="exit status 7", **known),  # type: ignore[arg-type]
    ]
    (text,) = ended_tasks(tasks)
    assert text == "api.2 ended, and the Swarm replaced it 3 times; the last: exit status 7"
