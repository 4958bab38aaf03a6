"""What a lock tells of a deployment is a claim, and what proves it."""

from __future__ import annotations

from typing import Any

import pytest

from release.deploy.execution import interrupted
from release.errors import UsageError
from release.ledger import query
from release.records import Body, Draft, Undoing, Upgrade
from release.runspec import Mount, Probe, Publish, RecordedFile, RunSpec
from tests.unit.deploy.execution.test_converge import (
    FIRST,
    NEW,
    NEXT,
    OLD,
    OTHER,
    PLACE,
    World,
    begun,
    deployed,
    known,
    notes,
    world,
)

__all__ = ["world"]

FILE = RecordedFile(content="x", sha256="0" * 64, mode=0o777)


def claimed(world: World, **more: Any) -> Draft[Body]:
    """A rollback to 0.2.0 that only a lock tells of; its new container runs."""
    known(world)
    deployed(world)
    started = begun(world, **{"reason": "rollback", **more})
    world.lock(started)
    world.container("0.2.0", NEXT, NEW, "running")
    return started


def doubts(world: World) -> tuple[str, ...]:
    unfinished = interrupted.find(world.live).observation.unfinished
    assert unfinished is not None
    assert not unfinished.recorded
    return unfinished.doubts


@pytest.mark.attack(
    "a lock names a rollback with volumes, a user, capabilities or commands of the engine's attacker",
    "each setting is compared with the verified ledger and today's configuration; one that differs ends it",
)
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("volumes", {"volumes": (Mount(source="/", target="/host"),)}),
        ("user", {"user": "0"}),
        ("cap_add", {"cap_add": ("SYS_ADMIN",)}),
        ("command", {"command": ("sh", "-c", "id")}),
        ("env", {"env": {"PYTHONPATH": "/host"}}),
        ("health_command", {"health_command": ("sh",)}),
        ("probe", {"probe": Probe(port=1)}),
        ("publish", {"publish": (Publish(host=1, container=1),)}),
        ("files", {"files": {"/etc/passwd": FILE}}),
        ("secrets", {"secrets": {"TOKEN": "0" * 8 + ":" + "0" * 16}}),
        ("secret_files", {"secret_files": {"TOKEN": "/etc/passwd"}}),
        ("labels", {"labels": {"traefik.enable": "true"}}),
        ("stop_grace", {"stop_grace": 10**9}),
        ("replicas", {"replicas": 10**6}),
        ("later", {"later": "x"}),
    ],
)
def test_a_claim_with_other_settings_is_only_reverted(
    world: World, name: str, changes: dict[str, Any]
) -> None:
    """Finishing is refused with its name; reverting leaves a note, and none of its settings."""
    claimed(world, run_spec=RunSpec(**changes))
    assert doubts(world) == (name,)
    before = world.bodies()
    with pytest.raises(UsageError, match=f"nothing proves: {name}"):
        world.converge("finish")
    assert world.names() == {OLD: "running", PLACE.lock: "created", NEW: "running"}
    assert world.converge().end == "restored"
    assert world.names() == {OLD: "running"}
    assert world.bodies() == before
    (text,) = notes(world)
    assert f"because nothing proves: {name}" in text


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"digest": f"sha256:{'0' * 64}"}, ("digest",)),
        ({"release": "0" * 64}, ("release",)),
        (
            {"down": Undoing(migrations=("m/1.py",), command=("sh",), version="0.2.0", status="planned")},
            ("down",),
        ),
        ({"up": Upgrade(command=("sh",), version="0.2.0", status="planned")}, ("up",)),
    ],
)
def test_all_else_that_acts_is_proven_too(
    world: World, changes: dict[str, Any], found: tuple[str, ...]
) -> None:
    """Its release, its image, and commands that change the data."""
    claimed(world, **changes)
    assert doubts(world) == found


@pytest.mark.attack(
    "the journal of a lock is of another service, environment or deployment, or has an end",
    "it is not a start of this place: nothing is interrupted, and nothing is recorded",
)
@pytest.mark.parametrize(
    "changes",
    [
        {"environment": "staging"},
        {"status": "healthy"},
        {"status": "failed"},
        {"deployment": OTHER},
        {"service": "other"},
    ],
)
def test_what_is_not_a_start_of_this_place_is_not_open(world: World, changes: dict[str, str]) -> None:
    """Whatever a container says of itself beside it."""
    deployed(world)
    started = begun(world)
    moved: dict[str, Any] = {key: getattr(started, key) for key in Draft.__struct_fields__}
    body = started.body.model_copy(update={key: value for key, value in changes.items() if key != "service"})
    world.lock(Draft(**moved | {"service": changes.get("service", "api"), "body": body}))
    found = interrupted.find(world.live)
    assert found.observation.unfinished is None
    assert interrupted.examine(world.live, found, way=None) is None


def test_a_start_of_another_environment_is_not_open_here(world: World) -> None:
    """Though a container here has the name of that deployment in its labels."""
    deployed(world)
    world.append(begun(world, environment="staging"))
    world.container("0.2.0", NEXT, NEW, "running")
    assert interrupted.find(world.live).observation.unfinished is None


def test_the_recorded_start_counts_and_not_what_the_lock_says_of_it(world: World) -> None:
    """The same deployment, with other settings in the lock."""
    deployed(world)
    world.append(begun(world))
    world.lock(begun(world, run_spec=RunSpec(user="0")))
    world.container("0.2.0", NEXT, NEW, "running")
    unfinished = interrupted.find(world.live).observation.unfinished
    assert unfinished is not None
    assert (unfinished.recorded, unfinished.started.run_spec.user) == (True, None)
    assert world.converge().end == "healthy"


def test_a_claim_that_is_proven_is_recorded_in_the_name_of_who_records_it(world: World) -> None:
    """With the words whose claim it is; not in the future, and without whose lock it says that it took."""
    started = claimed(world, message="loses orders", took_lock_from="Bob")
    world.engine.remove(PLACE.lock)
    late: dict[str, Any] = {key: getattr(started, key) for key in Draft.__struct_fields__}
    world.lock(Draft(**late | {"recorded_at": "2999-01-01T00:00:00.000Z"}))
    assert doubts(world) == ()
    assert world.converge().end == "healthy"
    found = query.deployments(world.live.workspace.ledger, "api", "production")
    start = next(
        event
        for event in found
        if event.deployment.status == "started" and event.deployment.deployment == NEXT
    )
    assert start.actor == world.live.workspace.actor
    assert start.deployment.message == "started by Ada Lovelace, according to its lock: loses orders"
    assert start.deployment.took_lock_from is None
    assert start.recorded_at < "2999"


@pytest.mark.attack(
    "a lock names a rollback from a deployment that does not run by the ledger",
    "a claim quarantines only the release that runs by the verified ledger",
)
def test_a_claim_sets_aside_only_what_the_ledger_says_to_be_running(world: World) -> None:
    """The release of an older deployment would be quarantined, signed by who converges."""
    known(world)
    world.append(world.event("0.1.0", OTHER, "healthy"))
    world.append(world.event("0.2.0", FIRST, "healthy"))
    world.container("0.2.0", FIRST, OLD, "running")
    world.lock(begun(world, reason="rollback", previous=OTHER))
    world.container("0.2.0", NEXT, NEW, "running")
    assert world.converge().end == "healthy"
    assert not query.active_quarantine(
        world.live.workspace.ledger, "api", world.releases["0.1.0"].id, "production"
    )
    assert {body.previous for body in world.bodies() if body.deployment == NEXT} == {FIRST}
