"""What a rehearsal starts: as recorded, but for everything that would touch what serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from release.deploy.core.drill_request import Conditions, DrillRequest, drill_name
from release.deploy.core.image_location import ImageLocation
from release.deploy.core.place import Place
from release.deploy.inspection.drill import Drill
from release.deploy.targets.engine.drill import EngineDrills, container_of, remove_leftovers
from release.programs.owner import Owner
from release.runspec import ProcessSpec, RunSpec
from release.secrets.redact import Redacted
from release.values import replace
from tests.unit.deploy.fakes import FakeEngine, digest, release, state

PLACE = Place(service="api", environment="production")
SPEC = RunSpec.model_validate(
    {
        "env": {"LEVEL": "info"},
        "secrets": {"TOKEN": "k:1", "URL": "k:2"},
        "publish": ["127.0.0.1:8080:8000", "5353:5353/udp"],
        "networks": ["backend"],
        "volumes": ["data:/data", "/etc/ssl:/etc/ssl:ro"],
        "memory": 1 << 28,
        "cap_drop": ["ALL"],
        "read_only": True,
        "restart": "always",
        "labels": {"traefik.enable": "true"},
        "replicas": 3,
        "proxy": "nginx",
    }
)


def request(conditions: Conditions, **changes: Any) -> DrillRequest:
    known = release()
    smoke = known.body.smoke.model_copy(
        update={"env": {"TOKEN": "stand-in", "URL_FILE": "/smoke/url", "OTHER": "x"}}
    )
    target = type(known)(envelope=known.envelope, body=known.body.model_copy(update={"smoke": smoke}))
    values: dict[str, Any] = {"secrets": {}, **changes}
    return DrillRequest(
        place=PLACE,
        target=target,
        spec=SPEC,
        conditions=conditions,
        health_timeout=1000,
        drill="0123456789ab",
        **values,
    )


def test_nothing_of_the_environment_is_touched() -> None:
    """No port of the machine, no volume, no network, no name that a proxy knows, no label of the settings."""
    found = container_of(request(Conditions()), digest("image"))
    assert found.name == "api-production-drill-0123456789ab"
    assert (found.publish, found.publish_ephemeral) == ((), (8000,))
    assert found.ephemeral_address == "127.0.0.1"
    assert found.networks == (found.name,)
    assert found.aliases == ()
    assert [(mount.source, mount.target) for mount in found.volumes] == [("", "/data"), ("", "/etc/ssl")]
    assert "traefik.enable" not in found.labels
    assert found.labels["release.role"] == "drill"
    assert found.restart == "no"


def test_what_limits_it_is_as_recorded() -> None:
    """Memory, capabilities, the root file system, plain variables."""
    found = container_of(request(Conditions()), digest("image"))
    assert (found.memory, found.cap_drop, found.read_only) == (1 << 28, ("ALL",), True)
    assert found.env["LEVEL"] == "info"


def test_without_the_real_secrets_it_has_those_of_the_smoke_run() -> None:
    """And no other variable of that run; a name that it had no value for is left out."""
    found = container_of(request(Conditions()), digest("image"))
    assert found.env == {"LEVEL": "info", "TOKEN": "stand-in"}
    real = request(Conditions(secrets=True), secrets={"TOKEN": Redacted("a"), "URL": Redacted("b")})
    assert container_of(real, digest("image")).env == {"LEVEL": "info", "TOKEN": "a", "URL": "b"}


def test_a_secret_that_is_a_file_is_one_in_a_drill_too() -> None:
    """With the smoke run's value; where that run gave a path alone, the path."""
    spec = SPEC.model_copy(
        update={"secret_files": {"TOKEN": "/run/secrets/token", "URL": "/run/secrets/url"}}
    )
    made = replace(request(Conditions()), spec=spec)
    found = container_of(made, digest("image"))
    assert found.env == {"LEVEL": "info", "TOKEN_FILE": "/run/secrets/token", "URL_FILE": "/smoke/url"}
    assert [(file.path, file.content) for file in found.files] == [("/run/secrets/token", b"stand-in")]


def test_real_networks_are_joined_without_a_name_that_takes_traffic() -> None:
    """Beside its own; other containers' names stay theirs."""
    found = container_of(request(Conditions(networks=True)), digest("image"))
    assert found.networks == (found.name, "backend")
    assert found.aliases == ()


def unchecked(conditions: Conditions) -> list[str]:
    drills = EngineDrills(engine=FakeEngine())
    made = Drill(request=request(conditions), host="here", drills=drills, found=ImageLocation(where="engine"))
    return [what.partition(":")[0] for what in made.unchecked]


def test_what_is_not_proven_is_told() -> None:
    """Less of it with real secrets and networks; volumes and ports always."""
    assert unchecked(Conditions()) == [
        "secrets",
        "networks",
        "volumes",
        "ports",
    ]
    real = Conditions(secrets=True, networks=True)
    assert unchecked(real) == ["volumes", "ports"]


class WithoutNetworks(FakeEngine):
    """An engine whose networks nobody labelled."""

    def labelled_networks(self, labels: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        assert labels == PLACE.labels("drill")
        return {}

    def remove_network(self, name: str) -> None:
        self.calls.append(f"remove network {name}")


def test_only_what_nobody_uses_any_more_is_swept_away() -> None:
    """A drill of this process goes on; one whose process is gone, or whose time is over, is removed."""
    engine = WithoutNetworks()
    gone = Owner(host=Owner.here().host, pid="999999999", process=Owner.here().process)
    alive = request(Conditions()).labels
    late = {"release.drill.expires": "2020-01-01T00:00:00+00:00"}
    of: dict[str, dict[str, str]] = {"mine": {}, "dead": gone.labels(), "late": late}
    for name, changes in of.items():
        labels = {**alive, **changes, "release.deployment": name}
        engine.add(state(drill_name(PLACE, name), labels=labels))
    engine.add(state("api-production", labels=PLACE.labels("serving")))
    said: list[Any] = []
    remove_leftovers(engine, PLACE, said.append)
    assert engine.names().keys() == {drill_name(PLACE, "mine"), "api-production"}
    assert len(said) == 2


@pytest.mark.attack(
    "another user runs an image that was committed from the container of a drill",
    "a drill's container has the drill's name, which no image gives on; a label without a time ends nothing",
)
def test_what_only_has_the_labels_of_a_drill_is_not_swept_away() -> None:
    """Whatever its labels say of a process that is gone, or of a time that is over."""
    engine = WithoutNetworks()
    labels = {**request(Conditions()).labels, "release.deployment": "0123456789ab"}
    engine.add(state("database", labels={**labels, "release.drill.expires": "2020-01-01T00:00:00+00:00"}))
    for number, time in enumerate(("garbage", "", "2020-01-01T00:00:00")):
        about = {**labels, "release.deployment": str(number), "release.drill.expires": time}
        engine.add(state(drill_name(PLACE, str(number)), labels={**about, "release.owner.pid": "9" * 5000}))
    there = dict(engine.names())
    remove_leftovers(engine, PLACE, lambda _: None)
    assert engine.names() == there


def test_each_process_but_exclusive_ones_is_rehearsed() -> None:
    """A second scheduler would do its work twice, so it is only said."""
    spec = RunSpec(
        processes=(
            ProcessSpec(name="web", settings=RunSpec()),
            ProcessSpec(name="beat", settings=RunSpec(), exclusive=True),
        )
    )
    asked = replace(request(Conditions()), spec=spec)
    (only,) = asked.by_process
    assert (only.place.process, only.drill) == ("web", asked.drill)
    assert only.name.endswith(f"-production-web-drill-{asked.drill}")
