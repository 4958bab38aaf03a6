"""The command that migrates the data forward: when it runs, and what prevents it."""

from __future__ import annotations

from typing import Any

from release import config
from release.commands.text import plans
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.planning.policy import Allowance
from release.deploy.planning.prepare import prepare
from release.deploy.targets.engine.commands import command_container
from release.values import replace
from tests.unit.deploy.scene import TABLE, Scene, scene

__all__ = ["scene"]

UP = ["alembic", "upgrade", "head"]


def live_with(scene: Scene, **migrations: Any) -> LiveEnvironment:
    """Return the environment with these settings of migrations."""
    table = TABLE | {
        "migrations": {"paths": ["migrations/*.py"], **migrations},
        "environments": {"production": {"env": {"LOG_LEVEL": "info"}}},
    }
    parsed = config.parse({"tool": {"release": table}})
    workspace = replace(scene.live.workspace, config=parsed, service=parsed.service(None))
    settings = workspace.service.environments["production"]
    return replace(scene.live, workspace=workspace, settings=settings)


def test_it_runs_in_the_new_image_with_the_settings_of_the_deployment(scene: Scene) -> None:
    """Without its ports and labels; the plan shows the command and its time."""
    scene.release("1.4.1")
    prepared = prepare(live_with(scene, up=UP, timeout="30m"), scene.releases["1.4.1"], "promote")
    command = prepared.up
    assert command is not None
    asked = command.request
    assert (asked.command, asked.spec.env) == (tuple(UP), {"LOG_LEVEL": "info"})
    assert command_container(scene.engine, asked).publish == ()
    assert prepared.plan.to_json()["up"]["command"] == tuple(UP)
    first = dict(plans.plan_rows(prepared.plan))["first"]
    assert first.startswith("`alembic upgrade head`\nin a container of 1.4.1, ")
    assert first.endswith("with the settings of this deployment, for 30m at most")


def test_it_does_not_run_for_a_rollback_or_if_the_data_is_migrated(scene: Scene) -> None:
    """`--up done` skips it."""
    scene.release("1.4.1", "1.4.2")
    scene.deploy("1.4.1")
    scene.runs("1.4.2", scene.deploy("1.4.2"))
    live, target = live_with(scene, up=UP), scene.releases["1.4.1"]
    assert prepare(live, target, "promote").up is not None
    assert prepare(live, target, "rollback").up is None
    assert prepare(live, target, "promote", allowed=Allowance(up=True)).up is None


def test_it_does_not_run_if_the_deployment_goes_back_over_migrations(scene: Scene) -> None:
    """An older image does not know the newer migrations."""
    scene.release("1.4.1")
    scene.root.write("migrations/7_orders.py")
    scene.release("1.5.0")
    scene.runs("1.5.0", scene.deploy("1.5.0"))
    allowed = Allowance(cross_migrations=True)
    prepared = prepare(live_with(scene, up=UP), scene.releases["1.4.1"], "promote", allowed=allowed)
    assert prepared.plan.crossing is not None
    assert prepared.up is None


def test_it_can_run_when_the_release_is_verified(scene: Scene) -> None:
    """The plan shows it last, and the record says when it was to run."""
    scene.release("1.4.1")
    prepared = prepare(live_with(scene, up=UP, when="after"), scene.releases["1.4.1"], "promote")
    assert prepared.up is not None
    assert (prepared.up.runs_after, prepared.up.change.when) == (True, "after")
    rows = dict(plans.plan_rows(prepared.plan))
    assert "first" not in rows
    assert rows["last"].startswith("`alembic upgrade head`\n")
