"""The rest of what a Swarm of three engines is put through: `nox -s soak`. A sample runs with the tests."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from release.images.engine import Engine
from tests.engine import lab
from tests.lab import machines
from tests.lab.conftest import Make
from tests.lab.test_swarm import deployed, drift
from tests.lab.world import SwarmWorld

pytestmark = pytest.mark.timeout(600)


def test_what_runs_as_asked_is_only_looked_at(world: SwarmWorld) -> None:
    """The second time nothing is changed: the service keeps its version."""
    deployed(world)
    before = world.inspect()["Version"]
    ended = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert ended.status == 0, ended.err
    assert "healthy already" in ended.out
    assert world.inspect()["Version"] == before


def test_a_first_deployment_that_fails_leaves_nothing(make: Make) -> None:
    """Exit 1: there is no service, and no lock."""
    world = make()
    world.release("0.1.0", mode="crashing")
    ended = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert ended.status == 1, ended.err
    assert "nothing runs now" in ended.err
    chosen = f"label=release.service={world.service}"
    assert world.manager.docker("service", "ls", "--quiet", "--filter", chosen) == ""
    assert world.manager.docker("config", "ls", "--quiet", "--filter", chosen) == ""
    assert world.running() == {}


def test_a_health_check_that_fails_leaves_what_ran_before_running(world: SwarmWorld) -> None:
    """The Swarm ends a task that is not well; that is one failure too many."""
    world.release("0.3.0", mode="sick")
    deployed(world)
    ended = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert ended.status == 3, ended.err
    world.settles("0.1.0")


def test_an_update_that_the_swarm_rolled_back_by_itself_is_a_failure(world: SwarmWorld) -> None:
    """Exit 3, not 0, and what runs is proven."""
    world.release("0.3.0", mode="crashing")
    world.configure(**{"swarm.failure_action": '"rollback"'})
    deployed(world)
    ended = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert ended.status == 3, ended.err
    world.settles("0.1.0")
    assert drift(world) == []


def test_an_image_that_one_node_cannot_pull_is_told_with_the_node(world: SwarmWorld) -> None:
    """The registry has it, and one node finds no way to the registry."""
    machine = world.machines.machines[2]
    deployed(world)
    registry = world.machines.registry.host.partition(":")[0]
    machine.hide(registry)
    try:
        ended = world.invoke("deploy", "--to", "0.2.0", "--yes")
    finally:
        machine.show(registry)
    assert ended.status == 3, ended.err
    assert machine.address in ended.err
    world.settles("0.1.0")


@pytest.mark.parametrize("words", [("--env-add", "EXTRA=1"), ("--limit-memory", "64m"), ("--replicas", "2")])
def test_a_spec_changed_by_hand_is_drift_and_the_next_deployment_puts_it_right(
    world: SwarmWorld, words: tuple[str, str]
) -> None:
    """Its labels still say what the ledger says: the mark over the spec does not."""
    deployed(world)
    world.manager.docker("service", "update", "--detach", *words, world.name)
    assert any("changed by hand" in line for line in drift(world))
    deployed(world)
    world.settles("0.1.0")
    assert drift(world) == []


def test_a_signal_in_the_middle_puts_back_what_ran_before(world: SwarmWorld) -> None:
    """The update had begun."""
    world.configure(**{"swarm.parallelism": "1", "swarm.delay": '"20s"'})
    deployed(world)
    ended = world.interrupted(
        "deploy", "--to", "0.2.0", "--yes", when="1 of 3 tasks run", number=signal.SIGTERM
    )
    assert ended.status in (3, 143), ended.err
    world.settles("0.1.0")
    assert drift(world) == []


def test_a_node_that_is_cut_off_in_the_middle_is_told(world: SwarmWorld) -> None:
    """Two tasks, two workers, no published port: the lost one's starts elsewhere, or the update is stuck.

    Which of the two depends on the moment. Either way the end state is as told, and the lost task is named.
    """
    two = {"swarm.constraints": '["node.role==worker"]', "replicas": "2", "publish": "[]"}
    world.configure(**two, health_timeout='"40s"')
    deployed(world)
    machine = world.machines.machines[2]
    with world.start("deploy", "--to", "0.2.0", "--yes") as process:
        err = world.read_until(process, "of 2 tasks run")
        machine.cut()
        try:
            _, rest = process.communicate(timeout=200)
        finally:
            world.come_back(machine)
    assert process.returncode in (0, 3), err + rest
    assert f"{machine.address}) (does not answer)" in rest
    world.settles("0.2.0" if process.returncode == 0 else "0.1.0", 2)
    assert drift(world) == []


def test_what_a_swarm_lacks_is_listed_at_once(world: SwarmWorld) -> None:
    """Networks that are not there or not for services, no node to run on, an engine that is no manager."""
    world.configure(networks='["nowhere", "bridge"]')
    ended = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert ended.status == 2, ended.err
    assert "docker network create --driver overlay nowhere" in ended.err
    assert "the network bridge is this engine's alone" in ended.err
    world.configure(
        **{
            "swarm.constraints": '["node.labels.zone==east"]',
            "swarm.reserve_memory": '"9000g"',
        },
    )
    ended = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert ended.status == 2, ended.err
    assert "none of the Swarm's 3 nodes can run it" in ended.err
    assert ended.err.count("node.labels.zone==east, and here it is not set") == 3
    world.configure(replicas="4")
    ended = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert ended.status == 2, ended.err
    assert "there is room for 3 of 4 tasks" in ended.err
    world.configure(host=json.dumps(world.machines.machines[1].host))
    ended = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert ended.status == 2, ended.err
    assert f"is no manager of its Swarm; managers: {world.manager.address}:2377" in ended.err


def test_tasks_of_several_nodes_share_an_overlay_network(world: SwarmWorld) -> None:
    """By name, each task of its own."""
    network = lab.unique("rt")
    world.manager.docker("network", "create", "--driver", "overlay", network)
    try:
        world.configure(networks=json.dumps([network]), **{"swarm.endpoint_mode": '"dnsrr"'})
        deployed(world)
        container = next(iter(world.running_on(world.manager)))
        url = f"http://tasks.{world.name}:8000/version"
        assert world.manager.docker("exec", container, "wget", "-q", "-O", "-", url) == "0.1.0"
    finally:
        world.clean()
        lab.eventually(
            lambda: world.manager.docker("network", "rm", network, check=False) == network, what="no network"
        )


def test_a_swarm_of_one_machine_may_use_its_engine_s_own_store(tmp_path: Path) -> None:
    """No registry: the image is there already, by its digest."""
    with machines.machines(tmp_path / "one", count=1) as lone:
        machines.swarm(lone.machines)
        with Engine.connect(host=lone.manager.host) as engine:
            world = SwarmWorld(root=tmp_path / "service", engine=engine, machines=lone, embedded=True)
            world.configure(replicas="1")
            world.release("0.1.0")
            world.release("0.2.0")
        deployed(world)
        deployed(world, "0.2.0")
        ended = world.invoke("rollback", "--yes")
        assert ended.status == 0, ended.err
        world.settles("0.1.0", 1)
        assert drift(world) == []
