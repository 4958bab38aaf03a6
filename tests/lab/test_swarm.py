"""A Swarm of three engines: what deployments leave behind is right, or exactly told, every time."""

from __future__ import annotations

import pytest

from release.deploy.targets.swarm.api import Swarm
from release.images.engine import Engine
from release.reference import Reference
from release.values import replace
from tests.lab.conftest import Make
from tests.lab.world import REPLICAS, SwarmWorld

pytestmark = [pytest.mark.xdist_group("swarm"), pytest.mark.timeout(240)]


def deployed(world: SwarmWorld, version: str = "0.1.0") -> str:
    """Deploy and expect it to go well; what was told."""
    ended = world.invoke("deploy", "--to", version, "--yes")
    assert ended.status == 0, ended.err
    return ended.err


def drift(world: SwarmWorld) -> list[str]:
    found: list[str] = world.invoke("status", "--json").data["drift"]
    return found


def test_deployments_and_rollbacks_run_the_recorded_digest_on_every_node(world: SwarmWorld) -> None:
    """By digest, from a registry with a login, recorded; a rollback submits the recorded settings."""
    world.configure(env='{ GREETING = "first" }')
    deployed(world, "0.1.0")
    world.configure(env='{ GREETING = "second" }')
    assert "pulled in advance on 3 of 3 nodes that lacked the image" in deployed(world, "0.2.0")
    assert set(world.answers().values()) == {"0.2.0"}
    ended = world.invoke("rollback", "--yes")
    assert ended.status == 0, ended.err
    world.settles("0.1.0")
    assert len(world.answers()) == REPLICAS
    spec = world.inspect()["Spec"]
    container = spec["TaskTemplate"]["ContainerSpec"]
    assert container["Image"] == f"{world.repository}@{world.digests['0.1.0']}"
    assert container["Env"] == ["GREETING=first"]
    assert spec["Labels"]["release.version"] == "0.1.0"
    assert world.statuses() == ["started", "healthy"] * 3
    assert drift(world) == []


def test_an_image_that_crashes_leaves_what_ran_before_running(world: SwarmWorld) -> None:
    """Exit 3, with the failing task's exit status and its own last words, without the secret in them."""
    world.release("0.3.0", mode="crashing")
    deployed(world)
    world.configure(secrets='{ TOKEN = { from_env = "THE_TOKEN" } }', env='{ HINT = "x" }')
    ended = world.invoke("deploy", "--to", "0.3.0", "--yes", THE_TOKEN="canary-secret")
    assert ended.status == 3, ended.err
    assert "exit status 7" in ended.err
    assert "cannot start with" in ended.err
    assert "canary-secret" not in ended.err + ended.out
    world.settles("0.1.0")
    assert world.statuses()[-1] == "restored"
    assert drift(world) == []


def test_a_rotated_secret_is_a_new_object_and_its_value_is_in_no_spec(world: SwarmWorld) -> None:
    """Tasks read it from a file; what is kept beside it is a keyed fingerprint."""
    world.configure(secrets='{ TOKEN = { from_env = "THE_TOKEN" } }')
    first = world.invoke("deploy", "--to", "0.1.0", "--yes", THE_TOKEN="canary-one")
    assert first.status == 0, first.err
    second = world.invoke("deploy", "--to", "0.1.0", "--yes", THE_TOKEN="canary-two")
    assert second.status == 0, second.err
    assert "rotated" in second.err
    assert len(world.secrets()) == 2
    spec = str(world.inspect()["Spec"])
    assert "canary" not in spec + first.err + second.err
    assert "TOKEN_FILE=/run/secrets/TOKEN" in spec
    assert set(world.answers("token").values()) == {"canary-two"}


def test_of_two_operators_at_once_one_is_told_so(world: SwarmWorld) -> None:
    """They reach for the lock together: exit 0 and exit 5; what runs is the winner's, on every node."""
    deployed(world)
    world.release("0.3.0")
    both = ("0.2.0", "0.3.0")
    ended = dict(zip(both, world.meet(*(("deploy", "--to", to, "--yes") for to in both)), strict=True))
    assert sorted(end.status for end in ended.values()) == [0, 5], [end.err for end in ended.values()]
    (winner,) = [version for version, end in ended.items() if end.status == 0]
    world.settles(winner)
    assert drift(world) == []


def test_an_update_of_an_outdated_version_is_refused_without_a_word(world: SwarmWorld) -> None:
    """The version is read again: no message is looked at, and what is there stays."""
    deployed(world)
    with Engine.connect(host=world.manager.host) as engine:
        swarm = Swarm(engine=engine)
        known = swarm.service(world.name)
        assert known is not None
        outdated = replace(known, version=known.version - 1)
        image = Reference.parse(f"{world.repository}@{world.digests['0.1.0']}")
        assert swarm.update(outdated, known.spec, image) is False
        assert swarm.service(world.name) == known


def test_a_manager_that_starts_again_in_the_middle_is_waited_for(world: SwarmWorld) -> None:
    """Its engine drops dead after the spec was submitted, and comes back: the deployment ends well.

    Without ports of nodes: a manager that just came back gives two tasks with the same port to one node.
    """
    world.configure(**{"swarm.constraints": '["node.role==worker"]', "replicas": "2", "publish": "[]"})
    deployed(world)
    with world.start("deploy", "--to", "0.2.0", "--yes") as process:
        err = world.read_until(process, "of 2 tasks run")
        world.manager.kill()
        err += world.read_until(
            process, "does not answer|no program listens|socket does not exist|closed the connection"
        )
        world.manager.start()
        _, rest = process.communicate(timeout=120)
    assert process.returncode == 0, err + rest
    world.settles("0.2.0", 2)
    assert drift(world) == []


def test_what_cannot_be_put_back_without_a_lost_node_is_told_task_by_task(world: SwarmWorld) -> None:
    """Three tasks, each with the port of its node: exit 4 says what is where; the node brings it right."""
    world.configure(health_timeout='"10s"')
    deployed(world)
    machine = world.machines.machines[2]
    with world.start("deploy", "--to", "0.2.0", "--yes") as process:
        err = world.read_until(process, "of 3 tasks run")
        machine.cut()
        try:
            _, rest = process.communicate(timeout=200)
        finally:
            world.come_back(machine)
    assert process.returncode == 4, err + rest
    assert (
        f"{machine.address}) (does not answer)"
        in rest.partition("the restoration of what ran before failed")[2]
    )
    world.settles("0.1.0")
    assert world.statuses()[-1] == "mixed"


def test_a_swarm_of_several_machines_needs_a_registry(world: SwarmWorld) -> None:
    """An engine's own store is on one node only: refused before anything is touched, with the way out."""
    world.repository = f"localhost/{world.service}"
    world.configure()
    world.release("0.3.0")
    ended = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert ended.status == 6, ended.err
    assert "3 nodes" in ended.err
    assert "`registry`" in ended.err
    assert "3 of 3 nodes take tasks" in world.invoke("doctor").out


def test_what_a_dead_operator_left_can_be_taken_back(world: SwarmWorld) -> None:
    """Killed in the middle of an update: the lock has the journal, and the Swarm the spec that ran before."""
    world.configure(**{"swarm.parallelism": "1", "swarm.delay": '"20s"'})
    deployed(world)
    with world.start("deploy", "--to", "0.2.0", "--yes") as process:
        world.read_until(process, "1 of 3 tasks run")
        process.kill()
        process.communicate(timeout=30)
    ended = world.invoke("converge", "--revert", "--yes")
    assert ended.status == 0, ended.err
    world.settles("0.1.0")
    assert drift(world) == []
    chosen = f"label=release.service={world.service}"
    assert world.manager.docker("config", "ls", "--quiet", "--filter", chosen) == ""


def test_every_node_is_looked_into_and_pruned_and_old_secrets_go(world: SwarmWorld) -> None:
    """What runs, and what ran before as far as the Swarm could go back to it, keeps its secret."""
    world.release("0.3.0")
    world.configure(secrets='{ TOKEN = { from_env = "THE_TOKEN" } }')
    for number in (1, 2, 3):
        done = world.invoke("deploy", "--to", f"0.{number}.0", "--yes", THE_TOKEN=f"value {number}")
        assert done.status == 0, done.err
    oldest = world.secrets()
    (told,) = world.invoke("verify", "--json", THE_TOKEN="value 3").data
    assert [verdict["bytes"] for verdict in told["verdicts"]] == [["nodes", "registry"]] * 3
    doctor = world.invoke("doctor", THE_TOKEN="value 3")
    assert "1 of 1 managers answer; none of them can fail without loss of the majority" in doctor.out
    for machine in world.machines.machines[1:]:
        assert f"({machine.address}): clock" in doctor.out
    world.keep_little()
    for machine in world.machines.machines:
        machine.docker("container", "prune", "--force")
    gone = world.invoke("prune", "--yes", "--json")
    assert gone.status == 0, gone.err
    assert [sorted(each["version"] for each in on["removed"]) for on in gone.data] == [["0.1.0", "0.2.0"]] * 3
    assert [len(on["removed_objects"]) for on in gone.data] == [1, 0, 0]
    assert [world.images_on(machine) for machine in world.machines.machines] == [{"0.3.0"}] * 3
    assert len(oldest) - len(world.secrets()) == 1
    assert set(world.answers("token").values()) == {"value 3"}
    assert drift(world) == []


def test_a_drill_is_a_service_of_its_own_that_leaves_nothing(world: SwarmWorld) -> None:
    """Placed, asked and measured like a deployment; what serves is not touched, and the time is recorded."""
    world.configure(secrets='{ TOKEN = { from_env = "THE_TOKEN" } }')
    for version in ("0.1.0", "0.2.0"):
        done = world.invoke("deploy", "--to", version, "--yes", THE_TOKEN="canary")
        assert done.status == 0, done.err
    before, secrets = world.inspect(), world.secrets()
    drilled = world.invoke("drill", "--with-secrets", "--yes", "--json", THE_TOKEN="canary")
    assert drilled.status == 0, drilled.err
    assert drilled.data["version"] == "0.1.0"
    assert "GET /healthz gave 200 on 1 of 1 addresses" in drilled.data["evidence"]
    assert "canary" not in drilled.err + drilled.out
    assert world.inspect() == before
    assert world.secrets() == secrets
    chosen = ("--filter", f"label=release.service={world.service}", "--format", "{{.Name}}")
    assert world.manager.docker("service", "ls", *chosen).split() == [world.name]
    assert world.manager.docker("config", "ls", *chosen) == ""
    world.settles("0.2.0")
    records = world.invoke("history", "--json").data
    assert [record["what"] for record in records if record["kind"] == "verification"] == ["drill"]


def test_a_worker_without_a_port_is_verified_by_its_health_check(make: Make) -> None:
    """Nothing is published and nothing is asked from outside; one that is not well is put back."""
    world = make(probe=None)
    world.release("0.1.0")
    world.release("0.2.0", mode="sick")
    world.configure(publish="", health_timeout='"8s"')
    told = deployed(world)
    assert "cannot be reached from this machine" not in told
    ended = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert ended.status == 3, ended.err
    assert world.statuses()[-1] == "restored"
    world.configure(publish="", healthcheck="{ disable = true }")
    assert "0.2.0" in deployed(world, "0.2.0")
