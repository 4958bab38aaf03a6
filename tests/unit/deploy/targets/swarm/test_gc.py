"""Which secrets and configs of a Swarm nothing needs any more."""

from __future__ import annotations

import json

import pytest

from release.deploy.core.image_location import image_reference
from release.deploy.core.operations import RUN
from release.deploy.core.place import DEPLOYMENT
from release.deploy.core.upkeep import Needs
from release.deploy.targets.swarm import naming
from release.deploy.targets.swarm import spec as specs
from release.deploy.targets.swarm.gc import unneeded
from release.deploy.targets.swarm.jobs import Jobs
from release.deploy.targets.swarm.objects import Service
from release.deploy.targets.swarm.sealed import secret_labels
from release.deploy.targets.swarm.spec import Part, Parts, service_spec
from release.runspec import RecordedFile, RunSpec
from release.secrets.redact import Redacted
from release.values import replace
from tests.unit.deploy.targets.swarm import test_jobs as jobs
from tests.unit.deploy.targets.swarm.fakes import (
    PLACE,
    FakeSwarm,
    ManyServices,
    order,
    real,
    service,
    task,
)

TOKEN = secret_labels(PLACE, "TOKEN", "k:1")
NOTHING = Needs(specs=(), ended=frozenset())


def referring(secret: str) -> Service:
    """A service that refers to a secret."""
    written = service_spec(
        order(secrets={"TOKEN": "k:1"}),
        Parts(secrets={"TOKEN": Part(id=f"id-{called(secret)}", name=called(secret))}),
    )
    return service(written)


def called(name: str) -> str:
    """What the secret of this name is called in the Swarm."""
    return naming.secret_name(PLACE, name, "k:1")


def keeping(*names: str) -> FakeSwarm:
    """A Swarm with these secrets of ours."""
    fake = FakeSwarm()
    for name in names:
        fake.store("secrets", called(name), Redacted("x"), secret_labels(PLACE, name, "k:1"))
    return fake


def gone(fake: FakeSwarm, needs: Needs = NOTHING) -> list[str]:
    return [str(each) for each in unneeded(real(fake), PLACE, needs)]


def test_what_the_running_the_previous_or_another_spec_names_stays() -> None:
    """And what a task was given that still should run."""
    fake = keeping("now", "before", "theirs", "task", "old")
    fake.there = replace(referring("now"), previous=referring("before").spec)
    fake.others = [referring("theirs")]
    fake.tasks_of = lambda there: [replace(task(there), parts=frozenset({f"id-{called('task')}"}))]
    assert gone(fake) == [f"secret {called('old')}"]


def test_what_settings_name_that_could_be_restored_stays() -> None:
    """By the fingerprint of the value, and by the content of a file."""
    file = RecordedFile(content="a = 1", sha256="b" * 64, mode=0o444)
    spec = RunSpec(secrets={"TOKEN": "k:1"}, files={"/etc/api.toml": file})
    files = [naming.file_name(PLACE, "/etc/api.toml", digit * 64) for digit in "bc"]
    fake = keeping("TOKEN", "OLD")
    fake.store("secrets", stands := naming.variant(called("TOKEN"), "0" * 8), Redacted("x"), TOKEN)
    for name in (*files, naming.variant(files[0], "1" * 8)):
        fake.store("configs", name, Redacted("x"), PLACE.labels(specs.FILE))
    found = gone(fake, Needs(specs=(spec,), ended=frozenset()))
    assert found == [f"config {files[1]}", f"secret {called('OLD')}"]
    assert f"secret {stands}" in gone(fake)


def test_others_objects_are_never_touched() -> None:
    """Another environment's, a person's, the lock."""
    fake = FakeSwarm()
    fake.store("secrets", "theirs", Redacted("x"), {})
    other = PLACE.labels(specs.SECRET) | {"release.environment": "staging"}
    fake.store("secrets", "staging", Redacted("x"), other)
    fake.store("configs", "lock", Redacted("x"), PLACE.labels("lock"))
    assert gone(fake) == []


@pytest.mark.attack(
    "another user's secrets and configs in the Swarm have our labels",
    "prune removes an object only where its name is the one that its labels give",
)
def test_what_only_has_our_labels_is_not_removed() -> None:
    """A secret, a file, and a spec from before a deployment."""
    fake = FakeSwarm()
    fake.store("secrets", "theirs", Redacted("x"), TOKEN)
    fake.store("configs", "theirs-too", Redacted("x"), PLACE.labels(specs.FILE))
    fake.store("configs", "third", Redacted("{}"), PLACE.labels(specs.BEFORE) | {DEPLOYMENT: "over"})
    assert gone(fake, Needs(specs=(), ended=frozenset({"over"}))) == []


def test_the_spec_of_an_open_deployment_stays_with_all_that_it_names() -> None:
    """Somebody may have to put it back; one whose deployment is over goes."""
    fake = keeping("open", "old")
    kept = Redacted(json.dumps(referring("open").spec))
    for name in ("never-ended", "over"):
        labels = PLACE.labels(specs.BEFORE) | {DEPLOYMENT: name}
        fake.store("configs", naming.before_name(PLACE, name), kept, labels)
    found = gone(fake, Needs(specs=(), ended=frozenset({"over"})))
    assert found == [f"config {naming.before_name(PLACE, 'over')}", f"secret {called('old')}"]


def test_jobs_of_commands_that_ended_go_when_the_ledger_has_their_end() -> None:
    """One that runs stays, and one that only claims to be ours by its labels."""
    fake = ManyServices()
    up = replace(jobs.request(), name=naming.command_name(PLACE, "2" * 12, "up"))
    run = replace(up, role=RUN, name="api-production-run-" + "3" * 12)
    claims = [replace(each, name=f"other-{each.role}") for each in (up, run)]
    for each in (up, run, *claims):
        Jobs(swarm=real(fake)).create(each, lambda _: None)
    serving = service_spec(order(), Parts())
    fake.create({**serving, "Name": "claims", "Labels": PLACE.labels(RUN)}, image_reference(up.image))
    fake.tasks_of = jobs.states("running")
    assert gone(fake, Needs(specs=(), ended=frozenset({"2" * 12}))) == []
    fake.tasks_of = jobs.states("complete", exit_code=0)
    assert gone(fake) == [f"service {run.name}"]
    found = gone(fake, Needs(specs=(), ended=frozenset({"2" * 12})))
    assert found == [f"service {up.name}", f"service {run.name}"]


def test_the_kept_spec_of_a_process_goes_with_its_deployment() -> None:
    """It has the process in its name."""
    fake, worker = FakeSwarm(), PLACE.at("worker")
    labels = worker.labels(specs.BEFORE) | {DEPLOYMENT: "2" * 12}
    kept = json.dumps(service_spec(order(), Parts()))
    fake.store("configs", name := naming.before_name(worker, "2" * 12), Redacted(kept), labels)
    assert gone(fake) == []
    assert gone(fake, Needs(specs=(), ended=frozenset({"2" * 12}))) == [f"config {name}"]
