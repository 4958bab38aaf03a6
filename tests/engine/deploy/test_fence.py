"""The fence of migrations: going back over them needs a word, and runs a command first."""

from __future__ import annotations

import pytest

from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import World

SAY = "import os; print(os.environ['VERSION'], os.environ['TOKEN'], 'down {count} to {head}')"
DOWN = f'["python", "-c", "{SAY}"]'


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
    """With the settings and secrets of what runs; what it writes is told without the secret."""
    migrated.fence(paths='["migrations/*.py"]', down=DOWN)
    back = migrated.invoke("rollback", "--to", "0.1.0", "--yes", "--cross-migrations")
    assert back.status == 0, back.err
    assert "canary" not in back.err
    assert "0.2.0 *** down 2 to 1_users" in back.err
    assert back.err.index("✓ down") < back.err.index("▸ stop")
    assert migrated.containers() == {migrated.container: "running"}


def test_a_down_command_that_fails_stops_everything(migrated: World) -> None:
    """Status 1 with its last lines; what runs goes on, and nothing is left behind."""
    migrated.fence(
        paths='["migrations/*.py"]', down='["python", "-c", "import sys; sys.exit(\'no way back\')"]'
    )
    failed = migrated.invoke("rollback", "--to", "0.1.0", "--yes", "--cross-migrations")
    assert failed.status == 1, failed.err
    assert "no way back" in failed.err
    assert "what runs was not touched" in failed.err
    assert migrated.answer()["VERSION"] == "0.2.0"
    assert migrated.containers() == {migrated.container: "running"}
    assert migrated.statuses()[-1] == "failed"


def test_a_down_command_that_hangs_is_stopped(migrated: World) -> None:
    """After its own time, with the same end."""
    migrated.fence(paths='["migrations/*.py"]', down='["sleep", "600"]', timeout='"1s"')
    failed = migrated.invoke("rollback", "--to", "0.1.0", "--yes", "--cross-migrations")
    assert failed.status == 1, failed.err
    assert "not done after 1000 ms" in failed.err
    assert migrated.containers() == {migrated.container: "running"}
