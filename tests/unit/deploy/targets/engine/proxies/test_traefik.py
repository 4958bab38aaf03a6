"""Traefik: it reads labels, and takes what is healthy."""

from __future__ import annotations

from release.config import Proxy as Settings
from release.deploy.core.place import Identity, Place, container_spec
from release.deploy.targets.engine.process_proxies import Front
from release.deploy.targets.engine.proxies.traefik import Traefik
from release.deploy.targets.engine.target import SingleEngine
from release.reference import Digest
from release.runspec import Healthcheck, RunSpec
from release.values import replace
from tests.unit.deploy.fakes import FakeEngine, digest, release, stored
from tests.unit.deploy.targets.engine.proxies.fakes import NETWORK, container

PLACE = Place(service="api", environment="production")


def proxy(**changes: str) -> Traefik:
    settings = Settings.model_validate(
        {"kind": "traefik", "network": NETWORK, "rule": "Host(`api.example`)", **changes}
    )
    return Traefik(engine=FakeEngine(), place=PLACE, settings=settings, port=8000)


def test_the_labels_name_network_rule_port_and_a_retry() -> None:
    """Everything that Traefik needs stands on the container."""
    assert proxy().labels() == {
        "traefik.enable": "true",
        "traefik.docker.network": "edge",
        "traefik.http.routers.api-production.rule": "Host(`api.example`)",
        "traefik.http.routers.api-production.service": "api-production",
        "traefik.http.routers.api-production.middlewares": "api-production-retry",
        "traefik.http.middlewares.api-production-retry.retry.attempts": "3",
        "traefik.http.services.api-production.loadbalancer.server.port": "8000",
    }


def test_router_and_service_can_have_another_name() -> None:
    """As the team's other labels refer to them."""
    assert "traefik.http.routers.shop.rule" in proxy(backend="shop").labels()


def test_a_container_is_made_with_the_labels() -> None:
    """They cannot be added later; ours stand against them."""
    identity = Identity(deployment="d", version="0.1.0", commit="c" * 40, digest=digest("m"), record="e" * 64)
    made = container_spec(
        PLACE,
        identity,
        RunSpec(proxy="traefik", networks=(NETWORK,)),
        image=digest("i"),
        secrets={},
        labels=proxy().labels(),
    )
    assert made.labels["traefik.enable"] == "true"
    assert made.aliases == ("api-production-d", "api-production-any")


def test_what_is_healthy_labelled_and_on_the_network_is_in_traffic() -> None:
    """Nothing else."""
    labels = {"traefik.enable": "true"}
    well = container("well", "10.0.0.2", labels=labels, health="healthy")
    starting = container("starting", "10.0.0.3", labels=labels, health="starting")
    bare = container("bare", "10.0.0.4", health="healthy")
    far = container("far", "", labels=labels, health="healthy", networks={})
    assert proxy().in_traffic([well, starting, bare, far]) == {well.id}


def test_an_image_without_a_health_check_cannot_stand_behind_it() -> None:
    """Requests would come before it listens."""
    bare, checked = stored(digest("i")), replace(stored(digest("i")), has_healthcheck=True)
    assert "no HEALTHCHECK" in proxy().image_problem(bare, None)
    assert "no HEALTHCHECK" in proxy().image_problem(bare, Healthcheck(interval=1000))
    assert proxy().image_problem(checked, None) == ""


def test_a_health_check_of_the_settings_stands_for_the_images() -> None:
    """One that is given, and one that is taken away."""
    bare, checked = stored(digest("i")), replace(stored(digest("i")), has_healthcheck=True)
    assert proxy().image_problem(bare, Healthcheck(command=("check",))) == ""
    assert "healthcheck.disable" in proxy().image_problem(checked, Healthcheck(disable=True))


def test_an_image_that_cannot_stand_behind_it_is_told_before_anything_is_touched() -> None:
    """With what else the settings lack; one that is still to be pulled is judged when it is there."""
    target, given = release().body.image, RunSpec(networks=(NETWORK,))
    engine = FakeEngine(images=(stored(Digest(target.digest)),), networks=(NETWORK,))
    front = Front(proxy=replace(proxy(), engine=engine))
    single = SingleEngine(engine=engine, place=PLACE, front_of=lambda _: front)
    (problem,) = single.rollouts.settings_problems(given, target)
    assert problem.path == "environments.production.proxy"
    assert "no HEALTHCHECK" in problem.message
    engine.images = ()
    assert single.rollouts.settings_problems(given, target) == []
