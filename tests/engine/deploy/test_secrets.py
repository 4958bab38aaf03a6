"""A canary secret in a real deployment is found where the engine must hold it, and nowhere else."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
from pathlib import Path

import pytest

from release.deploy.core.place import secrets_in
from release.programs.process import output_of
from tests.engine import lab
from tests.engine.deploy.world import Ended, World

CANARY, NEXT, OTHER = "canary-5d1c7e02", "canary-99aa41bf", "canary-00dd3a17"
SECRETS = '{ TOKEN = { from_env = "PROD_TOKEN" } }'


def everything_written(world: World) -> str:
    """Every object of the repository and every file beside it."""
    listed = "git cat-file --batch-all-objects --batch-check='%(objectname)' | git cat-file --batch"
    objects = subprocess.run(["sh", "-c", listed], cwd=world.root, capture_output=True, check=True).stdout
    files = b"".join(path.read_bytes() for path in world.root.rglob("*") if path.is_file())
    return (objects + files).decode("utf-8", "replace")


def said(*ended: Ended) -> str:
    return "".join(end.out + end.err for end in ended)


def test_a_secret_reaches_the_service_and_nothing_that_we_write(world: World) -> None:
    """Not the plan, not the result, not the records, not the messages of a failure that prints it."""
    world.release("0.3.0", mode="crashing")
    world.configure(secrets=SECRETS)
    deployed = world.invoke("deploy", "--to", "0.1.0", "--yes", "--json", PROD_TOKEN=CANARY)
    assert deployed.status == 0, deployed.err
    assert world.answer()["TOKEN"] == CANARY
    planned = world.invoke("deploy", "--to", "0.2.0", "--plan", "--json", PROD_TOKEN=CANARY)
    failed = world.invoke(
        "deploy", "--to", "0.3.0", "--yes", "--message", f"with {CANARY}", PROD_TOKEN=CANARY
    )
    assert failed.status == 3
    assert "cannot start with ***" in failed.err
    told = said(
        deployed, planned, failed, world.invoke("history", "--json"), world.invoke("status", "--json")
    )
    assert CANARY not in told
    assert CANARY not in everything_written(world)


def test_a_rollback_takes_todays_secret_and_says_that_it_was_rotated(world: World) -> None:
    """Values are never stored, so there is no older one to restore."""
    world.configure(secrets=SECRETS)
    for version in ("0.1.0", "0.2.0"):
        assert world.invoke("deploy", "--to", version, "--yes", PROD_TOKEN=CANARY).status == 0
    back = world.invoke("rollback", "--to", "0.1.0", "--yes", PROD_TOKEN=NEXT)
    assert back.status == 0, back.err
    assert "TOKEN: rotated since" in back.err
    assert world.answer()["TOKEN"] == NEXT
    assert NEXT not in said(back) + everything_written(world)


def test_a_recorded_secret_that_is_not_configured_any_more_is_told(world: World) -> None:
    """Exit status 2, before anything is touched."""
    world.configure(secrets=SECRETS)
    assert world.invoke("deploy", "--to", "0.1.0", "--yes", PROD_TOKEN=CANARY).status == 0
    world.configure()
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    back = world.invoke("rollback", "--to", "0.1.0", "--yes")
    assert back.status == 2
    assert "environments.production.secrets.TOKEN: the recorded settings have it" in back.err
    assert world.answer()["VERSION"] == "0.2.0"


FILES = """{
  TOKEN = { from_env = "PROD_TOKEN", file = "/run/secrets/token" },
  PLAIN = { from_file = "plain", policy = "pinned" }
}""".replace("\n", " ")


@pytest.mark.parametrize("user", ['""', '"10001:10001"', '"daemon"'])
def test_a_secret_as_a_file_is_its_users_alone_and_survives_a_restart(world: World, user: str) -> None:
    """Mode 0400, in a volume that goes with the container; the variable holds the path, not the value."""
    (world.root / "plain").write_text(OTHER)
    world.configure(secrets=FILES, user=user, read_only="true")
    deployed = world.invoke("deploy", "--to", "0.1.0", "--yes", PROD_TOKEN=CANARY)
    assert deployed.status == 0, deployed.err
    output_of(["docker", "restart", "--time", "3", world.container])
    ask = ["docker", "exec", world.container]
    script = "id -u; stat -c '%u %a' /run/secrets/token; cat $TOKEN_FILE; echo; echo ${TOKEN-unset}"
    own, of_file, value, variable = output_of([*ask, "sh", "-c", script]).split("\n")
    assert (of_file, value, variable) == (f"{own} 400", CANARY, "unset")
    about = output_of(["docker", "inspect", world.container])
    assert CANARY not in about
    volumes = [mount["Name"] for mount in json.loads(about)[0]["Mounts"]]
    assert world.invoke("deploy", "--to", "0.2.0", "--yes", PROD_TOKEN=CANARY).status == 0
    assert not set(volumes) & set(output_of(["docker", "volume", "ls", "--quiet"]).split())
    (world.root / "plain").unlink()
    assert CANARY not in everything_written(world)


def test_the_volume_of_secret_files_goes_with_its_container_on_every_way(world: World) -> None:
    """Replaced, restored, reverted and finished after a death, rolled back: the one that serves is left."""
    (world.root / "plain").write_text(OTHER)
    world.release("0.3.0", mode="sick")
    world.environ["PROD_TOKEN"] = CANARY
    chosen = ["docker", "volume", "ls", "--quiet", "--filter", f"label=release.service={world.service}"]
    sure = ("--yes", "--break-lock", "--message", "the laptop fell into the sea")

    def volumes() -> list[str]:
        return output_of(chosen).split()

    def mounted() -> list[str]:
        about = json.loads(output_of(["docker", "inspect", world.container]))[0]
        return [mount["Name"] for mount in about["Mounts"]]

    def given() -> list[set[str]]:
        """What each container has, in whatever state: what is masked where no clone can read it."""
        there = world.engine.containers({"release.service": world.service, "release.role": "serving"})
        each = (secrets_in(world.engine, one.id, ("TOKEN", "PLAIN")) for one in there)
        return [{value.reveal() for value in values} for values in each]

    for version, status, timeout in (("0.1.0", 0, "20s"), ("0.2.0", 0, "20s"), ("0.3.0", 3, "2s")):
        world.configure(secrets=FILES, health_timeout=f'"{timeout}"')
        assert world.invoke("deploy", "--to", version, "--yes").status == status
        assert volumes() == mounted()
    world.configure(secrets=FILES)
    for step, version in ((("after", "create", "2"), "0.2.0"), (("before", "remove", "1"), "0.1.0")):
        died = world.dying(*step, "deploy", "--to", "0.1.0", "--yes")
        assert died.status == -signal.SIGKILL, died.err
        assert len(volumes()) == 2
        assert given() == [{CANARY, OTHER}] * 2
        assert world.invoke("converge", *sure, PROD_TOKEN="").status == 0
        assert world.answer()["VERSION"] == version
        assert volumes() == mounted()
    assert world.invoke("rollback", "--to", "0.2.0", "--yes").status == 0
    assert volumes() == mounted()
    world.clean()
    assert volumes() == []


def test_a_pinned_secret_goes_back_only_in_the_value_of_then(world: World) -> None:
    """Refused with exit status 2 before anything is touched; the old value, or another policy, is the way."""
    pinned = SECRETS.replace(" } }", ', policy = "pinned" } }')
    world.configure(secrets=pinned)
    for version, value in (("0.1.0", CANARY), ("0.2.0", NEXT)):
        assert world.invoke("deploy", "--to", version, "--yes", PROD_TOKEN=value).status == 0
    refused = world.invoke("rollback", "--yes", PROD_TOKEN=NEXT)
    assert refused.status == 2, refused.err
    assert "environments.production.secrets.TOKEN: it is pinned, but was rotated since" in refused.err
    another = world.invoke("rollback", "--yes", PROD_TOKEN=CANARY, RELEASE_FINGERPRINT_KEY="another")
    assert "another key made its fingerprint" in another.err
    assert world.answer()["TOKEN"] == NEXT
    back = world.invoke("rollback", "--yes", PROD_TOKEN=CANARY)
    assert back.status == 0, back.err
    assert world.answer()["TOKEN"] == CANARY


def test_canaries_in_every_place_are_found_nowhere(world: World, tmp_path: Path) -> None:
    """From a variable, a file and a command; in a log, an answer, an error; in every output and every object.

    The new release prints its secrets, answers with one as the reason, and its gate prints another and fails.
    """
    values = {name: lab.unique("canary") for name in ("TOKEN", "KEY", "COMMANDED", "REGISTRY")}
    world.release("0.3.0", mode="telling")
    (tmp_path / "key").write_text(values["KEY"] + "\n")
    script = tmp_path / "ask"
    script.write_text(f"#!/bin/sh\necho {values['COMMANDED']}\n")
    script.chmod(0o755)
    login = base64.b64encode(f"ada:{values['REGISTRY']}".encode()).decode()
    docker = tmp_path / "docker"
    docker.mkdir()
    (docker / "config.json").write_text(json.dumps({"auths": {"127.0.0.1:9": {"auth": login}}}))
    sources = f"""{{
      TOKEN = {{ from_env = "PROD_TOKEN" }},
      KEY = {{ from_file = "{tmp_path / "key"}", file = "/run/secrets/key", policy = "pinned" }},
      COMMANDED = {{ from_command = ["{script}"] }}
    }}""".replace("\n", " ")
    world.configure(secrets=sources, restart='"no"')

    def run(*words: str) -> Ended:
        return world.invoke(*words, PROD_TOKEN=values["TOKEN"], DOCKER_CONFIG=str(docker))

    def failing(message: str) -> Ended:
        world.configure(**{**world.settings, "health_timeout": '"4s"'})
        return run("deploy", "--to", "0.3.0", "--yes", "--message", message)

    said = [
        run("deploy", "--to", "0.1.0", "--yes", "--json"),
        failing(values["KEY"]),
        run("status", "--json"),
        run("history", "--json"),
        run("verify", "--json"),
    ]
    assert [end.status for end in said] == [0, 3, 0, 0, 0], [end.err for end in said]
    assert "gave 500 ***" in said[1].err
    written = everything_written(world) + "".join(end.out + end.err for end in said)
    for value in values.values():
        assert value not in written
        assert base64.b64encode(value.encode()).decode() not in written
    about = output_of(["docker", "inspect", world.container])
    assert values["KEY"] not in about
