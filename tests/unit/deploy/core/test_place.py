"""Names, labels and addresses of an environment on one engine."""

from __future__ import annotations

from release.deploy.core.place import DEPLOYMENT, SERVING, Identity, Place, container_spec, look, process_of
from release.runspec import Publish, RunSpec
from release.secrets.redact import Redacted
from release.values import replace
from tests.unit.deploy.fakes import FakeEngine, digest, state

PLACE = Place(service="api", environment="production")
IDENTITY = Identity(
    deployment="0123456789ab", version="0.1.0", commit="c" * 40, digest=digest("m"), record="e" * 64
)


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


def test_a_container_tells_what_it_is_and_which_record_says_so() -> None:
    """Enough to find the release without a ledger that knows the deployment."""
    made = container_spec(PLACE, IDENTITY, RunSpec(), image=digest("i"), secrets={})
    told = {name.removeprefix("release."): value for name, value in made.labels.items()}
    assert told == {
        "service": "api",
        "environment": "production",
        "role": "serving",
        "deployment": "0123456789ab",
        "version": "0.1.0",
        "commit": "c" * 40,
        "digest": str(digest("m")),
        "record": "e" * 64,
        "replica": "1",
    }


def test_a_command_about_a_place_names_what_the_configuration_has_several_of() -> None:
    """It can be copied as it is; what its words name is not named twice. It is the same place."""
    several = replace(PLACE, flags=("--service api", "--environment production"))
    assert PLACE.command("status") == "invoke status"
    assert several.command("status") == "invoke status --service api --environment production"
    lift = "quarantine 1.0.0 --lift --environment staging"
    assert several.command(lift) == f"invoke {lift} --service api"
    assert several.labels(SERVING) == PLACE.labels(SERVING)


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


def test_publish_is_kept_as_it_was_configured() -> None:
    """The settings reach the engine unchanged."""
    publish = (Publish.model_validate("127.0.0.1:8080:8000"),)
    made = container_spec(PLACE, IDENTITY, RunSpec(publish=publish), image=digest("i"), secrets={})
    assert made.publish == publish


def test_a_process_has_names_and_labels_of_its_own() -> None:
    """The place itself has all of them; its lock is one."""
    worker = PLACE.at("worker")
    assert (worker.container, worker.lock) == (f"{PLACE.container}-worker", PLACE.lock)
    assert PLACE.labels(SERVING).items() <= worker.labels(SERVING).items()
    assert process_of(worker.labels(SERVING)) == "worker"
    assert process_of(PLACE.labels(SERVING)) == ""
    assert str(worker) == f"{PLACE} (worker)"
    assert Place.of(worker.labels(SERVING)) == worker


def test_a_container_is_called_by_the_process_in_its_labels() -> None:
    """One with the name of another process is nobody's."""
    worker = PLACE.at("worker")
    labels = worker.labels(SERVING) | {DEPLOYMENT: "0123456789ab"}
    for name in (worker.container, worker.fresh("0123456789ab")):
        assert PLACE.calls(state(name, labels=labels))
        assert worker.calls(state(name, labels=labels))
    assert not PLACE.calls(state(PLACE.container, labels=labels))
    assert not PLACE.at("web").calls(state(worker.container, labels=labels))
    unnamed = PLACE.labels(SERVING) | {DEPLOYMENT: "0123456789ab"}
    assert not PLACE.calls(state(worker.container, labels=unnamed))
