"""A container that `docker run` started becomes the first deployment of an environment."""

from __future__ import annotations

import pytest

from tests.engine import lab
from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import World


def unreleased(world: World) -> str:
    """Build an image that is no release; its name."""
    world.build("0.0.1", "good", "f" * 40, {})
    return world.images[-1]


@pytest.fixture
def world(make: Make) -> World:
    """A service with one release, and nothing deployed."""
    made = make()
    made.release("0.1.0")
    return made


def test_a_container_of_an_unknown_image_is_replaced_and_restored(world: World) -> None:
    """By digest, with the variables, ports and limits that it had, though the image is in no registry."""
    name, image = lab.unique("web"), unreleased(world)
    options = ("--env", "GREETING=hello", "--memory", "200m", "--restart", "always")
    world.docker_run(name, image, "--publish", f"127.0.0.1:{world.port}:8000", *options)
    adopted = world.invoke("adopt", "--json", "--yes")
    assert adopted.status == 0, adopted.err
    spec = adopted.data["run_spec"]
    assert (spec["env"], spec["memory"], spec["restart"]) == ({"GREETING": "hello"}, 200 << 20, "always")
    status = world.invoke("status", "--exit-code")
    assert status.status == 0, status.err + status.out
    done = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert done.status == 0, done.err
    lab.eventually(lambda: world.answer()["VERSION"] == "0.1.0", what="the release to answer")
    assert world.engine.inspected(name)["State"]["Status"] == "exited"  # type: ignore[index]
    back = world.invoke("rollback", "--yes", "--json")
    assert (back.status, back.data["digest"]) == (0, adopted.data["digest"]), back.err
    lab.eventually(lambda: world.answer()["VERSION"] == "0.0.1", what="the adopted image to answer")
    assert world.answer()["GREETING"] == "hello"


def test_what_a_rollback_could_not_restore_is_refused(world: World) -> None:
    """Each setting by its name, and a secret without its value; nothing is recorded."""
    name, image = lab.unique("web"), unreleased(world)
    odd = ("--hostname", "web-1", "--ulimit", "nofile=1024", "--env", "API_TOKEN=hunter2hunter2")
    world.docker_run(name, image, "--publish", f"127.0.0.1:{world.port}:8000", *odd)
    refused = world.invoke("adopt", "--yes")
    assert refused.status == 2
    for word in ("hostname: web-1", "Ulimits", "env.API_TOKEN"):
        assert word in refused.err
    assert "hunter2" not in refused.err + refused.out
    assert world.statuses() == []
    started_with_rm = lab.unique("web")
    world.docker_run(started_with_rm, image, "--rm")
    again = world.invoke("adopt", "--yes", "--name", started_with_rm)
    assert "started with --rm" in again.err
