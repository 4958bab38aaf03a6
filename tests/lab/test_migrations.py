"""Commands that change the data as jobs of a Swarm: they run once, under the lock, and their end is known."""

from __future__ import annotations

import signal

import pytest

from tests.engine import lab
from tests.lab.conftest import Make
from tests.lab.test_swarm import deployed, drift
from tests.lab.world import SwarmWorld

pytestmark = [pytest.mark.xdist_group("swarm"), pytest.mark.timeout(240)]

SURE = ("--yes", "--break-lock", "--message", "the laptop fell into the sea")
SAY = '["/bin/sh", "-c", "echo $VERSION $(cat $TOKEN_FILE) $GREETING is migrated"]'
TO = ("deploy", "--to", "0.2.0", "--yes")
DOWN = '["/bin/sh", "-c", "echo $VERSION $(cat $TOKEN_FILE) down {count} to {head}"]'


@pytest.fixture
def migrated(make: Make) -> SwarmWorld:
    """0.1.0, which runs, and 0.2.0 with two more migrations."""
    world = make()
    world.environ |= {**world.machines.environ(), "THE_TOKEN": "canary-31337"}
    world.configure(secrets='{ TOKEN = { from_env = "THE_TOKEN" } }', env='{ GREETING = "hello" }')
    for version, names in (("0.1.0", ["1_users"]), ("0.2.0", ["2_orders", "3_prices"])):
        for name in names:
            (world.root / "migrations").mkdir(exist_ok=True)
            (world.root / "migrations" / f"{name}.py").write_text(name)
        world.release(version)
    world.fence(paths='["migrations/*.py"]')
    deployed(world)
    return world


def up(world: SwarmWorld, command: str, **more: str) -> None:
    """Configure the command."""
    world.fence(paths='["migrations/*.py"]', **{"up": command, **more})


def services(world: SwarmWorld) -> list[str]:
    """Names of the service's services in the Swarm: what serves, and jobs."""
    chosen = ("--filter", f"label=release.service={world.service}", "--format", "{{.Name}}")
    return world.manager.docker("service", "ls", *chosen).split()


def test_it_runs_before_or_after_the_release_and_down_before_a_rollback(migrated: SwarmWorld) -> None:
    """In the newer image on a node, with settings and secrets; its output has no secret, its job is gone."""
    up(migrated, SAY)
    done = migrated.invoke(*TO, "--json")
    assert done.status == 0, done.err
    assert "0.2.0 *** hello is migrated" in done.err
    assert done.err.index("✓ up") < done.err.index("▸ submit")
    assert (done.data["up"]["status"], "when" in done.data["up"]) == ("done", False)
    assert services(migrated) == [migrated.name]

    up(migrated, SAY, down=DOWN)
    back = migrated.invoke("rollback", "--to", "0.1.0", "--yes", "--cross-migrations", "--json")
    assert back.status == 0, back.err
    assert "0.2.0 *** down 2 to 1_users" in back.err
    assert back.err.index("✓ down") < back.err.index("▸ submit")
    assert back.data["down"]["status"] == "done"
    assert "canary" not in done.err + back.err
    migrated.settles("0.1.0")

    up(migrated, '["/bin/sh", "-c", "exit 3"]', when='"after"')
    left = migrated.invoke(*TO, "--allow-quarantined", "--thaw", "--message", "again", "--json")
    assert left.status == 4, left.err
    assert "the data is not migrated, or only in part: exit status 3" in left.err
    assert "✓ health" in left.err[: left.err.index("▸ up")]
    migrated.settles("0.2.0")
    assert migrated.statuses()[-1] == "healthy"
    status = migrated.invoke("status", "--json").data
    assert status["migrations"].startswith("data migrated perhaps, or in part by")
    assert (status["drift"], status["leftovers"], services(migrated)) == ([], [], [migrated.name])


def test_if_it_fails_or_hangs_nothing_was_replaced(migrated: SwarmWorld) -> None:
    """Status 1; the status says what is known of the data, and the next deployment runs it again."""
    found: tuple[tuple[str, dict[str, str], str], ...] = (
        ('["/bin/sh", "-c", "echo no such table; exit 5"]', {}, "exit status 5"),
        ('["sleep", "600"]', {"timeout": '"4s"'}, "did not end within 4 s"),
    )
    for command, more, why in found:
        up(migrated, command, **more)
        failed = migrated.invoke(*TO)
        assert failed.status == 1, failed.err
        assert f"{why}; what runs was not changed" in failed.err
        assert "deploy again: the command runs once more" in failed.err
        assert services(migrated) == [migrated.name]
        migrated.settles("0.1.0")
        told = migrated.invoke("status", "--json").data["migrations"]
        assert told.startswith("data migrated perhaps, or in part by"), why
    up(migrated, SAY)
    assert "hello is migrated" in deployed(migrated, "0.2.0")
    assert migrated.invoke("status", "--json").data["migrations"] is None
    assert drift(migrated) == []


def test_a_death_beside_it_is_told_by_its_job(migrated: SwarmWorld) -> None:
    """While it works nobody deploys or converges; then it restores, records and removes it."""
    up(migrated, '["sleep", "600"]')
    died = migrated.dying("before", "await_end", "1", *TO)
    assert died.status == -signal.SIGKILL, died.err
    (job,) = {*services(migrated)} - {migrated.name}
    assert job.endswith("-up")
    assert job in "".join(migrated.invoke("status", "--json").data["leftovers"])
    for command in (("converge", *SURE), (*TO, *SURE[1:])):
        refused = migrated.invoke(*command)
        assert refused.status == 2, refused.err
        assert f"docker service scale {job}=0" in refused.err
    migrated.manager.docker("service", "scale", "--detach", f"{job}=0")
    lab.eventually(
        lambda: migrated.manager.docker("service", "ps", "--quiet", job) == "", what="the job to be stopped"
    )
    done = migrated.invoke("converge", *SURE, "--json")
    assert done.status == 0, done.err
    assert (done.data["status"], done.data["up"]["status"]) == ("restored", "uncertain")
    assert "the data may be newer than what runs" in done.err
    assert services(migrated) == [migrated.name]

    up(migrated, SAY)
    died = migrated.dying("after", "await_end", "1", *TO)
    assert died.status == -signal.SIGKILL, died.err
    done = migrated.invoke("converge", *SURE, "--json")
    assert done.status == 0, done.err
    assert (done.data["status"], done.data["up"]["status"]) == ("restored", "done")
    assert services(migrated) == [migrated.name]
    migrated.settles("0.1.0")
