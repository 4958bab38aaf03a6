"""A deployment that ended in the middle becomes one state again, however little is left of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from release import config
from release.actor import utc_now_text
from release.deploy.core import lock
from release.deploy.core.lock import Holder
from release.deploy.core.place import Identity, Place, container_spec, secrets_in
from release.deploy.core.rollout import Way
from release.deploy.environment import journal
from release.deploy.environment.environment import LiveEnvironment, Workspace
from release.deploy.execution import converge, deploy, interrupted
from release.deploy.execution.end_interrupted import ConvergeResult
from release.deploy.planning.prepare import prepare
from release.deploy.targets.engine.target import EngineRollouts, SingleEngine
from release.errors import (
    EngineError,
    LedgerError,
    LockHeld,
    MixedState,
    Restored,
    TargetUnavailable,
    UsageError,
)
from release.events import Event, Warned
from release.git.source import Source
from release.images.engine import ContainerSpec, ContainerState
from release.ledger import query
from release.programs.interruption import Interruption
from release.records import Body, Deployment, Draft, Note, Record, Release, Run
from release.reference import Digest
from release.runspec import RunSpec
from release.secrets.redact import Redacted
from release.values import replace
from tests.unit.deploy import fakes
from tests.unit.deploy.fakes import ACTOR, FakeEngine, Kept, lock_labels, state
from tests.unit.repository import ENVIRONMENT, Repository

PLACE = Place(service="api", environment="production")
FIRST, NEXT, OTHER = "f" * 11 + "1", "f" * 11 + "2", "f" * 11 + "3"
OLD, NEW = PLACE.container, PLACE.fresh(NEXT)
CANARY = "canary-5d1c7e02"


def healthy(kept: Kept) -> ContainerState:
    return replace(kept.state, status="running", health="healthy")


def sick(kept: Kept) -> ContainerState:
    """The new one ends, and says why; the old one starts as ever."""
    kept.logs = (f"cannot start with {CANARY}",)
    return replace(kept.state, status="exited", exit_code=1) if kept.state.name == NEW else healthy(kept)


class Killed(BaseException):
    """The process is gone: nothing more of it reaches the engine, or the ledger."""


@dataclass
class Mortal(FakeEngine):
    """An engine that an operator dies at: the call of that number is the last one."""

    calls_left: int = -1

    def _call(self, verb: str, name: str) -> None:
        self._live()
        super()._call(verb, name)
        self.calls_left -= 1

    def _live(self) -> None:
        if self.calls_left == 0:
            raise Killed

    def state(self, container: str) -> ContainerState | None:
        self._live()
        return super().state(container)

    def containers(self, labels: Any) -> Any:
        self._live()
        return super().containers(labels)


@dataclass
class World:
    """One service, its clones, and an engine; releases 0.1.0 and 0.2.0."""

    live: LiveEnvironment
    engine: Mortal
    said: list[Event]
    releases: dict[str, Record[Release]] = field(default_factory=dict)

    def release(self, version: str) -> None:
        draft: Draft[Body] = replace(fakes.release(version).draft(), recorded_at=utc_now_text())
        (record,) = self.live.workspace.ledger.append([draft])
        assert isinstance(record.body, Release)
        self.releases[version] = Record(envelope=record.envelope, body=record.body)

    def event(self, version: str, deployment: str, status: str, **more: Any) -> Draft[Body]:
        body = Deployment.model_validate(
            {
                "deployment": deployment,
                "environment": "production",
                "release": self.releases[version].id,
                "digest": self.releases[version].body.image.digest,
                "run_spec": RunSpec(),
                "reason": "promote",
                "status": status,
                **more,
            }
        )
        run = Run(id=deployment)
        return Draft(
            service="api", recorded_at=utc_now_text(), actor=ACTOR, run=run, tool="release", body=body
        )

    def append(self, *drafts: Draft[Body]) -> None:
        self.live.workspace.ledger.append_events(drafts)

    def container(self, version: str, deployment: str, name: str, status: str, **env: str) -> None:
        """One that a deployment made; what it was given stands in it."""
        body = self.releases[version].body
        image = Digest(body.image.digest)
        identity = Identity(
            deployment=deployment,
            version=version,
            commit=body.source.commit,
            digest=image,
            record=self.releases[version].id,
        )
        spec = container_spec(PLACE, identity, RunSpec(env=env), image=image, secrets={})
        known = state(name, image=image, status=status, health="healthy", labels=dict(spec.labels))
        self.engine.kept.append(Kept(spec=spec, state=known))

    def lock(self, started: Draft[Body] | None, **changes: Any) -> Holder:
        """A lock that somebody's dead process left, with what it was told to do."""
        told = journal.write(started) if started is not None else ""
        made = Holder.here(who="Grace", url=None, deployment=NEXT, milliseconds=1, journal=told)
        known = {"host": "laptop-7", "expires": "2026-01-01T00:00:00+00:00"}
        holder = replace(made, **{**known, **changes})
        labels = PLACE.labels(lock.LOCK) | lock_labels(holder)
        self.engine.add(state(PLACE.lock, status="created", labels=labels))
        return holder

    def converge(self, way: Way | None = None, message: str = "", **found: Any) -> ConvergeResult:
        self.live.workspace.ledger.refresh()
        seen = interrupted.find(self.live, **found)
        half_done = interrupted.examine(self.live, seen, way=way)
        assert half_done is not None
        (done,) = converge.carry_out([half_done], message=message, answers=True, interruption=Interruption())
        return done

    def bodies(self) -> list[Deployment]:
        """The deployment events that the ledger and this clone have, oldest first."""
        events = query.deployments(self.live.workspace.ledger, "api", "production")
        return [event.deployment for event in events][::-1]

    def statuses(self) -> list[tuple[str, str]]:
        """Of each the deployment and the status."""
        return [(body.deployment, body.status) for body in self.bodies()]

    def names(self) -> dict[str, str]:
        return self.engine.names()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Nothing deployed yet."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with closing(opened(tmp_path, Mortal(starting=healthy))) as live:
        world = World(live=live.live, engine=live.engine, said=live.said)
        world.release("0.1.0")
        world.release("0.2.0")
        yield world


@dataclass
class Opened:
    """A clone that is open."""

    live: LiveEnvironment
    engine: Mortal
    said: list[Event]

    def close(self) -> None:
        self.live.workspace.source.close()


def opened(root: Path, engine: Mortal, **environment: Any) -> Opened:
    Repository.init(root).commit("feat: start")
    table = {"service": "api", "smoke": {"port": 8000}, "environments": {"production": environment}}
    parsed, said = config.parse({"tool": {"release": table}}), list[Event]()
    workspace = Workspace(
        source=Source.open(root),
        config=parsed,
        service=parsed.service(None),
        environ={},
        emit=said.append,
    )
    settings = workspace.service.environment(None)[1].model_copy(update={"health_timeout": 300})
    target = SingleEngine(engine=engine, place=PLACE)
    live = LiveEnvironment(workspace=workspace, settings=settings, place=PLACE, target=target)
    return Opened(live=live, engine=engine, said=said)


def deployed(world: World) -> None:
    """0.1.0 runs and is recorded."""
    world.append(world.event("0.1.0", FIRST, "started"), world.event("0.1.0", FIRST, "healthy"))
    world.container("0.1.0", FIRST, OLD, "running")


def begun(world: World, **more: Any) -> Draft[Body]:
    """A deployment of 0.2.0 that somebody began."""
    return world.event("0.2.0", NEXT, "started", **{"previous": FIRST, **more})


def known(world: World) -> None:
    """0.2.0 ran here once: the ledger knows the settings that a rollback to it has."""
    world.append(world.event("0.2.0", "f" * 11 + "0", "healthy"))


def test_the_only_container_that_is_left_is_never_taken_away(world: World) -> None:
    """What ran before is gone; the new one turns sick: it stays, and the message says so."""
    deployed(world)
    started = begun(world)
    world.append(started)
    world.lock(started)
    world.engine.kept.pop(0)
    world.container("0.2.0", NEXT, NEW, "running")
    world.engine.starting = sick
    with pytest.raises(MixedState, match=rf"what ran before was removed; {NEW} .* was not changed"):
        world.converge()
    assert world.names() == {NEW: "exited"}
    assert world.statuses()[-1] == (NEXT, "mixed")


def test_a_signal_takes_nothing_away_where_nothing_else_is_left(world: World) -> None:
    """It runs on, and what became of it is recorded."""
    deployed(world)
    world.append(started := begun(world))
    world.lock(started)
    world.engine.kept.pop(0)
    world.container("0.2.0", NEXT, NEW, "running")
    found = interrupted.find(world.live)
    half_done = interrupted.examine(world.live, found, way=None)
    interruption = Interruption()
    interruption.cancellation.request("SIGINT arrived")
    assert half_done is not None
    with pytest.raises(MixedState, match="SIGINT arrived; what ran before was removed"):
        converge.carry_out([half_done], message="", answers=True, interruption=interruption)
    assert world.names() == {NEW: "running"}


def test_what_ran_before_is_what_the_journal_says_though_this_ledger_does_not_know_it(world: World) -> None:
    """Its events wait in a clone that is dead: it is put back all the same, and nothing is made up of it."""
    deployed(world)
    world.engine.kept.clear()
    world.container("0.1.0", OTHER, OLD, "exited")
    world.lock(begun(world, previous=OTHER))
    world.container("0.2.0", NEXT, NEW, "running")
    world.engine.starting = sick
    world.engine.stop(f"id-{NEW}", grace=0)
    done = world.converge()
    assert (done.end, world.names()) == ("restored", {OLD: "running"})
    assert f"{OLD} (0.1.0, running" in done.evidence
    (state,) = done.record["targets"]
    assert (done.record["previous"], "digest" in state) == (OTHER, False)


@pytest.mark.parametrize("previous", [None, FIRST])
def test_what_has_the_good_name_ran_before_whatever_the_journal_says(
    world: World, previous: str | None
) -> None:
    """Who began it did not know the events of who came before: their container is put back, and said."""
    deployed(world)
    world.engine.kept.clear()
    world.container("0.1.0", OTHER, OLD, "exited")
    world.engine.add(state("api-production-junk", status="created", labels=PLACE.labels("serving")))
    world.lock(begun(world, previous=previous))
    world.container("0.2.0", NEXT, NEW, "running")
    assert world.converge("revert").end == "restored"
    assert world.names() == {OLD: "running", "api-production-junk": "created"}


def test_a_rollback_sets_aside_what_its_journal_says_that_ran(world: World) -> None:
    """Not what this clone believes; where the release is not known here, that is said."""
    known(world)
    deployed(world)
    world.lock(begun(world, previous=OTHER, reason="rollback"))
    world.container("0.2.0", NEXT, NEW, "running")
    assert world.converge().end == "healthy"
    assert not query.active_quarantine(
        world.live.workspace.ledger, "api", world.releases["0.1.0"].id, "production"
    )
    warned = [event.text for event in world.said if isinstance(event, Warned)]
    assert any(f"lacks the deployment {OTHER}, " in text and "is not quarantined" in text for text in warned)


def test_what_cannot_be_undone_is_told_as_it_is(world: World) -> None:
    """Every container that is there, and the deployment that is not."""
    deployed(world)
    world.engine.kept.clear()
    world.append(started := begun(world))
    world.lock(started)
    world.container("0.2.0", NEXT, NEW, "running")
    world.container("0.1.0", OTHER, PLACE.fresh(OTHER), "exited")
    with pytest.raises(UsageError, match=f"the deployment before, {FIRST}, was removed") as caught:
        world.converge("revert")
    assert f"{NEW} (0.2.0, running, healthy), {PLACE.fresh(OTHER)}" in caught.value.found
    assert PLACE.lock in world.names()


def rolled_back(world: World) -> None:
    """The containers of a rollback that died: its start is in the lock alone."""
    known(world)
    deployed(world)
    world.lock(begun(world, reason="rollback"))
    world.engine.stop(f"id-{OLD}", grace=0)
    world.container("0.2.0", NEXT, NEW, "running")


def test_what_stops_early_keeps_the_journal(world: World) -> None:
    """The lock that had it is gone; the ledger has it, so the next one finds what is half done."""
    rolled_back(world)
    found = interrupted.find(world.live)
    half_done = interrupted.examine(world.live, found, way=None)
    assert half_done is not None
    world.engine.stop(f"id-{NEW}", grace=0)
    with pytest.raises(LockHeld, match="another deployment came first"):
        converge.carry_out([half_done], message="", answers=True, interruption=Interruption())
    assert PLACE.lock not in world.names()
    assert world.statuses()[-1] == (NEXT, "started")
    assert world.converge().end == "restored"
    assert world.names() == {OLD: "running"}
    assert world.statuses()[3:] == [(NEXT, "started"), (NEXT, "restored")]


def test_a_rollback_that_stops_early_keeps_the_journal_of_what_was_half_done(world: World) -> None:
    """It took the lock over, saw that somebody was faster, and gave it back."""
    rolled_back(world)
    target, live = world.releases["0.1.0"], world.live
    image = Digest(target.body.image.digest)
    names = (f"localhost/api:sha-{target.body.source.commit}",)
    world.engine.images = (replace(fakes.stored(image), references=names),)
    prepared = prepare(live, target, "rollback")
    world.engine.stop(f"id-{NEW}", grace=0)
    with pytest.raises(LockHeld, match="another deployment came first"):
        deploy.carry_out(prepared, message="", interruption=Interruption())
    assert PLACE.lock not in world.names()
    assert world.statuses()[-1] == (NEXT, "started")
    assert world.converge().end == "restored"


def test_an_engine_that_fails_in_the_middle_leaves_the_journal(world: World) -> None:
    """No end is made up: the next one goes on."""
    rolled_back(world)
    target = world.live.target

    class FailingRollouts(EngineRollouts, frozen=True):
        def resume(self, *_: Any) -> str:
            raise EngineError("ask the engine", "no answer")

    class Failing(SingleEngine, frozen=True):
        @property
        def rollouts(self) -> EngineRollouts:
            return FailingRollouts(engine=self.engine, place=self.place)

    live, failing = world.live, Failing(engine=world.engine, place=PLACE)
    assert isinstance(target, SingleEngine)
    with pytest.raises(EngineError):
        World(live=replace(live, target=failing), engine=world.engine, said=[]).converge()
    assert world.statuses()[-1] == (NEXT, "started")
    assert world.converge().end == "healthy"
    assert world.names() == {OLD: "running"}


def test_nothing_is_taken_away_where_somebody_else_has_the_lock_by_now(world: World) -> None:
    """An operator who converges may sleep, too: the one who came after goes on with all that is there."""
    deployed(world)
    world.append(started := begun(world))
    world.lock(started)
    world.container("0.2.0", NEXT, NEW, "running")

    def taken(kept: Kept) -> ContainerState:
        """While what ran before is looked at, somebody breaks the lock."""
        world.engine.remove(f"id-{PLACE.lock}")
        world.lock(started, expires="2999-01-01T00:00:00+00:00")
        return sick(kept)

    world.engine.kept[0].state = replace(world.engine.kept[0].state, status="exited", health="none")
    world.engine.kept[2].state = replace(world.engine.kept[2].state, status="exited")
    world.engine.starting = taken
    with pytest.raises(MixedState, match="the lock was taken by Grace"):
        world.converge("finish")
    assert world.names() == {PLACE.lock: "created", OLD: "exited", NEW: "exited"}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (LedgerError("keep it", f"{CANARY} is full", "make room"), "keep it: *** is full; make room"),
        (OSError(24, "Too many open files"), "OSError: [Errno 24] Too many open files"),
    ],
)
def test_an_end_that_cannot_be_recorded_is_an_end(
    world: World, error: Exception, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves: what is missing is a warning with what helps, and a signal from then on comes too late."""
    deployed(world)
    world.append(started := begun(world))
    world.lock(started)
    world.container("0.2.0", NEXT, NEW, "running")
    half_done = interrupted.examine(world.live, interrupted.find(world.live), way=None)
    assert half_done is not None

    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(type(world.live.workspace.ledger), "append_events", failing)
    half_done, interruption = replace(half_done, secrets=(Redacted(CANARY),)), Interruption()
    (done,) = converge.carry_out([half_done], message="", answers=True, interruption=interruption)
    assert (done.end, done.record["id"], interruption.too_late) == ("healthy", None, True)
    warnings = [each.text for each in world.said if isinstance(each, Warned)]
    assert f"the event 'healthy' is not in the ledger: {told}" in warnings
    assert world.names() == {OLD: "running"}


def test_what_somebody_ended_in_between_is_not_ended_twice(world: World) -> None:
    """The ledger is read once more under the lock."""
    rolled_back(world)
    found = interrupted.find(world.live)
    half_done = interrupted.examine(world.live, found, way=None)
    assert half_done is not None
    world.append(world.event("0.2.0", NEXT, "healthy", previous=FIRST, reason="rollback"))
    with pytest.raises(LockHeld, match="another command ended the deployment first"):
        converge.carry_out([half_done], message="", answers=True, interruption=Interruption())
    assert world.statuses().count((NEXT, "healthy")) == 1


def test_tidying_up_removes_only_the_lock_that_was_seen(world: World) -> None:
    """A deployment that began in between keeps its own."""
    deployed(world)
    world.lock(None)
    found = interrupted.find(world.live)
    assert interrupted.examine(world.live, found, way=None) is None
    world.engine.remove(PLACE.lock)
    world.lock(None, who="Lin")
    assert not interrupted.remove_lock(world.live, found, message="", answers=True)
    assert PLACE.lock in world.names()
    assert interrupted.remove_lock(world.live, interrupted.find(world.live), message="", answers=True)
    assert world.names() == {OLD: "running"}
    assert notes(world) == []


def test_a_lock_of_a_later_version_is_left_where_it_is(world: World) -> None:
    """Something may be half done: it is not understood, and that is said."""
    deployed(world)
    world.lock(None, journal='{"kind": "deployment", "schema": "9.0"}')
    with pytest.raises(TargetUnavailable, match="does not know"):
        interrupted.find(world.live)
    assert PLACE.lock in world.names()


def notes(world: World) -> list[str]:
    found = query.history(world.live.workspace.ledger, "api")
    return [record.body.text for record in found if isinstance(record.body, Note)]


IN_AN_HOUR = "2999-01-01T00:00:00+00:00"


def test_a_lock_that_is_broken_is_recorded_with_whom_it_was_taken_from(world: World) -> None:
    """In the end of what was half done; where nothing was, in a note with the reason."""
    deployed(world)
    holder = world.lock(None, expires=IN_AN_HOUR, deployment="prune")
    with pytest.raises(LockHeld) as caught:
        interrupted.find(world.live)
    assert (caught.value.attempted, "--wait" in caught.value.hint) == (f"converge {PLACE}", False)
    found = interrupted.find(world.live, break_lock=True)
    assert interrupted.remove_lock(world.live, found, message="it fell into the sea", answers=True)
    (text,) = notes(world)
    assert text == f"`invoke converge` took the lock of {PLACE} from {holder}: it fell into the sea"
    rolled_over = world.lock(started := begun(world), expires=IN_AN_HOUR)
    world.append(started)
    done = world.converge(break_lock=True, message="again")
    assert (done.end, done.record["took_lock_from"]) == ("restored", str(rolled_over))


def test_a_lock_that_expired_is_broken_by_nobody(world: World) -> None:
    """Nothing is recorded of it."""
    rolled_back(world)
    assert "took_lock_from" not in world.converge().record


def test_a_secret_that_only_the_container_has_is_masked(world: World) -> None:
    """This clone cannot read it; the new one prints it, and the message has it."""
    deployed(world)
    spec = RunSpec(secrets={"TOKEN": "key:0"})
    world.append(started := begun(world, run_spec=spec))
    world.lock(started)
    world.container("0.2.0", NEXT, NEW, "running", TOKEN=CANARY)
    world.engine.starting = sick
    with pytest.raises(Restored) as caught:
        world.converge("finish", message=f"with {CANARY}")
    assert caught.value.tail == ("cannot start with ***",)
    assert world.bodies()[-1].message == "finished by `invoke converge`: with ***"


def test_a_secret_in_a_file_is_found_too() -> None:
    """The variable beside it says where it is."""
    asked: list[str] = []

    class Filed(FakeEngine):
        def read_file(self, container: str, path: str) -> bytes | None:  # type: ignore[override]
            asked.append(path)
            return CANARY.encode()

    engine = Filed()
    engine.kept.append(
        Kept(
            spec=ContainerSpec(
                image=fakes.digest("image"), env={"TOKEN_FILE": "/run/secrets/token", "OTHER": "x"}
            ),
            state=state(NEW),
        )
    )
    assert [value.reveal() for value in secrets_in(engine, f"id-{NEW}", ["TOKEN"])] == [CANARY]
    assert asked == ["/run/secrets/token"]


def halfway(world: World, deployment: str, made: str, old: str) -> None:
    """A deployment that died: the states of its container and of what ran before; empty where it is not."""
    engine = world.engine
    engine.kept.clear()
    if old:
        world.container("0.1.0", FIRST, OLD, old)
    started = world.event("0.2.0", deployment, "started", previous=FIRST)
    world.append(started)
    world.lock(started, deployment=deployment)
    if made:
        world.container("0.2.0", deployment, PLACE.fresh(deployment), made)


def goes_on(world: World) -> None:
    """What the next one does, who is sure that the other machine is dead."""
    world.engine.calls_left = -1
    found = interrupted.find(world.live, break_lock=True)
    if found.observation.unfinished is not None:
        world.converge(break_lock=True, message="killed")
    else:
        interrupted.remove_lock(world.live, found, message="killed", answers=True)


@pytest.mark.parametrize(
    ("made", "old", "end"),
    [
        ("", "running", "restored"),
        ("created", "exited", "restored"),
        ("running", "exited", "healthy"),
    ],
)
def test_converging_that_is_killed_anywhere_is_gone_on_with_by_the_next(
    world: World, made: str, old: str, end: str
) -> None:
    """After each call to the engine: one container under the good name, one end, no lock."""
    world.append(world.event("0.1.0", FIRST, "healthy"))
    for number in range(1, 20):
        halfway(world, deployment := f"{number:012x}", made, old)
        world.engine.calls_left = number
        try:
            world.converge()
        except Killed:
            goes_on(world)
        where = (number, world.engine.calls)
        is_through, world.engine.calls_left = world.engine.calls_left >= 0, -1
        assert world.names() == {OLD: "running"}, where
        mine = [status for one, status in world.statuses() if one == deployment]
        assert mine == ["started", end], where
        if is_through:
            return
    raise AssertionError("it never came to its end")
