"""The rest of what a Swarm of three engines is put through: `nox -s soak`. A sample runs with the tests."""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path

import pytest

from release.images.engine import Engine
from tests.engine import lab
from tests.lab import images, machines
from tests.lab.conftest import Make
from tests.lab.machines import ready
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
    assert "none runs now" in ended.err
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
    assert f"({machine.address}): cannot pull" in ended.err.partition("submit")[0]
    assert machine.address in ended.err.partition("submit")[2]
    world.settles("0.1.0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--env-add", "EXTRA=1"), "env.EXTRA is 1, but none is recorded"),
        (("--limit-memory", "64m"), "memory is 64m, but none is recorded"),
        (("--replicas", "2"), "replicas is 2, but 3 is recorded"),
    ],
)
def test_a_spec_changed_by_hand_is_drift_and_the_next_deployment_puts_it_right(
    world: SwarmWorld, words: tuple[str, str], said: str
) -> None:
    """Its labels still say what the ledger says: the mark over the spec does not, and all of it is told."""
    deployed(world)
    world.manager.docker("service", "update", "--detach", *words, world.name)
    found = drift(world)
    assert any("changed by hand" in line for line in found)
    assert [line for line in found if line.startswith(f"{world.name}: ")] == [f"{world.name}: {said}"]
    tasks = world.invoke("status", "--json").data["tasks"]
    assert {task["version"] for task in tasks} == {"0.1.0"}
    deployed(world)
    world.settles("0.1.0")
    assert drift(world) == []


def test_a_service_that_is_scaled_in_the_middle_of_a_deployment_is_no_success(world: SwarmWorld) -> None:
    """All of its tasks are well, and it is not what was deployed: exit 4 says what differs."""
    world.configure(**{"swarm.monitor": '"4s"'})
    deployed(world)
    with world.start("deploy", "--to", "0.2.0", "--yes") as process:
        err = world.read_until(process, "of 3 tasks run")
        world.manager.docker("service", "scale", "--detach", f"{world.name}=1")
        _, rest = process.communicate(timeout=120)
    assert process.returncode == 4, err + rest
    assert "changed by hand during the deployment" in rest
    assert "replicas is 1, but 3 is recorded" in rest
    world.settles("0.2.0", 1)
    deployed(world, "0.2.0")
    world.settles("0.2.0")
    assert drift(world) == []


def says(world: SwarmWorld, state: str) -> bool:
    """Whether the status does, of the service's update."""
    told = world.invoke("status", "--json")
    assert told.status == 0, told.err
    update = told.data["update"] or ""
    return state in update and "by the policy" in update


def test_an_update_that_the_policy_paused_or_took_back_is_told(world: SwarmWorld) -> None:
    """Made by hand, to an image that crashes: with the task that ended, its node and its exit status."""
    world.release("0.3.0", mode="crashing")
    deployed(world)
    image = f"{world.repository}@{world.digests['0.3.0']}"
    for action, state in (("rollback", "rolled its last update back"), ("pause", "paused")):
        words = ("--update-failure-action", action, "--update-monitor", "2s", "--image", image)
        world.manager.docker("service", "update", "--detach", *words, world.name)
        lab.eventually(partial(says, world, state), what=f"an update that the policy {state}", seconds=60)
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
    """Networks, not there or not for services, volumes, nodes to run it, an engine that is no manager."""
    world.configure(networks='["nowhere", "bridge"]', volumes='["no-such-volume:/data"]')
    ended = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert ended.status == 2, ended.err
    assert ended.err.count("has no volume no-such-volume") == 3
    assert "docker network create --driver overlay nowhere" in ended.err
    assert "the network bridge exists on this engine only" in ended.err
    world.configure(
        **{
            "swarm.constraints": '["node.labels.zone==east"]',
            "swarm.reserve_memory": '"9000g"',
        },
    )
    ended = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert ended.status == 2, ended.err
    assert "none of the Swarm's 3 nodes can run it" in ended.err
    assert ended.err.count("node.labels.zone==east, but here it is not set") == 3
    world.configure(replicas="4")
    ended = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert ended.status == 2, ended.err
    assert "there is room for 3 of 4 tasks" in ended.err
    world.configure(host=json.dumps(world.machines.machines[1].host))
    ended = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert ended.status == 2, ended.err
    assert f"is not a manager of its Swarm; managers: {world.manager.address}:2377" in ended.err


def test_what_the_registry_lost_is_run_by_nodes_that_have_it(world: SwarmWorld) -> None:
    """Told beforehand, node by node; where one lacks it nothing is touched."""
    deployed(world)
    deployed(world, "0.2.0")
    images.forget(world.machines.registry, world.service, world.digests["0.1.0"])
    verdicts = {each["version"]: each for each in world.invoke("verify", "--json").data[0]["verdicts"]}
    assert (verdicts["0.1.0"]["result"], verdicts["0.1.0"]["bytes"]) == ("ready", ["nodes"])
    ended = world.invoke("rollback", "--yes")
    assert ended.status == 0, ended.err
    world.settles("0.1.0")
    images.forget(world.machines.registry, world.service, world.digests["0.2.0"])
    machine = world.machines.machines[2]
    machine.docker("container", "prune", "--force")
    machine.docker("image", "rm", f"{world.repository}@{world.digests['0.2.0']}")
    again = ("--allow-quarantined", "--message", "again", "--yes")
    ended = world.invoke("rollback", "--to", "0.2.0", *again)
    assert ended.status == 6, ended.err
    assert f"{machine.address}) lacks it" in ended.err
    world.settles("0.1.0")


def test_what_a_killed_drill_left_is_removed_by_the_next(world: SwarmWorld) -> None:
    """Its service and its secrets; a drill that is cancelled removes them itself."""
    world.configure(secrets='{ TOKEN = { from_env = "THE_TOKEN" } }', **{"swarm.monitor": '"4s"'})
    for version in ("0.1.0", "0.2.0"):
        done = world.invoke("deploy", "--to", version, "--yes", THE_TOKEN="canary")
        assert done.status == 0, done.err
    chosen = ("--filter", f"label=release.service={world.service}", "--format", "{{.Name}}")
    words = ("drill", "--with-secrets", "--yes")
    secrets = world.secrets()
    ended = world.interrupted("drill", when="1 of 1 tasks run", number=signal.SIGTERM)
    assert ended.status == 143, ended.err
    assert world.manager.docker("service", "ls", *chosen).split() == [world.name]
    with world.start(*words, THE_TOKEN="canary") as process:
        world.read_until(process, "1 of 1 tasks run")
        process.kill()
        process.communicate(timeout=30)
    assert len(world.manager.docker("service", "ls", *chosen).split()) == 2
    assert world.secrets() != secrets
    drilled = world.invoke(*words, THE_TOKEN="canary")
    assert drilled.status == 0, drilled.err
    assert "of a killed drill" in drilled.err
    assert world.manager.docker("service", "ls", *chosen).split() == [world.name]
    assert world.secrets() == secrets


def test_a_node_that_cannot_be_looked_into_fails_no_deployment(world: SwarmWorld) -> None:
    """Pruning follows a deployment: the node is told, and the others are pruned."""
    manager, machine, last = world.machines.machines
    ways = {machine.address: {"host": machine.host}, last.address: {"host": "unix:///nowhere.sock"}}
    table = ", ".join(f'"{name}" = {{ host = "{way["host"]}" }}' for name, way in ways.items())
    world.configure(**{"swarm.nodes": f"{{ {table} }}"})
    world.keep_little("prune_after_deploy = true")
    deployed(world, "0.1.0")
    ended = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert ended.status == 0, ended.err
    assert f"({last.address}): cannot" in ended.err
    assert "the socket does not exist" in ended.err
    assert world.invoke("doctor").status == 1
    for one in (manager, machine, last):
        one.docker("container", "prune", "--force")
    deployed(world, "0.1.0")
    deployed(world, "0.2.0")
    assert world.invoke("prune", "--yes").status == 0


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


def test_without_a_majority_of_managers_nothing_is_done_and_that_is_said(tmp_path: Path) -> None:
    """Two of three are cut off: in the middle exit 4, then exit 6; and a manager alone is passed over."""
    with machines.machines(tmp_path / "three") as made:
        machines.swarm(made.machines, "manager")
        with Engine.connect(host=made.manager.host) as engine:
            world = SwarmWorld(root=tmp_path / "service", engine=engine, machines=made)
            slowly = {"swarm.parallelism": "1", "swarm.delay": '"20s"'}
            world.configure(health_timeout='"10s"', **slowly)
            for version in ("0.1.0", "0.2.0"):
                world.release(version)
        deployed(world)
        assert (
            "3 of 3 managers answer; 1 of them can fail without loss of the majority"
            in world.invoke("doctor").out
        )
        with world.start("deploy", "--to", "0.2.0", "--yes") as process:
            err = world.read_until(process, "1 of 3 tasks run")
            cut_off(world)
            _, rest = process.communicate(timeout=240)
        assert process.returncode == 4, err + rest
        assert "no manager shows what runs" in rest
        events = world.statuses()
        assert events[-1] == "mixed"
        for words in (("deploy", "--to", "0.2.0", "--yes"), ("status",), ("rollback", "--yes")):
            ended = world.invoke(*words)
            assert ended.status == 6, ended.err
            assert "the Swarm's managers have no majority" in ended.err
        assert world.statuses() == events
        mend(world)
        deployed(world, "0.2.0")
        world.settles("0.2.0")
        assert drift(world) == []
        world.manager.cut()
        lab.eventually(lambda: not ready(world.manager), what="a manager that is alone", seconds=60)
        ended = world.invoke("status")
        assert ended.status == 0, ended.err
        assert f"using the manager {made.machines[1].host} instead" in ended.err


def cut_off(world: SwarmWorld) -> None:
    for machine in world.machines.machines[1:]:
        machine.cut()
    lab.eventually(lambda: not ready(world.manager), what="managers without a majority", seconds=60)


def mend(world: SwarmWorld) -> None:
    for machine in world.machines.machines[1:]:
        machine.mend()
    lab.eventually(lambda: ready(world.manager) == 3, what="all nodes to be ready", seconds=150)
