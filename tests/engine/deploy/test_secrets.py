"""A canary secret in a real deployment is found where the engine must hold it, and nowhere else."""

from __future__ import annotations

import subprocess

from tests.engine.deploy.world import Ended, World

CANARY, NEXT = "canary-5d1c7e02", "canary-99aa41bf"
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
