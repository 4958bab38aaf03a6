"""Names, labels and addresses of an environment on one engine."""

from __future__ import annotations

import pytest

from release.deploy.docker import Identity, Place, container_spec, is_local, look, reachable
from release.redact import Redacted
from release.runspec import Publish, RunSpec
from tests.unit.deploy.fakes import FakeEngine, digest, state

PLACE = Place(service="api", environment="production")
IDENTITY = Identity(deployment="0123456789ab", version="0.1.0", commit="c" * 40, digest=digest("m"))
SSH = "ssh://deploy@host.example"
ANY = "0.0.0.0"  # noqa: S104 - nothing is bound


def test_a_container_is_ours_by_its_labels_and_not_by_its_name() -> None:
    """A stranger under our name, another environment and the lock are not ours."""
    engine = FakeEngine()
    engine.add(state("api-production"))
    engine.add(state("lock", labels=PLACE.labels("lock")))
    engine.add(state("other", labels=Place(service="api", environment="staging").labels("serving")))
    engine.add(state("mine", labels=PLACE.labels("serving")))
    engine.add(state("left", labels=PLACE.labels("serving"), status="created"))
    ours = look(engine, PLACE)
    assert [container.name for container in ours.running] == ["mine"]
    assert [container.name for container in ours.stopped] == ["left"]


def test_our_labels_stand_against_labels_of_the_settings() -> None:
    """A configured label cannot pretend to be another deployment."""
    spec = RunSpec(labels={"release.version": "9.9.9", "team": "a"})
    made = container_spec(PLACE, IDENTITY, spec, image=digest("i"), secrets={})
    assert made.labels["release.version"] == "0.1.0"
    assert made.labels["team"] == "a"
    assert made.name == "api-production-0123456789ab"


def test_a_secret_goes_into_the_environment_and_not_into_the_repr() -> None:
    """The engine must be told; nobody else is."""
    made = container_spec(
        PLACE, IDENTITY, RunSpec(env={"A": "plain"}), image=digest("i"), secrets={"B": Redacted("canary")}
    )
    assert made.env == {"A": "plain", "B": "canary"}
    assert "canary" not in repr(made)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("unix:///var/run/docker.sock", True),
        ("tcp://127.0.0.1:2375", True),
        (SSH, False),
        ("tcp://10.0.0.7:2376", False),
    ],
)
def test_an_engine_is_local_by_its_address(host: str, expected: bool) -> None:
    """A socket, or a loopback address."""
    assert is_local(host) is expected


@pytest.mark.parametrize(
    ("host", "published", "expected"),
    [
        ("unix:///x", (ANY, 8080), ("127.0.0.1", 8080)),
        ("unix:///x", ("::", 8080), ("::1", 8080)),
        ("unix:///x", ("127.0.0.1", 8080), ("127.0.0.1", 8080)),
        (SSH, (ANY, 8080), ("host.example", 8080)),
        (SSH, ("10.1.2.3", 8080), ("10.1.2.3", 8080)),
        (SSH, ("127.0.0.1", 8080), None),
        ("unix:///x", None, ("172.17.0.2", 8000)),
        (SSH, None, None),
    ],
)
def test_a_port_is_asked_where_it_can_be_reached_from_here(
    host: str, published: tuple[str, int] | None, expected: tuple[str, int] | None
) -> None:
    """The published address, a remote engine's own host, or the container's address on this machine."""
    container = state(ports={8000: published} if published else {}, address="172.17.0.2")
    assert reachable(host, container, 8000) == expected


def test_publish_is_kept_as_it_was_configured() -> None:
    """The settings reach the engine unchanged."""
    publish = (Publish.model_validate("127.0.0.1:8080:8000"),)
    made = container_spec(PLACE, IDENTITY, RunSpec(publish=publish), image=digest("i"), secrets={})
    assert made.publish == publish
