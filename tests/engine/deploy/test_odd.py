"""Nights that are not as in the book: what is gone, moved or taken, and what a rollback makes of it."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.programs.cancellation import Cancellation
from release.programs.process import output_of
from release.reference import Reference
from tests.engine import lab
from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import World


@pytest.fixture
def volume() -> Iterator[str]:
    """A volume on the engine; asked for before the world, it goes after the containers."""
    name = lab.unique("data")
    output_of(["docker", "volume", "create", name])
    yield name
    output_of(["docker", "volume", "rm", "--force", name])


def test_a_bare_rollback_passes_over_what_only_failed(world: World) -> None:
    """0.2.0 never was healthy: from 0.3.0 it goes to 0.1.0."""
    world.release("0.1.1", mode="crashing")
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    assert world.invoke("deploy", "--to", "0.1.1", "--yes").status == 3
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    back = world.invoke("rollback", "--yes")
    assert back.status == 0, back.err
    assert world.answer()["VERSION"] == "0.1.0"


def test_a_rollback_whose_volume_and_port_are_gone_is_refused_with_the_way_out(
    volume: str, world: World
) -> None:
    """Both at once, before anything is touched; with the volume back and the port free it goes on."""
    world.configure(volumes=f'["{volume}:/data"]')
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    first, world.port = world.port, lab.free_port()
    world.configure()
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    output_of(["docker", "volume", "rm", volume])
    with socket.create_server(("127.0.0.1", first)):
        refused = world.invoke("rollback", "--yes")
    assert refused.status == 2
    for part in ("2 problems", f"docker volume create {volume}", f"port {first} of 127.0.0.1 is in use here"):
        assert part in refused.err
    assert world.answer()["VERSION"] == "0.2.0"
    output_of(["docker", "volume", "create", volume])
    assert world.invoke("rollback", "--yes").status == 0
    world.port = first
    assert world.answer()["VERSION"] == "0.1.0"


def test_a_tag_that_was_moved_moves_nothing_and_a_lost_digest_is_told(make: Make, registry: str) -> None:
    """In the registry and on the engine it leads to other bytes: what is deployed goes by digest."""
    name = lab.unique("rt")
    world = make(service=name, repository=f"{registry}/{name}")
    digests = [world.release(version) for version in ("0.1.0", "0.2.0")]
    ours, others = (Reference.parse(image) for image in world.images)
    world.engine.push(ours, cancellation=Cancellation())
    other = world.engine.inspect(others)
    assert other is not None
    world.engine.tag(other.id, ours)
    world.engine.push(ours, cancellation=Cancellation())
    deployed = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert deployed.status == 0, deployed.err
    assert world.answer()["VERSION"] == "0.1.0"
    assert world.invoke("status", "--json").data["running"]["digest"] == digests[0]
    world.release("0.3.0")
    world.engine.untag(Reference.parse(world.images[2]))
    lost = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert lost.status == 6
    assert "neither the engine nor the registry" in lost.err


def test_a_person_at_a_terminal_chooses_what_to_go_back_to(world: World, tmp_path: Path) -> None:
    """By number; q is for none; the plan is shown and asked about as ever."""
    world.release("0.3.0")
    for version in ("0.1.0", "0.2.0", "0.3.0"):
        assert world.invoke("deploy", "--to", version, "--yes").status == 0
    log = tmp_path / "typescript"

    def typed(*answers: str) -> str:
        inner = " ".join(world.argv("rollback"))
        keys = "".join(f"{answer}\\n" for answer in answers)
        command = f"cd {world.root} && printf '{keys}' | script -qec '{inner}; echo status=$?' {log}"
        return output_of(["sh", "-c", command])

    none = typed("q")
    assert "status=1" in none
    assert "runs now" in none
    assert world.answer()["VERSION"] == "0.3.0"
    assert "status=0" in typed("9", "3", "y")
    assert world.answer()["VERSION"] == "0.1.0"


def test_who_waits_gets_the_lock_when_it_is_free(world: World) -> None:
    """Two at once: the second waits, looks again, and deploys."""
    assert world.invoke("deploy", "--to", "0.1.0", "--yes", "--wait", "soon").status == 2
    world.release("0.3.0", mode="sick")
    world.configure(health_timeout='"4s"')
    with world.started("deploy", "--to", "0.3.0", "--yes", when="▸ health") as first:
        first.send_signal(signal.SIGSTOP)
        try:
            waited = world.when(
                *("deploy", "--to", "0.2.0", "--yes", "--wait", "120"),
                line="waiting for Ada Lovelace",
                act=lambda _: first.send_signal(signal.SIGCONT),
            )
        finally:
            first.send_signal(signal.SIGCONT)
    assert waited.status == 0, waited.err
    assert "waiting for Ada Lovelace" in waited.err
    assert world.answer()["VERSION"] == "0.2.0"
