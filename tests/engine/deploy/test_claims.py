"""What an engine says is a claim: labels, names and locks that others put there make nothing ours."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from release.deploy.core.lock import LOCK, Holder
from release.deploy.core.place import SERVING, Place
from release.deploy.environment import journal
from release.git.source import Source
from release.images.engine import ContainerSpec
from release.ledger import query
from release.ledger.store import Ledger
from release.records import Actor, Deployment, Draft, Run
from release.reference import Reference
from release.runspec import Mount, RunSpec
from tests.engine.deploy.world import World, now
from tests.unit.deploy.fakes import lock_labels

Docker = Callable[..., str]


@pytest.fixture
def docker() -> Iterator[Docker]:
    """The command line that others use; what they made goes in the end."""
    made: list[tuple[str, ...]] = []

    def run(*words: str, undo: tuple[str, ...] = ()) -> str:
        done = subprocess.run(["docker", *words], capture_output=True, text=True, check=True)
        made.extend([undo] if undo else [])
        return done.stdout.strip()

    yield run
    for words in reversed(made):
        subprocess.run(["docker", *words], capture_output=True, check=False)


def theirs(docker: Docker, image: str, name: str, *options: str) -> str:
    """Run an image as somebody's database, with a volume of its own; the container's id."""
    words = ("--entrypoint", "sleep", *options, "--volume", "/precious", image, "600")
    return docker("run", "--detach", "--name", name, *words, undo=("rm", "-f", "-v", name))


def volume_of(docker: Docker, container: str) -> str:
    """The volume that goes with the container, if somebody removes it so."""
    return docker("inspect", "--format", "{{(index .Mounts 0).Name}}", container)


EVERYTHING = (
    ("deploy", "--to", "0.2.0", "--yes"),
    ("rollback", "--yes"),
    ("drill", "--to", "0.1.0"),
    ("prune", "--yes"),
    ("converge",),
)
"""What stops, removes or tidies."""


def acted(world: World, *commands: tuple[str, ...]) -> None:
    """Run these commands: each must end well."""
    for words in commands:
        done = world.invoke(*words)
        assert done.status == 0, (words, done.err)


def is_untouched(docker: Docker, container: str, status: str = "running") -> bool:
    return docker("inspect", "--format", "{{.State.Status}}", container) == status


@pytest.mark.attack(
    "another user commits an image of what runs, or builds one with our labels, and runs it as a database",
    "its image is not a recorded release, its name not a deployment's: the container is not changed",
)
def test_a_label_that_comes_from_an_image_makes_nothing_ours(world: World, docker: Docker) -> None:
    """Running or stopped, of whichever role: deploy, rollback, drill, prune and converge pass it by."""
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    image = f"{world.repository}:theirs"
    docker("commit", world.container, image, undo=("rmi", "-f", image))
    roles = {}
    for role in ("migration", "drill", "test", "smoke"):
        roles[role] = f"{world.repository}:{role}"
        changes = ("--change", f"LABEL release.role={role}", "--change", "LABEL release.drill.expires=x")
        docker("commit", *changes, world.container, roles[role], undo=("rmi", "-f", roles[role]))
    kept = [theirs(docker, image, f"{world.service}-theirs")]
    kept += [theirs(docker, found, f"{world.service}-theirs-{role}") for role, found in roles.items()]
    stopped = theirs(docker, image, f"{world.service}-theirs-stopped")
    docker("stop", "--time", "0", stopped)
    volumes = [volume_of(docker, each) for each in (*kept, stopped)]
    acted(world, *EVERYTHING)
    assert all(is_untouched(docker, each) for each in kept)
    assert is_untouched(docker, stopped, "exited")
    assert all(docker("volume", "inspect", "--format", "{{.Name}}", each) == each for each in volumes)
    status = world.invoke("status", "--json").data
    assert (status["drift"], status["leftovers"]) == ([], [])
    for name in (f"{world.service}-theirs", f"{world.service}-theirs-migration"):
        assert any(text.startswith(f"{name} (running) has the labels of") for text in status["strangers"])


@pytest.mark.attack(
    "another user copies all labels of what runs to their own container",
    "another image, or another name than a deployment gives: the container is not changed",
)
def test_labels_that_somebody_copied_make_nothing_ours(world: World, docker: Docker) -> None:
    """With the released image under another name, and with another image under a name like ours."""
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    about = json.loads(docker("inspect", world.container))[0]
    labels = [word for pair in about["Config"]["Labels"].items() for word in ("--label", "=".join(pair))]
    same = theirs(docker, about["Config"]["Image"], f"{world.service}-theirs", *labels)
    image = f"{world.repository}:theirs"
    docker("commit", world.container, image, undo=("rmi", "-f", image))
    like = theirs(docker, image, f"{world.container}.2", *labels)
    acted(world, EVERYTHING[0], EVERYTHING[3])
    assert is_untouched(docker, same)
    assert is_untouched(docker, like)


@pytest.mark.attack(
    "a container with our labels has the name or the port that a deployment needs",
    "the deployment is refused before anything is stopped, and the message names the container",
)
def test_what_is_in_the_way_and_not_ours_is_an_error_before_anything_is_stopped(
    world: World, docker: Docker
) -> None:
    """Status 2, and the way out is said; it works."""
    labels = Place(service=world.service, environment="production").labels(SERVING)
    words = [word for pair in labels.items() for word in ("--label", "=".join(pair))]
    world.invoke("deploy", "--to", "0.1.0", "--yes")
    image = json.loads(docker("inspect", world.container))[0]["Config"]["Image"]
    docker("rm", "--force", world.container)
    mine = theirs(docker, image, world.container, *words)
    refused = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert refused.status == 2, refused.err
    assert f"docker rename {world.container} {world.container}-before" in refused.err
    assert is_untouched(docker, mine)
    docker(
        "rename",
        world.container,
        f"{world.container}-before",
        undo=("rm", "-fv", f"{world.container}-before"),
    )
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    assert is_untouched(docker, mine)


# --- the lock


def holder(deployment: str = "0" * 12, **changes: Any) -> dict[str, str]:
    made = lock_labels(Holder.here(who="Mallory", url=None, deployment=deployment, milliseconds=3_600_000))
    return {**made, "release.lock.host": "elsewhere", **changes}


def locked(world: World, labels: dict[str, str], *, environment: str = "production") -> str:
    """A container that somebody made in the lock's name, as a lock is made; its id."""
    place = Place(service=world.service, environment=environment)
    own = world.engine.inspect(Reference.parse(world.images[0]))
    assert own is not None
    image = own.id  # not just any image of the engine: other tests remove theirs meanwhile
    return world.engine.create(
        ContainerSpec(
            image=image, name=place.lock, labels=place.labels(LOCK) | labels, command=("release-lock",)
        )
    )


@pytest.mark.attack(
    "another user's container with the lock's name and labels runs on the engine",
    "a lock never runs: every command names the container and does not change it",
)
def test_a_running_container_of_the_locks_name_is_not_a_lock(world: World, docker: Docker) -> None:
    """Also with all labels of a lock that expired; status goes on, and the way out works."""
    place = Place(service=world.service, environment="production")
    labels = place.labels(LOCK) | holder(**{"release.lock.expires": "2020-01-01T00:00:00+00:00"})
    words = [word for pair in labels.items() for word in ("--label", "=".join(pair))]
    image = world.images[0]
    mine = theirs(docker, image, place.lock, *words)
    for command in (
        ("deploy", "--to", "0.1.0", "--yes"),
        ("converge", "--break-lock", "--message", "x", "--yes"),
    ):
        done = world.invoke(*command)
        assert done.status == 5, (command, done.err)
        assert f"docker rename {place.lock} {place.lock}-other" in done.err
        assert "defect" not in done.err
    assert any(place.lock in text for text in world.invoke("status", "--json").data["strangers"])
    assert is_untouched(docker, mine)
    docker("rename", place.lock, f"{place.lock}-other", undo=("rm", "-fv", f"{place.lock}-other"))
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    assert is_untouched(docker, mine)


@pytest.mark.attack(
    "the labels of a lock have no time at which it ends, or are missing",
    "the lock counts as held: the message names it and `--break-lock`, and that works",
)
def test_a_lock_that_does_not_say_when_it_ends_is_broken_by_hand_alone(world: World) -> None:
    """Garbage, a time without a zone, nothing, and digits without end where a process number should be."""
    for changes in (
        {"release.lock.expires": "garbage"},
        {"release.lock.expires": "2020-01-01T00:00:00"},
        {"release.lock.expires": ""},
        {
            "release.lock.expires": "x",
            "release.lock.pid": "9" * 5000,
            "release.lock.host": "",
            "release.lock.who": "",
        },
    ):
        locked(world, holder(**changes))
        held = world.invoke("deploy", "--to", "0.1.0", "--yes")
        assert held.status == 5, held.err
        assert "is not a time" in held.err
        assert "converge --break-lock" in held.err
        done = world.invoke("converge", "--yes", "--break-lock", "--message", "nobody's")
        assert done.status == 0, done.err
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0


# --- its journal


def start(world: World, version: str, **changes: Any) -> Draft[Any]:
    """The start of a deployment, as somebody writes it who holds the engine."""
    with closing(Source.open(world.root)) as source:
        ledger = Ledger.open(source, branch="release-ledger", remote=None)
        release = query.release_of_version(ledger, world.service, version)
    assert release is not None
    known: dict[str, Any] = {
        "deployment": "f" * 12,
        "environment": "production",
        "release": release.id,
        "digest": release.body.image.digest,
        "run_spec": RunSpec(volumes=(Mount(source="/", target="/host"),), user="0"),
        "reason": "rollback",
        "status": "started",
    }
    return Draft(
        service=world.service,
        recorded_at=now(),
        actor=Actor(name="Ada Lovelace", email="ada@example.org"),
        run=Run(id="run"),
        tool="release",
        body=Deployment(**{**known, **changes}),
    )


def recorded(world: World) -> list[dict[str, Any]]:
    records = world.invoke("history", "--json", "--limit", "100").data
    return [record for record in records if record["kind"] == "deployment"]


@pytest.mark.attack(
    "an expired lock on the engine names a healthy deployment, of another environment or of this one, "
    "with a folder of the host",
    "a lock counts only as a start of its own place and deployment: no other record is made of it",
)
def test_a_lock_tells_of_a_start_of_its_own_place_or_of_nothing(world: World) -> None:
    """Nothing is signed for another place, and no rollback mounts the folder."""
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    before = recorded(world)
    for number, changes in enumerate(
        (
            {"environment": "staging", "status": "healthy"},
            {},
        )
    ):
        name = f"{number:012}"
        told = journal.write(start(world, "0.2.0", deployment=name, **changes))
        claimed = name if changes else "e" * 12  # the last one is of another deployment than its lock
        expired = {"release.lock.expires": "2020-01-01T00:00:00+00:00", "release.lock.journal": told}
        locked(world, holder(claimed, **expired))
        done = world.invoke("deploy", "--to", "0.1.0", "--yes", "--again")
        assert done.status == 0, done.err
        added = recorded(world)[: -len(before)]
        before = recorded(world)
        assert [each["run_spec"].get("volumes") for each in added] == [[], []]
        assert name not in {each["deployment"] for each in added}


@pytest.mark.attack(
    "an expired lock names a rollback that began, with a folder of the host mounted",
    "no record or configuration gives these settings: it is only reverted, and the ledger gets a note",
)
def test_settings_that_only_a_lock_knows_are_never_recorded_nor_run(world: World, docker: Docker) -> None:
    """Finishing is refused with the names of what nothing proves; what ran before is put back."""
    for version in ("0.1.0", "0.2.0"):
        assert world.invoke("deploy", "--to", version, "--yes").status == 0
    previous = recorded(world)[0]["deployment"]
    began = start(world, "0.1.0", previous=previous)
    expired = {
        "release.lock.expires": "2020-01-01T00:00:00+00:00",
        "release.lock.journal": journal.write(began),
    }
    locked(world, holder("f" * 12, **expired))
    refused = world.invoke("converge", "--finish", "--yes")
    assert refused.status == 2, refused.err
    done = world.invoke("converge", "--yes", "--json")
    assert done.status == 0, done.err
    records = world.invoke("history", "--json", "--limit", "100").data
    (note,) = [record["text"] for record in records if record["kind"] == "note"]
    assert "user, volumes" in note
    assert "/host" not in json.dumps(records)
    assert world.answer()["VERSION"] == "0.2.0"
    assert world.invoke("rollback", "--yes").status == 0
    assert all(
        not mount.get("Source") for mount in json.loads(docker("inspect", world.container))[0]["Mounts"]
    )
