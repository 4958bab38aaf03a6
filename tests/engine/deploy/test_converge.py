"""The operator's machine dies in the middle of a deployment; somebody else brings it to one state."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from release.programs.process import output_of
from tests.engine import lab
from tests.engine.deploy.conftest import Make
from tests.engine.deploy.dying import HOST
from tests.engine.deploy.world import Ended, World
from tests.soak import rows

Elsewhere = Callable[..., Ended]

SURE = ("--yes", "--break-lock", "--message", "the laptop fell into the sea")


@pytest.fixture
def shared(make: Make, bare_remote: Path) -> World:
    """A service with three releases on a git server, the first one running."""
    world = make(remote=bare_remote)
    for version in ("0.1.0", "0.2.0"):
        world.release(version)
    world.release("0.3.0", mode="sick")
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    return world


@pytest.fixture
def elsewhere(shared: World, bare_remote: Path, tmp_path: Path) -> Elsewhere:
    """`invoke` in another clone."""
    clone = tmp_path / "elsewhere"
    output_of(["git", "clone", "--quiet", str(bare_remote), str(clone)])
    shared.git("config", "user.name", "Grace Hopper", cwd=clone)
    shared.git("config", "user.email", "grace@example.org", cwd=clone)
    bring_settings(shared, clone)
    return lambda *words: shared.invoke(*words, cwd=clone)


def bring_settings(world: World, clone: Path) -> None:
    """Another clone has today's settings."""
    for name in ("pyproject.toml", "tasks.py"):
        (clone / name).write_text((world.root / name).read_text())


def assert_one_state(world: World, elsewhere: Elsewhere, version: str) -> None:
    """One container under the good name, which serves; no lock; ledger and engine agree."""
    assert world.containers() == {world.container: "running"}
    assert world.answer()["VERSION"] == version
    status = elsewhere("status", "--json").data
    assert (status["drift"], status["leftovers"], status["lock"]) == ([], [], None)
    assert status["running"]["version"] == version


def test_a_death_before_the_new_one_runs_is_undone(shared: World, elsewhere: Elsewhere) -> None:
    """After the lock, the start's event, the new container, and the old one's stop: 0.1.0 serves again."""
    points = (("create", "1"), ("append_events", "1"), ("create", "2"), ("stop", "1"))
    for point in rows.sample(points, 2):
        died = shared.dying("after", *point, "deploy", "--to", "0.2.0", "--yes")
        assert died.status == -signal.SIGKILL, (point, died.err)
        done = elsewhere("converge", *SURE, "--json")
        assert done.status == 0, (point, done.err)
        assert done.data["status"] == "restored"
        assert_one_state(shared, elsewhere, "0.1.0")


def test_a_stop_that_is_under_way_is_waited_for(shared: World, elsewhere: Elsewhere) -> None:
    """The old container still serves for three seconds after the operator died. Then it is started again."""
    shared.configure(env='{ STOP_SECONDS = "3" }', stop_grace='"10s"')
    bring_settings(shared, shared.root.parent / "elsewhere")
    assert shared.invoke("deploy", "--to", "0.2.0", "--yes").status == 0

    def stopping() -> bool:
        state = shared.engine.state(shared.container)
        return state is not None and shared.engine.is_stopping(state)

    def die(process: subprocess.Popen[str]) -> None:
        lab.eventually(stopping, what="the old container has its stop signal")
        process.kill()

    died = shared.when("deploy", "--to", "0.1.0", "--yes", line="▸ stop", act=die)
    assert died.status == -signal.SIGKILL, died.err
    done = elsewhere("converge", "--revert", *SURE, "--json")
    assert done.status == 0, done.err
    assert "waiting for the stop of" in done.err
    time.sleep(4)
    assert_one_state(shared, elsewhere, "0.2.0")


def test_a_death_after_the_new_one_runs_is_finished(shared: World, elsewhere: Elsewhere) -> None:
    """After its start, before and after the old one goes, and after it got its name."""
    target = "0.2.0"
    points = (("after", "start"), ("before", "remove"), ("after", "remove"), ("after", "rename"))
    for moment, call in rows.sample(points, 2):
        died = shared.dying(moment, call, "1", "deploy", "--to", target, "--yes")
        assert died.status == -signal.SIGKILL, (call, died.err)
        done = elsewhere("converge", *SURE, "--json")
        assert done.status == 0, (call, done.err)
        assert (done.data["status"], done.data["actor"]["name"]) == ("healthy", "Grace Hopper")
        assert_one_state(shared, elsewhere, target)
        target = "0.2.0" if target == "0.1.0" else "0.1.0"


def test_a_rollback_that_died_is_finished_with_all_that_follows(shared: World, elsewhere: Elsewhere) -> None:
    """Its start never reached the server: the lock tells it. Release set aside, environment frozen."""
    assert shared.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    died = shared.dying("after", "start", "1", "rollback", "--yes", "--message", "loses orders")
    assert died.status == -signal.SIGKILL, died.err
    assert elsewhere("converge", "--yes").status == 5
    done = elsewhere("converge", *SURE)
    assert done.status == 0, done.err
    assert_one_state(shared, elsewhere, "0.1.0")
    assert "loses orders" in elsewhere("status", "--json").data["freeze"]
    assert elsewhere("deploy", "--to", "0.2.0", "--yes", "--plan").status == 6
    assert shared.invoke("sync").status == 0
    assert shared.statuses() == ["started", "healthy"] * 3


def test_a_death_after_all_was_recorded_leaves_a_lock_that_is_removed(
    shared: World, elsewhere: Elsewhere
) -> None:
    """Nothing is half done: nobody needs to be sure of anything."""
    died = shared.dying("after", "append_events", "2", "deploy", "--to", "0.2.0", "--yes")
    assert died.status == -signal.SIGKILL
    done = elsewhere("converge", "--yes")
    assert done.status == 0, done.err
    assert "no deployment is interrupted" in done.out
    assert_one_state(shared, elsewhere, "0.2.0")


def test_a_new_one_that_runs_and_is_not_healthy_is_undone(
    shared: World, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """With status 3 where finishing was asked for; the plan says what it found."""
    assert shared.dying("after", "start", "1", "deploy", "--to", "0.3.0", "--yes").status == -signal.SIGKILL
    shared.configure(health_timeout='"3s"')
    bring_settings(shared, tmp_path / "elsewhere")
    plan = elsewhere("converge", "--plan", "--break-lock", "--message", "x")
    assert plan.status == 0, plan.err
    for part in (
        "finish the deployment",
        "to 0.3.0 by Ada Lovelace",
        f"left by Ada Lovelace on {HOST}",
        "0.1.0, exited",
    ):
        assert part in plan.out
    done = elsewhere("converge", *SURE, "--finish")
    assert done.status == 3, done.err
    assert "GET /healthz gave 500" in done.err
    assert_one_state(shared, elsewhere, "0.1.0")
    assert shared.statuses()[-1] == "restored"


def test_what_could_be_finished_is_undone_where_that_is_asked_for(
    shared: World, elsewhere: Elsewhere
) -> None:
    """`--revert`: the old container is still there."""
    assert shared.dying("after", "start", "1", "deploy", "--to", "0.2.0", "--yes").status == -signal.SIGKILL
    assert elsewhere("converge", "--finish", "--revert", *SURE).status == 2
    assert elsewhere("converge", "--revert", *SURE).status == 0
    assert_one_state(shared, elsewhere, "0.1.0")


def test_what_cannot_be_undone_any_more_is_left_alone_and_said(shared: World, elsewhere: Elsewhere) -> None:
    """The old container is gone: status 2 with the way out, nothing is touched, and that way works."""
    assert shared.dying("after", "remove", "1", "deploy", "--to", "0.2.0", "--yes").status == -signal.SIGKILL
    done = elsewhere("converge", "--revert", *SURE)
    assert done.status == 2, done.err
    assert "converge --finish" in done.err
    assert shared.answer()["VERSION"] == "0.2.0"
    assert elsewhere("converge", "--finish", *SURE).status == 0
    assert_one_state(shared, elsewhere, "0.2.0")


def test_a_first_deployment_that_died_leaves_nothing(make: Make, bare_remote: Path) -> None:
    """Nothing ran before: the half-made container goes, and the event is `failed`."""
    world = make(remote=bare_remote)
    world.release("0.1.0")
    died = world.dying("after", "create", "2", "deploy", "--to", "0.1.0", "--yes")
    assert died.status == -signal.SIGKILL
    done = world.invoke("converge", *SURE)
    assert done.status == 0, done.err
    assert world.containers() == {}
    assert world.statuses() == ["started", "failed"]


def test_a_bare_rollback_after_a_death_goes_to_the_last_healthy_release(
    shared: World, elsewhere: Elsewhere
) -> None:
    """Not to the one before it; the plan says what was half done, and the ledger that it is given up."""
    assert shared.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    assert shared.dying("after", "start", "1", "deploy", "--to", "0.3.0", "--yes").status == -signal.SIGKILL
    back = elsewhere("rollback", *SURE)
    assert back.status == 0, back.err
    assert "interrupted: the deployment" in back.err
    assert "by Ada Lovelace (interrupted)" in back.err
    assert "0.3.0 is quarantined in production" in back.err
    assert "To finish or revert it instead: `invoke converge`" in back.err
    assert_one_state(shared, elsewhere, "0.2.0")
    assert shared.statuses()[-4:] == ["started", "failed", "started", "healthy"]


def test_what_only_the_clone_that_deployed_it_knows_is_rolled_back_in_another(
    shared: World, elsewhere: Elsewhere, bare_remote: Path
) -> None:
    """The git server was away: bare, it goes to the last healthy release, and sets aside what really runs."""
    away = bare_remote.rename(bare_remote.with_name("away.git"))
    assert shared.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    away.rename(bare_remote)
    back = elsewhere("rollback", "--yes")
    assert back.status == 0, back.err
    assert "by a deployment that this clone does not know" in back.err
    assert "feat: 0.2.0" in back.err
    assert "0.2.0 is quarantined in production" in back.err
    assert "after `invoke sync` in the clone that deployed it: invoke rollback --to 0.2.0" in back.err
    assert_one_state(shared, elsewhere, "0.1.0")


def test_a_broken_lock_is_recorded_with_whom_it_was_taken_from(shared: World, elsewhere: Elsewhere) -> None:
    """`--break-lock` needs a message; the deployment's events keep the holder."""
    assert shared.dying("after", "create", "1", "deploy", "--to", "0.2.0", "--yes").status == -signal.SIGKILL
    assert elsewhere("deploy", "--to", "0.2.0", "--yes").status == 5
    assert elsewhere("deploy", "--to", "0.2.0", "--yes", "--break-lock").status == 2
    done = elsewhere("deploy", "--to", "0.2.0", "--json", *SURE)
    assert done.status == 0, done.err
    assert f"the lock is taken from Ada Lovelace on {HOST}" in done.err
    assert done.data["took_lock_from"].startswith(f"Ada Lovelace on {HOST} (process ")
    assert_one_state(shared, elsewhere, "0.2.0")


def test_without_anything_half_done_nothing_is_touched(shared: World) -> None:
    """Status 0, and it says so."""
    done = shared.invoke("converge")
    assert done.status == 0, done.err
    assert "no deployment is interrupted" in done.out
    assert shared.statuses() == ["started", "healthy"]
