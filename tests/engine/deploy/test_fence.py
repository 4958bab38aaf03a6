"""The fence of migrations: going back over them needs a word, and runs a command first."""

from __future__ import annotations

import signal
from datetime import datetime, timedelta

import pytest

from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import World
from tests.unit.deploy.fakes import holder_in

SAY = "import os; print(os.environ['VERSION'], os.environ['TOKEN'], 'down {count} to {head}')"
DOWN = f'["python", "-c", "{SAY}"]'
SURE = ("--yes", "--break-lock", "--message", "the laptop fell into the sea")


@pytest.fixture
def migrated(make: Make) -> World:
    """0.1.0 with one migration; 0.2.0, which runs, with two more."""
    world = make()
    world.fence(paths='["migrations/*.py"]')
    world.environ["WORLD_TOKEN"] = "canary-31337"
    world.configure(secrets='{ TOKEN = { from_env = "WORLD_TOKEN" } }')
    for version, names in (("0.1.0", ["1_users"]), ("0.2.0", ["2_orders", "3_prices"])):
        for name in names:
            (world.root / "migrations").mkdir(exist_ok=True)
            (world.root / "migrations" / f"{name}.py").write_text(name)
        world.release(version)
        assert world.invoke("deploy", "--to", version, "--yes").status == 0
    return world


def test_going_back_over_migrations_needs_a_word(migrated: World) -> None:
    """They are named; going forward again needs none."""
    for command in ("rollback", "deploy"):
        refused = migrated.invoke(command, "--to", "0.1.0", "--yes")
        assert refused.status == 2, refused.err
        for part in ("2 undone", "migrations/2_orders.py", "migrations/3_prices.py", "--cross-migrations"):
            assert part in refused.err
    assert migrated.answer()["VERSION"] == "0.2.0"
    back = migrated.invoke("rollback", "--to", "0.1.0", "--yes", "--cross-migrations")
    assert back.status == 0, back.err
    assert "- migrations/2_orders.py" in back.err
    forth = migrated.invoke(
        "deploy", "--to", "0.2.0", "--yes", "--allow-quarantined", "--thaw", "--message", "x"
    )
    assert forth.status == 0, forth.err
    assert "+ migrations/2_orders.py" in forth.err


def test_a_down_command_runs_first_in_the_newer_image(migrated: World) -> None:
    """With the settings and secrets of what runs, as the plan says; its output is told without the secret."""
    migrated.fence(paths='["migrations/*.py"]', down=DOWN)
    plan = migrated.invoke("rollback", "--to", "0.1.0", "--plan", "--json", "--cross-migrations").data
    assert plan["down"]["command"][-1].endswith("'down 2 to 1_users')")
    assert (plan["down"]["version"], plan["down"]["image"]) == (
        "0.2.0",
        f"{migrated.repository}@{plan['before']['digest']}",
    )
    back = migrated.invoke("rollback", "--to", "0.1.0", "--yes", "--cross-migrations")
    assert back.status == 0, back.err
    assert "canary" not in back.err
    assert "0.2.0 *** down 2 to 1_users" in back.err
    assert back.err.index("✓ down") < back.err.index("▸ stop")
    assert migrated.containers() == {migrated.container: "running"}


def test_what_is_undone_is_not_undone_twice(migrated: World) -> None:
    """Whatever fails after it, the error says what became of the data, and the next attempt needs a word."""
    migrated.fence(paths='["migrations/*.py"]', down=DOWN)
    migrated.configure(**{**migrated.settings, "env": '{ MODE = "sick" }', "health_timeout": '"2s"'})
    failed = migrated.invoke("deploy", "--to", "0.1.0", "--yes", "--cross-migrations", "--json")
    assert failed.status == 3, failed.err
    told = failed.err[failed.err.index("2 migrations of 0.2.0 undone by") :]
    assert told.index("then: ") < told.index("what ran before runs again")
    assert "apply its migrations again" in told
    status = migrated.invoke("status", "--json").data
    assert status["migrations"].startswith("2 migrations of 0.2.0 undone by")
    assert status["leftovers"] == []
    again = migrated.invoke("rollback", "--to", "0.1.0", "--yes", "--cross-migrations")
    assert again.status == 2, again.err
    for part in ("no release was verified healthy since", "--down done", "--down again"):
        assert part in again.err
    migrated.fence(paths='["migrations/*.py"]', down='["sleep", "3"]')
    lock = f"release-lock-{migrated.container}"
    lost = migrated.when(
        *("rollback", "--to", "0.1.0", "--yes", "--cross-migrations", "--down", "again"),
        line="▸ down",
        act=lambda _: migrated.engine.remove(lock),
    )
    assert lost.status == 5, lost.err
    assert "2 migrations of 0.2.0 undone by `sleep 3`" in lost.err
    assert migrated.answer()["VERSION"] == "0.2.0"
    back = migrated.invoke("rollback", "--to", "0.1.0", "--yes", "--cross-migrations", "--down", "done")
    assert back.status == 0, back.err
    assert "▸ down" not in back.err
    assert migrated.invoke("status", "--json").data["migrations"] is None
    assert migrated.containers() == {migrated.container: "running"}


def test_a_death_beside_a_down_command_is_told_by_its_container(migrated: World) -> None:
    """While it works nobody converges or deploys; afterwards everybody sees that it ran, and how it ended."""
    migrated.fence(paths='["migrations/*.py"]', down='["sleep", "600"]', timeout='"3h"')
    words = ("rollback", "--to", "0.1.0", "--yes", "--cross-migrations")
    died = migrated.dying("before", "wait", "1", *words)
    assert died.status == -signal.SIGKILL, died.err
    lock = f"release-lock-{migrated.container}"
    assert_lasts(migrated, lock, timedelta(hours=3))
    (working,) = migrated.containers().keys() - {migrated.container, lock}
    assert working in "".join(migrated.invoke("status", "--json").data["leftovers"])
    for command in (("converge", *SURE), (*words, *SURE[1:])):
        refused = migrated.invoke(*command)
        assert refused.status == 2, refused.err
        assert f"docker wait {working}" in refused.err
    migrated.engine.stop(working, grace=0)
    assert_undone(migrated, "uncertain")

    migrated.fence(paths='["migrations/*.py"]', down=DOWN)
    assert migrated.dying("after", "wait", "1", *words, "--down", "again").status == -signal.SIGKILL
    assert_undone(migrated, "done")
    again = migrated.invoke(*words)
    assert again.status == 2, again.err
    assert "2 migrations of 0.2.0 undone by" in again.err


def assert_lasts(world: World, lock: str, least: timedelta) -> None:
    """The lock outlives the command."""
    found = world.engine.state(lock)
    assert found is not None
    holder = holder_in(found.labels)
    assert holder is not None
    assert datetime.fromisoformat(holder.expires) - datetime.fromisoformat(holder.since) > least


def assert_undone(world: World, status: str) -> None:
    """Converging puts back what ran, records what became of the data, and says it."""
    done = world.invoke("converge", *SURE, "--json")
    assert done.status == 0, done.err
    assert (done.data["status"], done.data["down"]["status"]) == ("restored", status)
    assert "apply its migrations again" in done.err
    assert world.containers() == {world.container: "running"}
    assert world.answer()["VERSION"] == "0.2.0"


def test_a_down_command_that_fails_stops_everything(migrated: World) -> None:
    """Status 1 with its last lines; what runs goes on, and nothing is left behind."""
    migrated.fence(
        paths='["migrations/*.py"]', down='["python", "-c", "import sys; sys.exit(\'no way back\')"]'
    )
    failed = migrated.invoke("rollback", "--to", "0.1.0", "--yes", "--cross-migrations")
    assert failed.status == 1, failed.err
    assert "no way back" in failed.err
    assert "what runs was not changed" in failed.err
    assert migrated.answer()["VERSION"] == "0.2.0"
    assert migrated.containers() == {migrated.container: "running"}
    assert migrated.statuses()[-1] == "failed"


def test_a_down_command_that_hangs_is_stopped(migrated: World) -> None:
    """After its own time, with the same end."""
    migrated.fence(paths='["migrations/*.py"]', down='["sleep", "600"]', timeout='"1s"')
    failed = migrated.invoke("rollback", "--to", "0.1.0", "--yes", "--cross-migrations")
    assert failed.status == 1, failed.err
    assert "it did not end within 1 s" in failed.err
    assert migrated.containers() == {migrated.container: "running"}
