"""The settings that a released image is built again with."""

from __future__ import annotations

from typing import Any

import pytest

from release.chain.recovering import settings
from release.config import Secret, Service
from release.errors import SourceError
from release.records import Base, RecoverySource, Release
from tests.unit.chain.test_plan import configured
from tests.unit.ledger import samples

COMMIT = "a" * 40


def service(**build: Any) -> Service:
    return configured(build=build).service("api")


def record(*, recovered: RecoverySource | None = None, bases: tuple[Base, ...] = (), **build: Any) -> Release:
    body = samples.release("1.0.0", commit=COMMIT).body
    assert isinstance(body, Release)
    args = {"VERSION": "1.0.0", "COMMIT": COMMIT, "SOURCE_DATE_EPOCH": "1", **build.pop("args", {})}
    built = body.build.model_copy(update={"args": args, **build})
    return body.model_copy(update={"build": built, "recovered": recovered, "bases": bases})


@pytest.mark.attack(
    "The commit that a record names brings a `from_command` of its own, or names a key or proxy to be lent",
    "A rebuild takes secrets, ssh keys, proxies and mirrors from today's configuration of the operator alone",
)
def test_all_that_is_lent_is_todays() -> None:
    """Where a secret comes from is never read out of a commit; the ids are its own."""
    committed = service(
        secrets={"index": {"from_command": ["sh", "-c", "evil"]}},
        ssh=["default=/home/ada/.ssh/id_ed25519"],
        proxy=True,
        mirrors={"docker.io": "evil.example/hub"},
    )
    today = service(
        secrets={"index": {"from_env": "INDEX"}, "other": {"from_env": "OTHER"}},
        ssh=["default", "mirror=~/.ssh/mirror"],
        mirrors={"docker.io": "registry.example/hub"},
    )
    chosen = settings.settings_for_rebuild(today, committed, record()).build
    assert chosen.secrets == {"index": Secret(from_env="INDEX")}
    assert (chosen.ssh, chosen.proxy, chosen.mirrors) == (
        ("default",),
        False,
        {"docker.io": "registry.example/hub"},
    )


@pytest.mark.parametrize("lent", [{"secrets": {"index": {"from_env": "I"}}}, {"ssh": ["index"]}])
def test_what_todays_configuration_does_not_have_is_named(lent: dict[str, Any]) -> None:
    """Nothing is taken from the commit in its place."""
    with pytest.raises(SourceError, match=r"used index, but today's configuration has no source"):
        settings.settings_for_rebuild(service(), service(**lent), record())


@pytest.mark.parametrize(
    ("build", "said"),
    [
        ({"dockerfile": "Other"}, "dockerfile is 'Other' in the record, but 'Dockerfile' in the commit"),
        ({"context": "elsewhere"}, "context is 'elsewhere'"),
        ({"target": "debug"}, "target is 'debug'"),
        ({"args": {"INDEX": "https://evil.example"}}, "args is {'INDEX'"),
        ({"args": {"VERSION": "2.0.0"}}, "the argument VERSION is '2.0.0', but the record is of '1.0.0'"),
        ({"args": {"COMMIT": "b" * 40}}, "the argument COMMIT"),
        ({"labels": {"release.service": "api"}}, "labels is"),
    ],
)
@pytest.mark.attack(
    "A record names another Dockerfile, stage or argument than its commit, to reach a secret",
    "The commit's own settings are used, and a record that has others is refused first",
)
def test_a_record_that_contradicts_its_commit_is_refused(build: dict[str, Any], said: str) -> None:
    """Everything that decides what runs in a build."""
    with pytest.raises(SourceError) as caught:
        settings.settings_for_rebuild(service(), service(), record(**build))
    assert said in caught.value.found


def test_the_commits_own_settings_are_used() -> None:
    """With the platform of the release: the engine of today may have another."""
    committed = service(target="runtime", args={"FLAVOUR": "slim"}, dockerfile="build/Dockerfile")
    told = record(target="runtime", args={"FLAVOUR": "slim"}, dockerfile="build/Dockerfile")
    chosen = settings.settings_for_rebuild(service(target="other"), committed, told).build
    assert (chosen.target, chosen.args, chosen.dockerfile) == (
        "runtime",
        {"FLAVOUR": "slim"},
        "build/Dockerfile",
    )
    assert chosen.platform == told.image.platform


def test_what_a_recovered_record_does_not_know_contradicts_nothing() -> None:
    """Its commit is believed."""
    recovered = RecoverySource(origin="x", unknown=("build.target", "build.args"))
    told = record(target="other", args={"A": "1"}, recovered=recovered)
    assert settings.settings_for_rebuild(service(), service(target="runtime"), told).build.target == "runtime"
    with pytest.raises(SourceError, match="context"):
        settings.settings_for_rebuild(service(), service(), record(context="elsewhere", recovered=recovered))


def test_only_bases_that_the_dockerfile_names_are_taken_by_the_recorded_digest() -> None:
    """Another one, as the frontend of the Dockerfile itself, would run with all that is lent."""
    digest = f"sha256:{'1' * 64}"
    names = ("docker.io/library/python:3.13-slim", "docker.io/docker/dockerfile:1", "*")
    told = record(bases=tuple(Base(reference=name, digest=digest) for name in names))
    dockerfile = "# syntax=docker/dockerfile:1\nFROM python:3.13-slim AS build\nFROM build\n"
    assert [base.reference for base in settings.pinned_base_images(told, dockerfile)] == [
        "docker.io/library/python:3.13-slim"
    ]
