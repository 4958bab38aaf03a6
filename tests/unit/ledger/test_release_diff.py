"""What is other in one release than in another."""

from __future__ import annotations

import json

import pytest

from release.commands.text import history
from release.git.source import Source
from release.ledger import query
from release.ledger.release_diff import (
    Change,
    Commits,
    Difference,
    changed_values,
    commits_between,
    compare,
    flatten_settings,
)
from release.ledger.store import Ledger
from release.records import Base, Body, Deployment, Descriptor, Draft, LockFile, Release
from release.runspec import ProcessSpec, RunSpec
from release.targetspec import KubernetesSpec
from release.values import replace
from tests.unit.ledger import samples
from tests.unit.ledger.samples import digits, event, release
from tests.unit.repository import Repository


def changed(
    draft: Draft[Body], *, packages: dict[str, str], base: str, layers: dict[str, int]
) -> Draft[Body]:
    """The same release with other content."""
    body = draft.body
    assert isinstance(body, Release)
    descriptors = tuple(Descriptor(digest=f"sha256:{digits(n)}", size=size) for n, size in layers.items())
    lock = LockFile(kind="uv", path="uv.lock", sha256=digits("lock"), packages=packages)
    bases = (Base(reference="python:3.13-slim", digest=f"sha256:{digits(base)}"),)
    image = body.image.model_copy(update={"layers": descriptors})
    return replace(draft, body=body.model_copy(update={"image": image, "lock": lock, "bases": bases}))


def healthy(of: str, name: str, spec: RunSpec) -> Draft[Body]:
    draft = event(of, deployment=name)
    assert isinstance(draft.body, Deployment)
    return replace(draft, body=draft.body.model_copy(update={"run_spec": spec}))


@pytest.fixture
def ledger(here: Repository) -> Ledger:
    """Two releases of two commits, both healthy in production once."""
    first = here.git("rev-parse", "HEAD")
    here.commit("fix: a leak", file="2")
    second = here.git("rev-parse", "HEAD")
    ledger = samples.ledger(here.root)
    one, two = ledger.append(
        [
            changed(
                release("1.0.0", commit=first),
                packages={"fastapi": "0.120.0", "old": "1"},
                base="base one",
                layers={"system": 1000, "source one": 10},
            ),
            changed(
                release("1.1.0", commit=second),
                packages={"fastapi": "0.121.0", "new": "2"},
                base="base two",
                layers={"system": 1000, "source two": 14},
            ),
        ]
    )
    before = RunSpec(env={"LOG_LEVEL": "info"}, secrets={"KEY": "hmac:one"})
    after = RunSpec(env={"LOG_LEVEL": "debug"}, secrets={"KEY": "hmac:two"})
    ledger.append([healthy(one.id, "a", before), healthy(two.id, "b", after)])
    return ledger


def difference(
    ledger: Ledger, here: Repository, before: str, after: str, environment: str | None = "production"
) -> Difference:
    old, new = (query.find(ledger, "api", name, environment=environment) for name in (before, after))
    source = Source.open(here.root)
    return compare(ledger, source, "api", old, new, environment=environment, paths=["."])


def test_everything_that_differs_is_told(ledger: Ledger, here: Repository) -> None:
    """Commits, packages, bases, settings with secrets as fingerprints, and bytes."""
    found = difference(ledger, here, "1.0.0", "1.1.0")
    assert [line.partition(" ")[2] for line in found.commits.added] == ["fix: a leak"]
    assert found.commits.undone == ()
    assert found.packages == (
        Change(key="fastapi", old="0.120.0", new="0.121.0"),
        Change(key="new", old=None, new="2"),
        Change(key="old", old="1", new=None),
    )
    assert [change.key for change in found.bases] == ["python:3.13-slim"]
    assert found.settings == (
        Change(key="env.LOG_LEVEL", old="info", new="debug"),
        Change(key="secrets.KEY", old="hmac:one", new="hmac:two"),
    )
    assert (found.before.size, found.after.size, found.size) == (1010, 1014, 4)
    assert (found.shared_layers, found.shared_bytes, found.notes) == (1, 1000, ())


def test_the_other_way_round_commits_are_undone(ledger: Ledger, here: Repository) -> None:
    """And the size falls."""
    found = difference(ledger, here, "1.1.0", "1.0.0")
    assert (len(found.commits.undone), found.commits.added, found.size) == (1, (), -4)


def test_settings_of_every_process_are_compared_and_those_of_the_environment_stay() -> None:
    """One changed command is one change, whichever process has it and however many follow."""
    shared = RunSpec(env={"LEVEL": "info"}, restart="always")

    def spec(command: str) -> RunSpec:
        worker = shared.model_copy(update={"command": (command,)})
        processes = (
            ProcessSpec(name="web", settings=shared),
            ProcessSpec(name="worker", settings=worker, after=("web",)),
            ProcessSpec(name="beat", settings=shared, exclusive=True),
        )
        return shared.model_copy(update={"processes": processes})

    old, new = flatten_settings(spec("work")), flatten_settings(spec("toil"))
    assert (old["env.LEVEL"], old["restart"]) == ("info", "always")
    assert old["processes.web"] == "as the environment"
    assert old["processes.beat.exclusive"] is True
    assert changed_values(old, new) == (Change(key="processes.worker.command", old=["work"], new=["toil"]),)


def test_objects_of_manifests_are_compared_field_by_field() -> None:
    """Also one that comes or goes."""

    def spec(*documents: dict[str, object]) -> RunSpec:
        return RunSpec(kubernetes=KubernetesSpec(documents=json.dumps(documents)))

    def service(port: int) -> dict[str, object]:
        ports = [{"port": port}]
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": ports}}

    colours: dict[str, object] = {"kind": "ConfigMap", "metadata": {"name": "colours"}, "data": {"a": "red"}}
    old, new = flatten_settings(spec(service(80), colours)), flatten_settings(spec(service(81)))
    assert changed_values(old, new) == (
        Change(key="ConfigMap colours: data.a", old="red", new=None),
        Change(key="ConfigMap colours: metadata.name", old="colours", new=None),
        Change(key="Service web: spec.ports.0.port", old=80, new=81),
    )


def test_a_release_does_not_differ_from_itself(ledger: Ledger, here: Repository) -> None:
    """Nothing but its size is left to tell."""
    found = difference(ledger, here, "1.0.0", "1.0.0")
    assert found.commits == Commits()
    assert (found.packages, found.bases, found.settings, found.size) == ((), (), (), 0)
    labels = [label for label, _ in history.difference_rows(found)]
    assert labels == ["from", "to", "commits", "size", "shared"]


def test_what_cannot_be_compared_is_said(ledger: Ledger, here: Repository) -> None:
    """No deployment there, or no environment named."""
    staging = difference(ledger, here, "1.0.0", "1.1.0", "staging")
    assert staging.settings == ()
    assert staging.notes == tuple(
        f"settings are not compared: {version} was never verified healthy in staging"
        for version in ("1.0.0", "1.1.0")
    )
    assert difference(ledger, here, "1.0.0", "1.1.0", None).notes == (
        "settings are not compared: name an environment with --environment",
    )


def test_a_commit_that_git_lacks_is_named(here: Repository) -> None:
    """Both ids are in the answer anyway."""
    head = here.git("rev-parse", "HEAD")
    found = commits_between(Source.open(here.root), head, "f" * 40, paths=["."])
    assert found == Commits(note=f"commits are not listed: this clone lacks {'f' * 40}")


def test_only_commits_of_the_folder_are_listed(here: Repository) -> None:
    """Another service's work is not this one's."""
    start = here.git("rev-parse", "HEAD")
    (here.root / "api").mkdir()
    (here.root / "api" / "app.py").write_text("1\n")
    here.commit("feat: api")
    here.commit("feat: other", file="other")
    head = here.git("rev-parse", "HEAD")
    found = commits_between(Source.open(here.root), start, head, paths=["api"])
    assert [line.partition(" ")[2] for line in found.added] == ["feat: api"]


def test_a_difference_is_json_and_readable(ledger: Ledger, here: Repository) -> None:
    """The same facts for machines and for people."""
    found = difference(ledger, here, "1.0.0", "1.1.0")
    assert json.loads(json.dumps(found.to_json()))["after"]["version"] == "1.1.0"
    rows = dict(history.difference_rows(found))
    assert history.difference_title(found) == "api in production: 1.0.0 → 1.1.0"
    assert rows["packages"].splitlines()[0] == "fastapi: 0.120.0 → 0.121.0"
    assert rows["size"] == "1,010 → 1,014 bytes (+4)"
