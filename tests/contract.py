"""The contract of a target: the tests that each kind passes. A kind has a row: a subclass, and a bench."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from release.deploy.core.image_location import ImageLocation
from release.deploy.core.operations import CommandRequest
from release.deploy.core.place import MIGRATION, Identity
from release.deploy.core.rollout import RolloutContext, RolloutRequest
from release.deploy.environment.current_settings import current_settings
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.ingress import placed
from release.errors import DeploymentFailed, NameTaken, Restored
from release.ledger import query
from release.programs.cancellation import Cancellation
from release.records import Record, Release
from release.reference import Digest
from release.secrets.redact import Mask
from release.values import replace

FIRST, NEXT = "a" * 12, "b" * 12
_APART = timedelta(minutes=5)


class Bench(Protocol):
    """A service with one environment at a target of one kind. 0.1.0 and 0.2.0 are good, 0.3.0 is not."""

    def live(self) -> AbstractContextManager[LiveEnvironment]:
        """Return the environment, open for the block."""

    def foreign(self, version: str) -> str:
        """Start a release in the way of another program; its name."""

    def run(self, command: str, *words: str) -> tuple[int, Any]:
        """Run a command of `invoke` with --json; its exit status, and what it printed as data."""


def released(live: LiveEnvironment, version: str) -> Record[Release]:
    """The record of a release."""
    found = query.release_of_version(live.workspace.ledger, live.place.service, version)
    assert found is not None
    return found


def order(live: LiveEnvironment, version: str, deployment: str, **changes: Any) -> RolloutRequest:
    """The request for a release with today's settings, for what is there now."""
    record = released(live, version)
    body, settings = record.body, live.settings
    known = RolloutRequest(
        place=live.place,
        identity=Identity(
            deployment=deployment,
            version=version,
            commit=body.source.commit,
            digest=Digest(body.image.digest),
            record=record.id,
        ),
        image=body.image,
        spec=placed(current_settings(live, record)[0], settings),
        secrets={},
        before=live.target.instances.look(),
        old=None,
        health_timeout=settings.health_timeout,
    )
    return replace(known, **changes)


def means(live: LiveEnvironment, cancellation: Cancellation | None = None) -> RolloutContext:
    return RolloutContext(
        emit=live.workspace.emit, cancellation=cancellation or Cancellation(), mask=Mask([])
    )


def roll_out(live: LiveEnvironment, version: str, deployment: str) -> str:
    """Bring the image and make it run; the evidence."""
    asked = order(live, version, deployment)
    target, record = live.target, released(live, version)
    found = target.images.locate(record.body.image)
    target.images.fetch(record.body, asked.spec, found, live.workspace.emit)
    return target.rollouts.roll_out(asked, means(live))


def runs(live: LiveEnvironment) -> list[tuple[str, str]]:
    """Deployments and versions of what runs."""
    seen = live.target.instances.look().running
    return sorted({(each.deployment, each.labels["release.version"]) for each in seen})


def refused(live: LiveEnvironment, version: str, deployment: str) -> DeploymentFailed:
    """The error of a rollout that must fail."""
    with pytest.raises(DeploymentFailed) as caught:
        roll_out(live, version, deployment)
    return caught.value


def command(live: LiveEnvironment, kind: str, script: str) -> CommandRequest:
    """A command that changes the data, in the image of 0.1.0, which is brought there."""
    asked, record = order(live, "0.1.0", FIRST), released(live, "0.1.0")
    target = live.target
    found = target.images.locate(record.body.image)
    target.images.fetch(record.body, asked.spec, found, live.workspace.emit)
    return CommandRequest(
        name=target.commands.name(FIRST, kind),
        place=live.place,
        role=MIGRATION,
        identity=asked.identity,
        image=asked.image,
        command=("/bin/sh", "-c", script),
        entrypoint="replace",
        spec=asked.spec,
        secrets={},
        timeout=60_000,
    )


class TargetContract:
    """Each test is one promise. A subclass is a row; its module has the fixture `bench`."""

    def test_an_empty_place_is_empty(self, bench: Bench) -> None:
        """Nothing runs, nothing has its name, no command is there, and images are found."""
        with bench.live() as live:
            target = live.target
            found = target.instances.look()
            assert (found.every, found.strangers, target.instances.stranger()) == ((), (), None)
            assert target.commands.every() == ()
            assert target.instances.report() is None
            assert target.images.locate(released(live, "0.1.0").body.image).where in ("engine", "registry")
            spec = order(live, "0.1.0", FIRST).spec
            assert target.rollouts.settings_problems(spec) == []
            assert target.rollouts.occupation_problems(spec, found) == []
            strategy = target.rollouts.strategy(spec)
            assert target.rollouts.describe(strategy).startswith(f"{strategy}: ")

    def test_a_release_that_is_rolled_out_is_what_the_target_sees(self, bench: Bench) -> None:
        """As many instances as asked for, of this image, with labels of the deployment; it is verified."""
        with bench.live() as live:
            target, image = live.target, released(live, "0.1.0").body.image
            assert roll_out(live, "0.1.0", FIRST)
            found = target.instances.look()
            asked = order(live, "0.1.0", FIRST)
            assert len(found.running) == asked.spec.replicas == len(found.ids)
            assert {each.image for each in found.running} == {target.images.id_of(image)}
            assert runs(live) == [(FIRST, "0.1.0")]
            assert {(each.status, each.restarts) for each in found.running} == {("running", 0)}
            assert target.rollouts.verify(asked, means(live))

    def test_a_release_that_does_not_prove_leaves_what_was_there(self, bench: Bench) -> None:
        """Nothing, where nothing ran; else what ran runs on, or again."""
        with bench.live() as live:
            assert not isinstance(refused(live, "0.3.0", FIRST), Restored)
            assert runs(live) == []
            roll_out(live, "0.1.0", FIRST)
            assert isinstance(refused(live, "0.3.0", NEXT), Restored)
            assert runs(live) == [(FIRST, "0.1.0")]

    def test_a_rollout_that_is_given_up_leaves_what_was_there(self, bench: Bench) -> None:
        """A signal is no reason to leave two releases."""
        with bench.live() as live:
            roll_out(live, "0.1.0", FIRST)
            given_up = Cancellation()
            given_up.request("a signal")
            asked = order(live, "0.2.0", NEXT)
            record = released(live, "0.2.0")
            found = live.target.images.locate(record.body.image)
            live.target.images.fetch(record.body, asked.spec, found, live.workspace.emit)
            with pytest.raises(DeploymentFailed):
                live.target.rollouts.roll_out(asked, means(live, given_up))
            assert runs(live) == [(FIRST, "0.1.0")]

    def test_what_never_began_can_be_reverted_and_not_finished(self, bench: Bench) -> None:
        """Told before anything is touched; one that is complete can be finished once more."""
        with bench.live() as live:
            rollouts = live.target.rollouts
            roll_out(live, "0.1.0", FIRST)
            never = order(live, "0.2.0", NEXT, replaces=FIRST)
            assert rollouts.objection(never, "finish") is not None
            assert rollouts.objection(never, "revert") is None
            assert rollouts.retract(never, means(live))
            assert runs(live) == [(FIRST, "0.1.0")]
            done = order(live, "0.1.0", FIRST)
            assert rollouts.objection(done, "finish") is None
            assert rollouts.resume(done, means(live))
            assert runs(live) == [(FIRST, "0.1.0")]

    def test_a_lock_is_made_once_and_keeps_its_payload(self, bench: Bench) -> None:
        """The second is refused; metadata and payload are read back; it can be removed twice."""
        with bench.live() as live:
            record, target = released(live, "0.1.0"), live.target
            spec = order(live, "0.1.0", FIRST).spec
            target.images.fetch(record.body, spec, self._found(live, record), live.workspace.emit)
            store, name = target.lock_store(target.images.id_of(record.body.image)), live.place.lock
            metadata: Mapping[str, str] = live.place.labels("lock") | {"who": "Ada"}
            payload = '{"long": "' + "x" * 5000 + '"}'
            assert store.get(name) is None
            store.put(name, metadata, payload)
            with pytest.raises(NameTaken):
                store.put(name, metadata, "another")
            kept = store.get(name)
            assert kept is not None
            assert (dict(kept.metadata), kept.payload, kept.foreign) == (dict(metadata), payload, "")
            store.drop(kept.id)
            store.drop(kept.id)
            assert store.get(name) is None
            assert abs(store.now() - datetime.now(UTC)) < _APART

    def test_a_command_ends_with_a_status_and_stays_until_it_is_removed(self, bench: Bench) -> None:
        """Its name ends in its kind, its output is kept, and it is seen by its labels, whatever its end."""
        with bench.live() as live:
            commands = live.target.commands
            for kind, script, status in (("up", "echo done", 0), ("down", "echo done; exit 3", 3)):
                asked = command(live, kind, script)
                assert commands.refusal(asked.image) == ""
                started = commands.start(asked, live.workspace.emit, Cancellation())
                assert commands.wait(started, timeout=60_000, cancellation=Cancellation()) == status
                assert commands.logs(started, lines=10)[-1] == "done"
                (there,) = commands.every()
                assert (there.name, there.deployment, there.status) == (asked.name, FIRST, "exited")
                assert (there.exit_code, there.name.endswith(f"-{kind}")) == (status, True)
                assert asked.name in commands.advice(asked.name)
                commands.remove(started)
                assert commands.every() == ()

    def test_a_command_that_hangs_is_given_up_and_stopped(self, bench: Bench) -> None:
        """While it works it is told as running; stopped, it has not succeeded."""
        with bench.live() as live:
            commands = live.target.commands
            started = commands.start(command(live, "up", "sleep 600"), live.workspace.emit, Cancellation())
            assert commands.every()[0].status == "running"
            with pytest.raises(TimeoutError):
                commands.wait(started, timeout=1, cancellation=Cancellation())
            commands.stop(started)
            (there,) = commands.every()
            assert (there.status, there.exit_code == 0) == ("exited", False)
            commands.remove(started)
            assert commands.every() == ()
            assert live.target.instances.look().every == ()

    @staticmethod
    def _found(live: LiveEnvironment, record: Record[Release]) -> ImageLocation:
        return live.target.images.locate(record.body.image)

    def test_what_runs_is_restarted_stopped_and_started(self, bench: Bench) -> None:
        """It is no drift; a target that cannot says so with status 2, and nothing is changed."""
        assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 0
        with bench.live() as live:
            refusals = [live.target.operations.refusal(what) for what in ("restart", "stop", "start")]
        for what in ("restart", "stop"):
            status, record = bench.run(what, "--message", "why", "--yes")
            assert status == (2 if any(refusals) else 0)
            if not any(refusals):
                assert (record["what"], record["status"]) == (what, "done")
        state = bench.run("status")[1]
        assert state["drift"] == []
        assert (state["running"] is None) is not any(refusals)
        assert bench.run("start")[0] == (2 if any(refusals) else 0)
        state = bench.run("status")[1]
        assert (state["running"]["version"], state["drift"], state["lock"]) == ("0.1.0", [], None)

    def test_what_another_program_started_is_adopted_replaced_and_restored(self, bench: Bench) -> None:
        """A failed deployment starts it again; a healthy one keeps it, and a rollback has a target."""
        name = bench.foreign("0.1.0")
        assert bench.run("adopt", "--name", name, "--plan")[0] == 0
        status, record = bench.run("adopt", "--name", name, "--yes", "--message", "moving")
        assert (status, record["status"], record["adopted"]["name"]) == (0, "healthy", name)
        state = bench.run("status")[1]
        assert (state["running"]["version"], state["expected"]["version"], state["drift"]) == (
            *("0.1.0", "0.1.0"),
            [],
        )
        assert bench.run("adopt", "--name", name, "--yes")[0] == 2
        assert bench.run("deploy", "--to", "0.3.0", "--yes")[0] == 3
        state = bench.run("status")[1]
        assert (state["running"]["version"], state["drift"], state["lock"]) == ("0.1.0", [], None)
        assert bench.run("deploy", "--to", "0.2.0", "--yes")[0] == 0
        state = bench.run("status")[1]
        assert (state["running"]["version"], state["drift"]) == ("0.2.0", [])
        status, record = bench.run("rollback", "--yes")
        assert (status, record["reason"], record.get("adopted")) == (0, "rollback", None)
        state = bench.run("status")[1]
        assert (state["running"]["version"], state["drift"], state["lock"]) == ("0.1.0", [], None)

    def test_every_command_works_at_the_target(self, bench: Bench) -> None:
        """Deploy, status, verify, drill, prune, converge, doctor, rollback: with the same exit statuses."""
        assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 0
        assert bench.run("deploy", "--to", "0.2.0", "--yes")[0] == 0
        status, failed = bench.run("deploy", "--to", "0.3.0", "--yes")
        assert (status, failed) == (3, None)
        status, state = bench.run("status")
        assert (status, state["drift"], state["leftovers"]) == (0, [], [])
        assert state["running"]["version"] == state["expected"]["version"] == "0.2.0"
        assert bench.run("drill", "--yes")[1]["version"] == "0.1.0"
        assert bench.run("verify")[1][0]["ready"]
        assert bench.run("prune", "--plan")[0] == 0
        assert bench.run("converge") == (0, None)
        assert all(
            each["well"]
            for each in bench.run("doctor", "--only", "deployments")[1]
            if "clock" not in each["name"]
        )
        assert bench.run("rollback", "--yes")[0] == 0
        state = bench.run("status")[1]
        assert (state["running"]["version"], state["drift"], state["lock"]) == ("0.1.0", [], None)
