"""A rehearsal in a Swarm: what is submitted, and that nothing of it stays."""

from __future__ import annotations

from typing import Any

import pytest

from release.deploy.core.drill_request import Conditions, DrillRequest, drill_name
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.drill import SwarmDrills, order_of, remove_leftovers, scratch_of
from release.deploy.targets.swarm.objects import Service, Task
from release.errors import DeploymentFailed
from release.programs.owner import Owner
from release.runspec import Probe, RunSpec
from release.secrets.redact import Redacted
from tests.unit.deploy.fakes import FakeEngine, release
from tests.unit.deploy.targets.swarm.fakes import PLACE, FakeSwarm, means, real, service, task

SPEC = RunSpec.model_validate(
    {
        "env": {"LEVEL": "info"},
        "secrets": {"TOKEN": "k:1", "URL": "k:2"},
        "publish": ["8080:8000", "9000:9000"],
        "networks": ["backend"],
        "volumes": ["data:/data"],
        "memory": 1 << 28,
        "restart": "always",
        "labels": {"traefik.enable": "true"},
        "replicas": 3,
        "probe": Probe(port=8000, path="/healthz"),
        "swarm": {"constraints": ["node.role==worker"], "monitor": 0, "order": "start-first"},
        "stop_grace": 1,
    }
)


class Drills(SwarmDrills, frozen=True, kw_only=True):
    """In a Swarm in memory."""

    fake: FakeSwarm

    @property
    def swarm(self) -> Swarm:
        return real(self.fake)


def drills(fake: FakeSwarm | None = None) -> Drills:
    return Drills(engine=FakeEngine(), fake=fake or FakeSwarm())


def request(**changes: Any) -> DrillRequest:
    known = release()
    smoke = known.body.smoke.model_copy(update={"env": {"TOKEN": "stand-in", "OTHER": "x"}})
    target = type(known)(envelope=known.envelope, body=known.body.model_copy(update={"smoke": smoke}))
    values: dict[str, Any] = {"spec": SPEC, "conditions": Conditions(), "secrets": {}, **changes}
    return DrillRequest(place=PLACE, target=target, health_timeout=400, drill="0123456789ab", **values)


QUIET = SPEC.model_copy(update={"probe": None})


def test_nothing_of_the_environment_is_touched() -> None:
    """No name, label, volume, network or published port of what serves; one task where it would be."""
    order = order_of(request())
    assert order.place.container == "api-production-drill-0123456789ab"
    assert order.place.labels("serving")["release.role"] == "drill"
    assert order.place.labels("secret")["release.role"] == "drill-secret"
    assert [(port.host, port.container) for port in order.spec.publish] == [(0, 8000)]
    assert (order.spec.networks, order.spec.labels, order.spec.replicas) == ((), {}, 1)
    assert [(mount.source, mount.target) for mount in order.spec.volumes] == [("", "/data")]
    assert order.spec.memory == 1 << 28
    assert order.spec.swarm is not None
    assert order.spec.swarm.constraints == ("node.role==worker",)
    assert order.spec.swarm.publish_mode == "host"


def test_a_service_without_a_published_port_is_given_none() -> None:
    """Whoever hides it behind something else does not want it seen for a drill either."""
    hidden = SPEC.model_copy(update={"publish": ()})
    assert order_of(request(spec=hidden)).spec.publish == ()


def test_secrets_are_those_of_the_smoke_run_or_the_real_ones() -> None:
    """As files and, those of the smoke run, as variables too: as the smoke run had them."""
    order = order_of(request())
    assert {name: value.reveal() for name, value in order.secrets.items()} == {"TOKEN": "stand-in"}
    assert order.spec.env == {"TOKEN": "stand-in", "LEVEL": "info"}
    real_ones = {"TOKEN": Redacted("a"), "URL": Redacted("b")}
    order = order_of(request(conditions=Conditions(secrets=True, networks=True), secrets=real_ones))
    assert (order.secrets, order.spec.env) == (real_ones, {"LEVEL": "info"})
    assert order.spec.secrets.keys() == {"TOKEN", "URL"}
    assert order.spec.networks == ("backend",)


def test_what_is_not_proven_is_told() -> None:
    """One task is not three."""
    assert drills().unchecked(request()) == ("replicas: 1 of 3",)


def test_a_rehearsal_that_ends_well_leaves_nothing() -> None:
    """Service and secrets go, and what is of the real place stays."""
    fake = FakeSwarm()
    fake.store("secrets", "real", Redacted("x"), PLACE.labels("secret"))
    asked = request(spec=QUIET)
    assert drills(fake).rehearse(asked, means()) == "1 of 1 tasks run on 1 node"
    assert len(fake.kept) == 2
    drills(fake).remove(asked, means())
    assert fake.there is None
    assert list(fake.kept) == ["real"]


def test_a_rehearsal_that_fails_leaves_nothing_either() -> None:
    """The task ended by itself."""

    def crashing(now: Service) -> list[Task]:
        return [task(now, state="failed", desired="shutdown", exit_code=7)]

    fake = FakeSwarm(tasks_of=crashing)
    asked = request(spec=QUIET)
    with pytest.raises(DeploymentFailed, match="exit status 7"):
        drills(fake).rehearse(asked, means())
    drills(fake).remove(asked, means())
    assert fake.there is None
    assert fake.kept == {}


def test_only_what_a_dead_drill_left_is_swept_away() -> None:
    """Not that of a drill that goes on, nor what serves."""
    alive = scratch_of(request())
    gone = Owner(host=Owner.here().host, pid="999999999", process=Owner.here().process)
    dead = alive.labels("serving") | gone.labels() | {"release.deployment": "dead"}
    name = drill_name(PLACE, "dead")
    fake = FakeSwarm(there=service({"Name": name, "Labels": dead}, name=name))
    fake.others = [
        service({"Labels": alive.labels("serving")}, id="id-alive", name=alive.container),
        service({"Labels": PLACE.labels("serving")}, id="id-real"),
        service({"Labels": dead}, id="id-with-labels-of-a-dead-one", name="theirs"),
    ]
    fake.store("secrets", f"{name}-TOKEN", Redacted("x"), alive.labels("secret") | gone.labels())
    fake.store("secrets", of_alive := f"{alive.container}-TOKEN", Redacted("x"), alive.labels("secret"))
    fake.store("secrets", "theirs", Redacted("x"), alive.labels("secret") | gone.labels())
    said: list[Any] = []
    remove_leftovers(real(fake), PLACE, said.append)
    assert fake.there is None
    assert fake.calls == ["remove"]
    assert list(fake.kept) == [of_alive, "theirs"]
    assert len(said) == 1
