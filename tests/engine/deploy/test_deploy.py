"""Deploy and rollback on a real engine, through the real `invoke` program."""

from __future__ import annotations

import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from release.deploy.core.lock import LOCK, Holder
from release.deploy.core.place import Place
from release.images.engine import ContainerSpec
from release.programs.process import output_of
from release.reference import Reference
from release.runspec import Publish
from tests.engine import lab
from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import SLOW_CHECK, World
from tests.unit.deploy.fakes import lock_labels

MISSING_ENGINE = '"unix:///no/such/docker.sock"'


def test_a_rollback_restores_the_image_and_the_settings_it_ran_with(world: World) -> None:
    """Deploy, change a setting, deploy the next, roll back: the first serves as it did, proven by digest."""
    world.configure(env='{ GREETING = "hello" }')
    first = world.invoke("deploy", "--to", "0.1.0", "--yes", "--message", "the first")
    assert first.status == 0, first.err
    assert re.fullmatch(
        rf"{world.service} 0\.1\.0 production healthy localhost/{world.service}@sha256:[0-9a-f]{{64}}\n",
        first.out,
    )
    world.configure(env='{ GREETING = "hi" }')
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    assert world.answer() == {"VERSION": "0.2.0", "GREETING": "hi", "TOKEN": None}

    back = world.invoke("rollback", "--to", "0.1.0", "--yes")
    assert back.status == 0, back.err
    assert world.answer() == {"VERSION": "0.1.0", "GREETING": "hello", "TOKEN": None}
    assert "env.GREETING: hi → hello" in back.err
    assert "feat: 0.2.0" in back.err
    assert "fastapi: 0.2.0 → 0.1.0" in back.err
    assert "to undo this: invoke rollback --to 0.2.0 " in back.err
    assert world.containers() == {world.container: "running"}

    status = world.invoke("status", "--json").data
    assert status["running"]["digest"] == first.out.strip().partition("@")[2]
    assert status["running"]["version"] == "0.1.0"
    assert status["drift"] == []
    assert world.statuses() == ["started", "healthy"] * 3


def test_the_command_that_undoes_a_rollback_does(world: World) -> None:
    """There and back again."""
    for version in ("0.1.0", "0.2.0"):
        assert world.invoke("deploy", "--to", version, "--yes").status == 0
    back = world.invoke("rollback", "--yes")
    assert world.answer()["VERSION"] == "0.1.0"
    found = re.search(r"to undo this: invoke (.+)", back.err)
    assert found is not None
    assert world.invoke(*shlex.split(found[1]), "--yes").status == 0
    assert world.answer()["VERSION"] == "0.2.0"


def test_a_release_that_ends_at_once_leaves_the_old_one_serving(world: World) -> None:
    """Exit status 3, the last lines of the new one, and the event `restored`."""
    world.release("0.3.0", mode="crashing")
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    failed = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert failed.status == 3
    assert failed.out == ""
    assert "cannot start with no token" in failed.err
    assert "what ran before runs again" in failed.err
    assert world.answer()["VERSION"] == "0.2.0"
    assert world.containers() == {world.container: "running"}
    assert world.statuses()[-2:] == ["started", "restored"]
    assert world.invoke("status", "--json").data["drift"] == []


def test_a_release_that_never_answers_well_leaves_the_old_one_serving(world: World) -> None:
    """It runs and says 500: after the configured time it is taken back."""
    world.release("0.3.0", mode="sick")
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    world.configure(health_timeout='"2s"')
    failed = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert failed.status == 3
    assert "GET /healthz gave 500" in failed.err
    assert world.answer()["VERSION"] == "0.2.0"


def test_the_health_check_of_the_image_decides_together_with_the_request(make: Make) -> None:
    """A check that passes is waited for; one that fails brings the old one back."""
    world = make()
    for version, word in (("0.1.0", "true"), ("0.2.0", "false")):
        world.release(version, Healthcheck={"Test": ["CMD", word], "Interval": 10**9, "Retries": 1})
    deployed = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert deployed.status == 0, deployed.err
    assert "health check healthy, GET /healthz gave 200 OK" in deployed.err
    failed = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert failed.status == 3
    assert "its health check is unhealthy" in failed.err
    assert world.answer()["VERSION"] == "0.1.0"


def test_of_two_operators_at_once_none_leaves_a_mixed_state(world: World) -> None:
    """One after the other, or one of them is told of the other; what runs is what the ledger says."""
    with ThreadPoolExecutor(2) as both:
        ended = list(both.map(lambda to: world.invoke("deploy", "--to", to, "--yes"), ("0.1.0", "0.2.0")))
    statuses = sorted(end.status for end in ended)
    assert statuses in ([0, 0], [0, 5]), [end.err for end in ended]
    assert world.containers() == {world.container: "running"}
    status = world.invoke("status", "--json").data
    assert status["drift"] == []
    assert world.answer()["VERSION"] == status["running"]["version"]


def test_a_first_deployment_that_fails_leaves_nothing(make: Make) -> None:
    """Exit status 1: nothing ran before, none runs now, and the event is `failed`."""
    world = make()
    world.release("0.1.0", mode="crashing")
    failed = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert failed.status == 1
    assert "none runs now" in failed.err
    assert world.containers() == {}
    assert world.statuses() == ["started", "failed"]


def test_a_port_of_a_foreign_container_is_found_before_anything_is_touched(world: World) -> None:
    """Exit status 2; the container is named."""
    image = world.engine.inspect(Reference.parse(lab.BASE_IMAGE))
    assert image is not None
    with lab.own_containers(world.engine) as labels:
        stranger = lab.unique("stranger")
        spec = ContainerSpec(
            image=image.id,
            name=stranger,
            command=("sleep", "60"),
            labels=labels,
            publish=(Publish(address="127.0.0.1", host=world.port, container=8000),),
        )
        world.engine.start(world.engine.create(spec))
        failed = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert failed.status == 2
    assert f"port {world.port} is published by the container {stranger}" in failed.err
    assert world.containers() == {}
    assert world.statuses() == []


def test_everything_that_is_missing_is_told_at_once(world: World) -> None:
    """A port, a network, a volume, two secrets: one message, exit status 2."""
    with lab.busy_port() as port:
        world.port = port
        world.configure(
            networks='["no-such-network"]',
            volumes='["no-such-volume:/data"]',
            secrets='{ TOKEN = { from_env = "NOT_SET" }, KEY = { from_file = "absent" } }',
        )
        failed = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert failed.status == 2
    for part in ("5 problems", "no-such-network", "no-such-volume", "NOT_SET", "absent", f"port {port}"):
        assert part in failed.err


def test_without_a_terminal_and_without_yes_only_the_plan_is_shown(world: World) -> None:
    """Exit status 2, saying what to add; nothing was changed."""
    asked = world.invoke("deploy", "--to", "0.1.0")
    assert (asked.status, asked.out) == (2, "")
    assert "  to        0.1.0" in asked.err
    assert "add --yes" in asked.err
    assert world.containers() == {}
    assert world.statuses() == []


def test_a_plan_can_be_had_as_data_and_touches_nothing(world: World) -> None:
    """`--plan --json`: on standard output."""
    plan = world.invoke("deploy", "--to", "0.1.0", "--plan", "--json")
    assert plan.status == 0
    assert plan.data["after"]["version"] == "0.1.0"
    assert plan.data["strategy"] == "first"
    assert plan.data["bytes_from"] == "engine"
    assert world.containers() == {}


def test_deploying_what_runs_already_only_verifies_it(world: World) -> None:
    """Exit status 0 without `--yes`, the same container, and no new event."""
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    before = world.engine.state(world.container)
    again = world.invoke("deploy", "--to", "0.1.0", "--json")
    assert again.status == 0, again.err
    assert again.data["status"] == "healthy"
    after = world.engine.state(world.container)
    assert before is not None
    assert after is not None
    assert before.id == after.id
    assert world.statuses() == ["started", "healthy"]


def test_what_runs_already_is_replaced_where_that_is_said(world: World) -> None:
    """`--again`: another container of the same release; how long nobody answered is measured and told."""
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    before = world.engine.state(world.container)
    again = world.invoke("deploy", "--to", "0.1.0", "--yes", "--again", "--json")
    assert again.status == 0, again.err
    assert "0.1.0 runs already with these settings; --again replaces it" in again.err
    assert re.search(r"downtime \d+\.\d s: from the stop of \S+ until 0\.1\.0 was healthy", again.err)
    assert "s of downtime" in again.data["targets"][0]["detail"]
    after = world.engine.state(world.container)
    assert before is not None
    assert after is not None
    assert before.id != after.id


def test_a_lock_of_another_deployment_is_respected(world: World) -> None:
    """Exit status 5, naming the holder; nothing was changed."""
    place = Place(service=world.service, environment="production")
    other = Holder.here(who="Grace Hopper", url=None, deployment="1" * 12, milliseconds=60_000)
    image = world.engine.inspect(Reference.parse(world.images[0]))
    assert image is not None
    world.engine.create(
        ContainerSpec(
            image=image.id,
            name=place.lock,
            command=("lock",),
            labels={**place.labels(LOCK), **lock_labels(other), "release.lock.host": "elsewhere"},
        )
    )
    failed = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert failed.status == 5
    assert "Grace Hopper on elsewhere" in failed.err
    assert "Grace Hopper" in world.invoke("status", "--json").data["lock"]
    assert world.containers() == {place.lock: "created"}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("deploy", "--to", "9.9.9", "--yes"), "9.9.9"),
        (("rollback", "--to", "0.1.0", "--yes"), "was never verified healthy in production"),
        (("rollback", "--yes"), "production"),
    ],
)
def test_a_target_that_is_not_available_ends_with_six(
    world: World, words: tuple[str, ...], found: str
) -> None:
    """An unknown version, one that never was healthy here, and a bare rollback with nothing before."""
    failed = world.invoke(*words)
    assert failed.status == 6
    assert found in failed.err
    assert world.containers() == {}


def test_an_engine_that_does_not_answer_ends_with_six(world: World) -> None:
    """And names its address."""
    world.configure(host=MISSING_ENGINE)
    failed = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert failed.status == 6
    assert "/no/such/docker.sock" in failed.err


def test_deploy_without_a_target_says_which_there_are(world: World) -> None:
    """The newest release as the example."""
    failed = world.invoke("deploy", "--yes")
    assert failed.status == 2
    assert "invoke deploy --to 0.2.0" in failed.err


def test_it_works_from_any_folder_of_the_repository(world: World) -> None:
    """Below the root, where an operator happens to be."""
    below = world.root / "app" / "deep"
    below.mkdir(parents=True)
    assert world.invoke("deploy", "--to", "0.1.0", "--yes", cwd=below).status == 0
    assert world.invoke("status", "--json", cwd=below).data["running"]["version"] == "0.1.0"


def test_an_image_that_is_gone_ends_with_six_before_anything_is_touched(world: World) -> None:
    """Without a registry there is no other place."""
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    world.engine.untag(Reference.parse(world.images[1]))
    failed = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert failed.status == 6
    assert "does not have it" in failed.err
    assert world.answer()["VERSION"] == "0.1.0"


def test_the_image_keeps_a_name_that_a_prune_respects(world: World) -> None:
    """A release that was deployed under a digest only is tagged by its commit."""
    name = Reference.parse(world.images[0])
    spare = name.repository.tagged("spare")
    image = world.engine.inspect(name)
    assert image is not None
    world.engine.tag(image.id, spare)
    world.images.append(str(spare))
    world.engine.untag(name)
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    kept = world.engine.inspect(name)
    assert kept is not None
    assert kept.id == image.id


def test_status_tells_a_container_that_was_stopped_by_hand(world: World) -> None:
    """What the ledger says, and what there is."""
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    world.engine.stop(world.container, grace=1000)
    status = world.invoke("status", "--json")
    assert status.status == 0
    assert status.data["running"] is None
    assert "the ledger has 0.1.0, but the engine runs only stopped containers" in status.data["drift"][0]
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    assert world.containers() == {world.container: "running"}


def test_status_tells_settings_that_were_changed_by_hand(world: World) -> None:
    """Each with what is so and what is recorded; `--exit-code` ends with 1, and without drift with 0."""
    world.configure(memory='"256m"', env='{ GREETING = "hello" }', secrets='{ TOKEN = { from_env = "T" } }')
    assert world.invoke("deploy", "--to", "0.1.0", "--yes", T="swordfish").status == 0
    clean = world.invoke("status", "--exit-code")
    assert clean.status == 0, clean.out
    network = lab.unique("net")
    output_of(["docker", "network", "create", network])
    try:
        update = ["docker", "update", "--memory", "128m", "--memory-swap", "128m", "--restart", "no"]
        output_of([*update, world.container])
        output_of(["docker", "network", "connect", network, world.container])
        changed = world.invoke("status", "--exit-code", "--json")
    finally:
        output_of(["docker", "network", "disconnect", "--force", network, world.container])
        output_of(["docker", "network", "rm", network])
    assert changed.status == 1
    assert changed.data["drift"] == [
        f"{world.container}: memory 128m, but 256m is recorded",
        f"{world.container}: restart no, but unless-stopped is recorded",
        f"{world.container}: networks bridge, {network}, but bridge is recorded",
    ]


def test_status_tells_a_container_that_was_started_by_hand(world: World) -> None:
    """It has our name and no labels; what it runs is told by the image's id."""
    image = world.engine.inspect(Reference.parse(world.images[1]))
    assert image is not None
    with lab.own_containers(world.engine) as labels:
        world.engine.start(
            world.engine.create(ContainerSpec(image=image.id, name=world.container, labels=labels))
        )
        status = world.invoke("status", "--json").data
        failed = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert status["running"]["version"] == "0.2.0"
    assert status["running"]["digest"] == str(image.id)
    assert "started without a recorded deployment" in status["drift"][0]
    assert failed.status == 2
    assert "the ledger proves no deployment that made it" in failed.err


def test_history_and_show_read_well(world: World) -> None:
    """Newest first, one line each; a record with its image and commit."""
    assert world.invoke("deploy", "--to", "0.1.0", "--yes", "--message", "why not").status == 0
    lines = world.invoke("history").out.splitlines()
    assert lines[0].split() == ["when", "version", "what", "environment", "status", "who", "message"]
    assert re.search(r"0\.1\.0 +deploy +production +healthy +Ada Lovelace +why not$", lines[1])
    assert re.search(r"0\.2\.0 +release +released +Ada Lovelace$", lines[2])
    assert len(world.invoke("history", "--limit", "2").out.splitlines()) == 3
    assert len(world.invoke("history", "--environment", "production", "--json").data) == 2
    shown = world.invoke("show", "0.1.0")
    assert f"localhost/{world.service}@sha256:" in shown.out
    assert world.invoke("show", "0.1.0", "--json").data["version"] == "0.1.0"


def test_doctor_says_ok_or_what_to_do(world: World) -> None:
    """Exit status 0 when everything is there, 1 when something is not."""
    well = world.invoke("doctor", "--only", "deployments")
    assert well.status == 0, well.out
    world.configure(host=MISSING_ENGINE, secrets='{ TOKEN = { from_env = "NOT_SET" } }')
    ill = world.invoke("doctor", "--only", "deployments", "--json")
    assert ill.status == 1
    assert [item["name"] for item in ill.data if not item["well"]] == [
        "production: engine",
        "production: secrets",
    ]


def test_a_person_at_a_terminal_is_asked_once(world: World, tmp_path: Path) -> None:
    """`script` gives the program a terminal; the answer is typed."""
    log = tmp_path / "typescript"

    def typed(answer: str) -> str:
        inner = " ".join(world.argv("deploy", "--to", "0.1.0"))
        command = f"cd {world.root} && echo {answer} | script -qec '{inner}; echo status=$?' {log}"
        return output_of(["sh", "-c", command])

    assert "status=1" in typed("n")
    assert world.containers() == {}
    assert "status=0" in typed("y")
    assert world.answer()["VERSION"] == "0.1.0"


def test_a_health_check_that_the_engine_runs_seldom_is_not_waited_for(world: World) -> None:
    """Its clock begins with the interval: ten minutes, and a deployment has twenty seconds here."""
    world.release("0.3.0", Healthcheck=SLOW_CHECK)
    done = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert done.status == 0, done.err
    assert "health check healthy, GET /healthz gave 200 OK" in done.err
    seen = world.invoke("status", "--json").data
    assert ([one["health"] for one in seen["replicas"]], seen["drift"]) == (["starting"], [])
    again = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert again.status == 0, again.err
    assert "only verified" in again.err


def test_a_health_check_that_fails_fails_whoever_runs_it(world: World) -> None:
    """The engine has the last word on what is not well."""
    often = {"Test": ["CMD", "false"], "Interval": 3 * 10**8, "Retries": 2}
    world.release("0.3.0", Healthcheck=often)
    failed = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert failed.status == 1, failed.err
    assert "its health check is unhealthy" in failed.err
    assert world.containers() == {}
