"""Registries and git servers that are away, signals, and operators whose machine dies."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from release.git.runner import ANSWER_SECONDS
from release.images.engine import Engine
from release.programs.cancellation import Cancellation
from release.programs.process import output_of
from release.reference import Reference
from tests.engine import lab
from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import Ended, World
from tests.engine.way import way


def test_a_rollback_works_while_the_registry_is_down(make: Make) -> None:
    """The image is still on the engine: the registry, where nobody listens, is not asked."""
    name = lab.unique("rt")
    world = make(service=name, repository=f"127.0.0.1:{lab.free_port()}/{name}")
    for version in ("0.1.0", "0.2.0"):
        world.release(version)
        assert world.invoke("deploy", "--to", version, "--yes").status == 0
    back = world.invoke("rollback", "--yes")
    assert back.status == 0, back.err
    assert world.answer()["VERSION"] == "0.1.0"


def test_a_rollback_works_while_registry_and_git_server_are_both_down(make: Make, bare_remote: Path) -> None:
    """It tells both, serves, can be verified as far as that goes, and syncs when the server is back."""
    name = lab.unique("rt")
    world = make(service=name, repository=f"127.0.0.1:{lab.free_port()}/{name}", remote=bare_remote)
    for version in ("0.1.0", "0.2.0"):
        world.release(version)
        assert world.invoke("deploy", "--to", version, "--yes").status == 0
    away = bare_remote.rename(bare_remote.with_name("away.git"))
    ready = world.invoke("verify", "--json")
    assert ready.status == 0, ready.err
    assert "the registry: " in str(ready.data[0]["verdicts"][1]["unchecked"])
    back = world.invoke("rollback", "--yes")
    assert back.status == 0, back.err
    assert "the git remote origin does not answer" in back.err
    assert world.answer()["VERSION"] == "0.1.0"
    waiting = world.invoke("status", "--json").data
    assert waiting["unsynced"] >= 2
    assert waiting["drift"] == []
    away.rename(bare_remote)
    assert world.invoke("sync", "--json").data == {"published": waiting["unsynced"], "unsynced": 0}


def pushed(make: Make, registry: str) -> World:
    """A service with one release in a registry."""
    name = lab.unique("rt")
    world = make(service=name, repository=f"{registry}/{name}")
    world.release("0.1.0")
    world.engine.push(Reference.parse(world.images[0]), cancellation=Cancellation())
    return world


def test_an_image_that_the_engine_lacks_is_pulled_ahead_by_digest(make: Make, registry: str) -> None:
    """The plan says where the bytes come from; `--plan` pulls nothing."""
    world = pushed(make, registry)
    world.engine.untag(Reference.parse(world.images[0]))
    plan = world.invoke("deploy", "--to", "0.1.0", "--plan", "--json")
    assert plan.data["bytes_from"] == "registry"
    assert world.engine.inspect(Reference.parse(world.images[0])) is None
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    assert world.answer()["VERSION"] == "0.1.0"


def test_a_release_runs_on_an_engine_with_the_other_image_store(
    make: Make, registry: str, graph_engine: Engine
) -> None:
    """A graph driver knows the image by its config digest: proven there, and told as the released digest."""
    world = pushed(make, registry)
    world.configure(host=f'"{graph_engine.host}"')
    try:
        deployed = world.invoke("deploy", "--to", "0.1.0", "--yes", "--json")
        assert deployed.status == 0, deployed.err
        status = world.invoke("status", "--json").data
        assert status["running"]["digest"] == deployed.data["digest"]
        assert status["running"]["image"] != deployed.data["digest"]
        assert status["drift"] == []
    finally:
        for state in graph_engine.containers({"release.service": world.service}):
            graph_engine.remove(state.id)


def test_an_unreachable_git_server_delays_nothing_and_loses_nothing(make: Make, bare_remote: Path) -> None:
    """Events wait here, are shown as unsynced, and `invoke sync` publishes them when the server is back."""
    world = make(remote=bare_remote)
    world.release("0.1.0")
    away = bare_remote.rename(bare_remote.with_name("away.git"))
    deployed = world.invoke("deploy", "--to", "0.1.0", "--yes", "--json")
    assert deployed.status == 0, deployed.err
    assert deployed.data["id"] is None
    assert "`invoke sync`" in deployed.err
    assert world.invoke("status", "--json").data["unsynced"] == 2
    assert "(unsynced)" in world.invoke("history").out
    away.rename(bare_remote)
    assert world.invoke("sync", "--json").data == {"published": 2, "unsynced": 0}
    assert world.statuses() == ["started", "healthy"]
    assert world.invoke("status", "--json").data["drift"] == []


def test_repair_publishes_what_was_kept_while_the_git_server_was_away(
    make: Make, bare_remote: Path, tmp_path: Path
) -> None:
    """Said before it is done, done after a yes, once; then every clone knows who rolled back."""
    world = make(remote=bare_remote)
    for version in ("0.1.0", "0.2.0"):
        world.release(version)
        assert world.invoke("deploy", "--to", version, "--yes").status == 0
    away = bare_remote.rename(bare_remote.with_name("away.git"))
    assert world.invoke("rollback", "--yes").status == 0
    assert world.invoke("verify", "--repair", "--yes").status == 6
    away.rename(bare_remote)
    elsewhere = tmp_path / "elsewhere"
    output_of(["git", "clone", "--quiet", str(bare_remote), str(elsewhere)])
    for name in ("pyproject.toml", "tasks.py"):
        (elsewhere / name).write_text((world.root / name).read_text())

    def told() -> list[str]:
        entries = world.invoke("history", "--environment", "production", "--json", cwd=elsewhere).data
        return [entry.get("reason", entry["kind"]) for entry in entries]

    known = told()
    assert "rollback" not in known
    waiting = world.invoke("status", "--json").data["unsynced"]
    planned = world.invoke("verify", "--repair", "--plan")
    assert f"{waiting} events wait in this clone and are not published" in planned.out
    assert told() == known
    mended = world.invoke("verify", "--repair", "--yes")
    assert mended.status == 0, mended.err
    assert world.invoke("status", "--json").data["unsynced"] == 0
    assert told() == ["freeze", "rollback", "rollback", *known]
    assert "not published" not in world.invoke("verify", "--repair", "--plan").out


def test_a_silent_git_server_is_waited_for_once_and_shortly(make: Make, bare_remote: Path) -> None:
    """It takes the connection and says nothing: the rollback goes on, and its events wait here."""
    world = make(remote=bare_remote)
    for version in ("0.1.0", "0.2.0"):
        world.release(version)
        assert world.invoke("deploy", "--to", version, "--yes").status == 0
    with lab.busy_port() as port:
        world.git("remote", "set-url", "origin", f"git://127.0.0.1:{port}/nowhere")
        began = time.monotonic()
        back = world.invoke("rollback", "--yes", "--json")
        took = time.monotonic() - began
    assert back.status == 0, back.err
    assert took < ANSWER_SECONDS
    assert world.answer()["VERSION"] == "0.1.0"
    world.git("remote", "set-url", "origin", str(bare_remote))
    assert world.invoke("sync", "--json").data == {"published": 4, "unsynced": 0}


def test_a_dead_engine_is_told_and_hides_no_other(world: World) -> None:
    """Nobody listens, and a door of ssh that is closed: status tells every environment, and ends with 6."""
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    port = lab.free_port()
    hosts = {"staging": f"tcp://127.0.0.1:{port}", "far": f"ssh://nobody@127.0.0.1:{port}"}
    with (world.root / "pyproject.toml").open("a") as file:
        for name, host in hosts.items():
            file.write(f'[tool.release.environments.{name}]\nhost = "{host}"\n')
    found = world.invoke("status", "--json")
    assert found.status == 6
    by_name = {each["environment"]: each for each in found.data}
    assert by_name["production"]["running"]["version"] == "0.1.0"
    assert by_name["production"]["drift"] == []
    for name in hosts:
        assert by_name[name]["engine"] is None
        assert f"127.0.0.1:{port}" in by_name[name]["drift"][0]
        back = world.invoke("rollback", "--environment", name, "--yes")
        assert back.status == 6, back.err
        assert f"127.0.0.1:{port}" in back.err
    checked = world.invoke("verify", "--json")
    assert [each["environment"] for each in checked.data] == ["production", *hosts]


def test_a_rollback_publishes_all_of_its_events_at_its_end(make: Make, bare_remote: Path) -> None:
    """Nothing waits for the server before the service is back; afterwards it has everything."""
    world = make(remote=bare_remote)
    for version in ("0.1.0", "0.2.0"):
        world.release(version)
        assert world.invoke("deploy", "--to", version, "--yes").status == 0
    assert world.invoke("rollback", "--yes").status == 0
    assert world.statuses() == ["started", "healthy"] * 3
    assert world.invoke("status", "--json").data["unsynced"] == 0
    there = world.git("ls-tree", "-r", "--name-only", "release-ledger", "records/", cwd=bare_remote)
    assert len(there.splitlines()) == 2 + 6 + 2, "two releases, three deployments, quarantine and freeze"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_in_the_middle_puts_back_what_ran(world: World, number: signal.Signals, status: int) -> None:
    """The old one serves again, the lock is gone, and the event is `restored`."""
    world.release("0.3.0", mode="sick")
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    ended = world.interrupted("deploy", "--to", "0.3.0", "--yes", when="▸ health", number=number)
    assert ended.status == status, ended.err
    assert world.answer()["VERSION"] == "0.1.0"
    assert world.containers() == {world.container: "running"}
    assert world.statuses()[-2:] == ["started", "restored"]


def test_who_lost_the_lock_leaves_the_place_to_who_took_it(world: World) -> None:
    """The first waits for health when the second takes over: its container goes, and it starts no old one."""
    world.release("0.3.0", mode="sick")
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    sure = ("--yes", "--break-lock", "--message", "it hangs")
    taken: list[Ended] = []

    def take_over(_: object) -> None:
        taken.append(world.invoke("deploy", "--to", "0.2.0", *sure))

    first = world.when("deploy", "--to", "0.3.0", "--yes", line="▸ health", act=take_over)
    assert taken[0].status == 0, taken[0].err
    assert first.status == 4, first.err
    assert "this command stopped and changes nothing more" in first.err
    assert world.containers() == {world.container: "running"}
    assert world.answer()["VERSION"] == "0.2.0"


def test_an_engine_that_is_away_while_the_old_one_stops_is_waited_for(make: Make, tmp_path: Path) -> None:
    """As when an upgrade restarts it: what ran before is put back when it answers again."""
    world = make()
    world.release("0.1.0")
    world.release("0.2.0", mode="crashing")
    with way(tmp_path, world.engine) as there:
        world.configure(host=f'"{there.address}"')
        assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
        ended = world.when("deploy", "--to", "0.2.0", "--yes", line="▸ stop", act=lambda _: there.shut(1.5))
        assert ended.status == 3, ended.err
        assert "waiting at most 20 s" in ended.err
        assert world.containers() == {world.container: "running"}
        assert world.answer()["VERSION"] == "0.1.0"
        assert world.statuses()[-2:] == ["started", "restored"]


def test_after_a_killed_operator_the_next_deployment_cleans_up(world: World) -> None:
    """SIGKILL leaves a stopped old one, a half new one and the lock: status tells them, deploy takes over."""
    world.release("0.3.0", mode="sick")
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    ended = world.interrupted("deploy", "--to", "0.3.0", "--yes", when="▸ health", number=signal.SIGKILL)
    assert ended.status == -signal.SIGKILL
    assert len(world.containers()) == 3
    status = world.invoke("status", "--json").data
    assert status["running"]["version"] == "0.3.0"
    assert any("the ledger has 0.1.0" in line for line in status["drift"])
    assert any(world.container in line for line in status["leftovers"])
    after = world.invoke("rollback", "--to", "0.1.0", "--yes")
    assert after.status == 0, after.err
    assert "taking the lock" in after.err
    assert world.answer()["VERSION"] == "0.1.0"
    assert world.containers() == {world.container: "running"}
