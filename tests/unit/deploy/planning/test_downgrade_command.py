"""The command that undoes migrations: when it runs, what came of it, and who is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from release import config
from release.deploy.core import failed_output
from release.deploy.core.instance import CommandInstance, InstanceSet
from release.deploy.core.place import Place
from release.deploy.core.rollout import RolloutContext
from release.deploy.core.target import Target
from release.deploy.environment.environment import LiveEnvironment, Workspace
from release.deploy.environment.observe import Observation
from release.deploy.execution import run_migration
from release.deploy.planning import data_changes, downgrade_command, migration_containers, migration_gate
from release.deploy.planning.data_changes import EarlierChange
from release.deploy.planning.data_command import DataCommand
from release.deploy.planning.policy import NOTHING, Allowance
from release.deploy.targets.engine.commands import command_container as made_from
from release.deploy.targets.engine.target import SingleEngine
from release.errors import (
    DeploymentFailed,
    EngineError,
    LedgerRewritten,
    LockHeld,
    NameTaken,
    ReleaseError,
    Restored,
)
from release.events import Event, Progress, Warned
from release.git.source import Source
from release.images.engine import ContainerState
from release.ledger.deployments import event_of_record
from release.migrations import Crossing
from release.programs.cancellation import Cancellation
from release.records import Body, Deployment, Draft, Record, Release, Undoing
from release.reference import Digest
from release.secrets.redact import Mask, Redacted
from release.values import replace
from tests.unit.deploy.fakes import FakeEngine, instance, state, stored
from tests.unit.deploy.fakes import command as command_container
from tests.unit.ledger import samples
from tests.unit.ledger.samples import digits, moment
from tests.unit.repository import ENVIRONMENT, Repository

PLACE = Place(service="api", environment="production")
ALEMBIC = ["alembic", "downgrade", "-{count}"]
DJANGO = ["manage.py", "migrate", "shop", "{head}"]
BACK = Crossing(undone=("m/2.py", "m/3.py"), head="m/1.py")
TO_THE_START = Crossing(undone=("m/1.py",), head="")
PLANNED = Undoing(
    migrations=BACK.undone, command=("alembic", "downgrade", "-2"), version="1.5.0", status="planned"
)
DONE = PLANNED.model_copy(update={"status": "done"})
UNCERTAIN = PLANNED.model_copy(update={"status": "uncertain"})
DEPLOYMENT = digits("rollback", 12)


@dataclass
class Machine(FakeEngine):
    """An engine whose containers can be waited for."""

    ends: int | BaseException = 0
    writes: tuple[str, ...] = ()
    """Lines of a container that is waited for."""

    def wait(  # type: ignore[override]
        self, container: str, *, timeout: int, cancellation: Cancellation
    ) -> int:
        kept = self._get(container)
        self._call("wait", kept.state.name)
        kept.logs = self.writes
        if isinstance(self.ends, BaseException):
            raise self.ends
        kept.state = replace(kept.state, status="exited", exit_code=self.ends)
        return self.ends


@dataclass
class Bench:
    """One environment whose ledger is real and whose engine is not: 1.5.0 runs."""

    workspace: Workspace
    engine: Machine
    said: list[Event]
    left: Record[Release]
    healthy: Record[Body]
    minute: int = 10
    ours: InstanceSet = field(default_factory=lambda: InstanceSet(running=(instance(),), stopped=()))

    def live(self, engine: str = "docker", **migrations: Any) -> LiveEnvironment:
        table = {
            "service": "api",
            "smoke": {"port": 8000},
            "environments": {"production": {"engine": engine}},
            "migrations": {"paths": ["m/*.py"], **migrations},
        }
        parsed = config.parse({"tool": {"release": table}})
        workspace = replace(self.workspace, config=parsed, service=parsed.service(None))
        settings = workspace.service.environments["production"]
        target: Target = SingleEngine(engine=self.engine, place=PLACE)
        return LiveEnvironment(workspace=workspace, settings=settings, place=PLACE, target=target)

    def observation(self, *, known: bool = True) -> Observation:
        """What is there; `known`: the ledger knows what runs. Where nothing does, it is what should."""
        event = event_of_record(self.healthy)
        return Observation(
            ours=self.ours,
            event=event if known else None,
            previous=event,
            holder=None,
            unfinished=None,
            left=self.left,
            running_deployment=event if known or not self.ours.running else None,
        )

    def decide(self, live: LiveEnvironment, **given: Any) -> tuple[DataCommand[Undoing] | None, str]:
        """The command, and all that speaks against it as one text."""
        known: dict[str, Any] = {
            "observation": self.observation(),
            "found": BACK,
            "allowed": NOTHING,
            "earlier": None,
        }
        what, problems = downgrade_command.decide(live, left=self.left, **(known | given))
        return what, "; ".join(map(str, problems))

    def record(self, status: str, undoing: Undoing | None = None, *, of: str = "rollback") -> None:
        """An event of an attempt, a minute after the last one."""
        self.minute += 1
        drawn = samples.event(self.left.id, status, deployment=of, at=moment(self.minute))
        assert isinstance(drawn.body, Deployment)
        self.workspace.ledger.append([replace(drawn, body=drawn.body.model_copy(update={"down": undoing}))])

    def means(self, mask: Mask | None = None) -> RolloutContext:
        return RolloutContext(emit=self.said.append, cancellation=Cancellation(), mask=mask or Mask())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A ledger in which 1.5.0 is healthy, and an engine that has its image."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    Repository.init(tmp_path).commit("feat: start", **{"m/1.py": ""})
    parsed = config.parse({"tool": {"release": {"service": "api", "smoke": {"port": 8000}}}})
    said: list[Event] = []
    with closing(Source.open(tmp_path)) as source:
        commit = source.head().id
        workspace = Workspace(
            source=source, config=parsed, service=parsed.service(None), environ={}, emit=said.append
        )
        draft: Draft[Body] = samples.release("1.5.0", commit=commit, at=moment(1))
        (made,) = workspace.ledger.append([draft])
        assert isinstance(made.body, Release)
        left = Record(envelope=made.envelope, body=made.body)
        (healthy,) = workspace.ledger.append([samples.event(made, at=moment(2))])
        engine = Machine(images=(stored(Digest(left.body.image.digest)),))
        yield Bench(workspace=workspace, engine=engine, said=said, left=left, healthy=healthy)


# --- whether it runs


def test_it_runs_in_the_newer_image_and_the_plan_says_so(bench: Bench) -> None:
    """Without ports, labels and names of what serves."""
    what, problems = bench.decide(bench.live(down=ALEMBIC, timeout="30m"))
    assert what is not None
    assert problems == ""
    assert what.change == PLANNED
    container = made_from(bench.engine, what.request)
    assert (container.publish, container.restart, container.aliases) == ((), "no", ())
    assert (what.request.command, what.request.entrypoint) == (("alembic", "downgrade", "-2"), "replace")
    image = f"localhost/api@{bench.left.body.image.digest}"
    first = what.shown
    assert (first.command, first.version, first.image, first.timeout) == (
        ("alembic", "downgrade", "-2"),
        "1.5.0",
        image,
        1_800_000,
    )


def test_the_entrypoint_can_be_kept(bench: Bench) -> None:
    """As for an image whose ENTRYPOINT prepares what the command needs."""
    what, _ = bench.decide(bench.live(down=ALEMBIC, entrypoint="keep"))
    assert what is not None
    assert what.request.entrypoint == "keep"


@pytest.mark.parametrize("given", [{"found": None}, {"found": Crossing(added=("m/4.py",))}])
def test_where_nothing_is_undone_nothing_runs(bench: Bench, given: dict[str, Any]) -> None:
    """Nothing lies between, or the target brings more."""
    assert bench.decide(bench.live(down=ALEMBIC), **given) == (None, "")


def test_the_word_done_runs_nothing_and_asks_for_nothing(bench: Bench) -> None:
    """Also where it could not run."""
    live, said = bench.live(down=DJANGO), Allowance(down="done")
    assert bench.decide(
        live, found=TO_THE_START, allowed=said, observation=bench.observation(known=False)
    ) == (None, "")


def test_beside_something_unknown_it_is_refused(bench: Bench) -> None:
    """Nobody knows with which settings; the way out is told."""
    what, problems = bench.decide(bench.live(down=ALEMBIC), observation=bench.observation(known=False))
    assert what is None
    assert "`alembic downgrade -2` cannot run: the ledger does not have the running deployment" in problems
    assert "so its settings are not known; --down done" in problems


def test_the_settings_of_another_release_are_none_of_its_own(bench: Bench) -> None:
    """Where the release that was tried last is not known, its settings are not those of the one before."""
    event = event_of_record(bench.healthy)
    other = replace(event, deployment=event.deployment.model_copy(update={"release": "f" * 64}))
    what, problems = bench.decide(
        bench.live(down=ALEMBIC), observation=replace(bench.observation(), running_deployment=other)
    )
    assert what is None
    assert "so its settings are not known" in problems


def test_where_nothing_runs_it_has_the_settings_of_what_should(bench: Bench) -> None:
    """A service that ended by itself is a reason to go back."""
    bench.ours = InstanceSet(running=(), stopped=(instance(status="exited"),))
    what, problems = bench.decide(bench.live(down=ALEMBIC), observation=bench.observation(known=False))
    assert what is not None
    assert problems == ""
    assert what.request.spec.env["LOG_LEVEL"] == "info"


def test_an_image_that_is_not_there_is_found_before_anything_is_touched(bench: Bench) -> None:
    """By its digest, so that it can be pulled."""
    bench.engine.images = ()
    what, problems = bench.decide(bench.live(down=ALEMBIC))
    assert what is None
    missing = f"the engine does not have the image localhost/api@{bench.left.body.image.digest}"
    assert f"`alembic downgrade -2` of 1.5.0 cannot run: {missing}" in problems


def test_a_target_without_any_migration_has_no_head(bench: Bench) -> None:
    """Refused, unless the configuration says what the command calls that; a count needs no head."""
    what, problems = bench.decide(bench.live(down=DJANGO), found=TO_THE_START)
    assert what is None
    assert "Set migrations.base" in problems
    for settings, command in (
        ({"down": DJANGO, "base": "zero"}, ("manage.py", "migrate", "shop", "zero")),
        ({"down": ALEMBIC}, ("alembic", "downgrade", "-1")),
    ):
        what, problems = bench.decide(bench.live(**settings), found=TO_THE_START)
        assert what is not None
        assert (what.change.command, problems) == (command, "")


def test_what_was_undone_is_undone_again_only_with_a_word(bench: Bench) -> None:
    """The refusal says by whom it was, and both ways on."""
    before, live = EarlierChange(attempt="the rollback 1 by Grace", change=DONE), bench.live(down=ALEMBIC)
    what, problems = bench.decide(live, earlier=before)
    assert what is None
    assert "2 migrations of 1.5.0 undone by `alembic downgrade -2` (m/2.py, m/3.py)" in problems
    assert "the rollback 1 by Grace" in problems
    assert "--down done rolls back without `alembic downgrade -2`" in problems
    what, problems = bench.decide(live, earlier=before, allowed=Allowance(down="again"))
    assert what is not None
    assert problems == ""


# --- while it runs


def run(bench: Bench, **changes: Any) -> None:
    what, _ = bench.decide(bench.live(down=ALEMBIC))
    assert what is not None
    run_migration.run(bench.live(down=ALEMBIC), what, DEPLOYMENT, replace(bench.means(), **changes))


NAME = f"api-production-{DEPLOYMENT}-down"


def test_its_container_says_whose_it_is_and_stays(bench: Bench) -> None:
    """Deployment, version, commit and digest: whoever comes after a crash finds all of it."""
    run(bench)
    assert bench.engine.names() == {NAME: "exited"}
    (kept,) = bench.engine.kept
    assert kept.state.labels == {
        **PLACE.labels("migration"),
        "release.deployment": DEPLOYMENT,
        "release.version": "1.5.0",
        "release.commit": bench.left.body.source.commit,
        "release.digest": bench.left.body.image.digest,
        "release.record": bench.left.id,
    }
    assert came_of(bench) == DONE


def came_of(bench: Bench) -> Undoing | None:
    return migration_containers.own_outcome(bench.live(), DEPLOYMENT, PLANNED)


@pytest.mark.parametrize("ends", [1, TimeoutError(), EngineError("wait", "no answer")])
def test_one_that_did_not_end_well_may_have_done_a_part(bench: Bench, ends: int | BaseException) -> None:
    """It is stopped, and the error has its last lines, says where to look, and names both ways on."""
    bench.engine.ends, bench.engine.writes = ends, ("begin", "row 1")
    with pytest.raises(DeploymentFailed, match="what runs was not changed") as caught:
        run(bench)
    assert caught.value.tail == ("begin", "row 1")
    if isinstance(ends, TimeoutError):
        assert caught.value.found.startswith("it did not end within 600 s; ")
    for part in ("a part may be undone", "--down again", "--down done"):
        assert part in caught.value.hint
    kept = "release-failed-api-production"
    assert bench.engine.names() == {NAME: "exited", kept: "created"}
    assert came_of(bench) is not None
    if ends != 1:
        assert bench.engine.calls[-2:] == [f"stop {NAME}", f"create {kept}"]


def test_the_output_of_one_that_failed_is_kept_without_secrets(bench: Bench) -> None:
    """Until the next deployment; the notice says how to see it."""
    bench.engine.ends, bench.engine.writes = 1, ("begin", "with canary")
    with pytest.raises(DeploymentFailed):
        run(bench, mask=Mask([Redacted("canary")]))
    (kept,) = [each for each in bench.engine.kept if each.state.name != NAME]
    found = failed_output.parsed(PLACE, kept.spec.files[0].content, "")
    assert (found.deployment, found.version) == (DEPLOYMENT, "1.5.0")
    assert [(line.source.process, line.text) for line in found.lines] == [
        ("down", "begin"),
        ("down", "with ***"),
    ]
    assert "logs --failed" in str(bench.said[-2])


def test_output_that_cannot_be_kept_is_only_a_warning(bench: Bench) -> None:
    """The command's own failure is what is raised."""
    bench.engine.ends, bench.engine.writes = 1, ("begin",)
    bench.engine.breaking = {"create release-failed-api-production": EngineError("create it", "disk full")}
    with pytest.raises(DeploymentFailed, match="exit status 1"):
        run(bench)
    assert "the output of the command is not kept: create it: disk full" in str(bench.said[-2])


def test_one_that_cannot_be_stopped_may_still_run(bench: Bench) -> None:
    """That is said, for it goes on changing the data."""
    bench.engine.ends = TimeoutError()
    bench.engine.breaking = {f"stop {NAME}": EngineError("stop it", "no answer")}
    with pytest.raises(DeploymentFailed, match="it may still run"):
        run(bench)
    assert came_of(bench) == UNCERTAIN


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("create", NameTaken("create it", "it exists", "docker rm -f it")),
        ("create", EngineError("create it", "no such image", "docker pull it")),
        ("start", EngineError("start it", "no such program", "mend the command")),
    ],
)
def test_one_that_never_began_keeps_the_engines_hint(bench: Bench, call: str, error: EngineError) -> None:
    """The data was not touched, so nobody has to look at it."""
    bench.engine.breaking = {f"{call} {NAME}": error}
    with pytest.raises(DeploymentFailed, match="nothing was changed") as caught:
        run(bench)
    assert caught.value.hint == error.hint
    assert came_of(bench) is None


def test_what_it_wrote_is_told_and_no_reason_to_fail(bench: Bench) -> None:
    """Where it cannot be read, that is told instead."""

    def silent(container: str, *, lines: int, **_: object) -> tuple[str, ...]:
        raise EngineError("read it", "no answer")

    bench.engine.logs = silent  # type: ignore[method-assign]
    run(bench)
    assert [each.text for each in bench.said if isinstance(each, Progress)] == ["cannot read it: no answer"]


# --- afterwards


@pytest.mark.parametrize(
    "error",
    [
        Restored("deploy", "it is sick; what ran before runs again", "read the lines above", ("last",)),
        DeploymentFailed("deploy", "no such network; nothing was changed", "make it"),
        LockHeld("deploy", "the lock was removed", "nothing was changed"),
        EngineError("inspect it", "it is broken", "mend it"),
        LedgerRewritten("read it", "it was rewound", "look", seen="a", now=None),
    ],
)
def test_what_fails_after_it_says_first_what_became_of_the_data(error: ReleaseError) -> None:
    """The same error otherwise, with its status and its last lines."""
    with pytest.raises(type(error)) as caught, data_changes.data_first(PLANNED):
        raise error
    told = caught.value
    assert told.found == f"{data_changes.data_change_text(DONE)}; then: {error.found}"
    assert told.hint.startswith("the data may be older than 1.5.0: apply its migrations again")
    assert told.hint.endswith(error.hint)
    assert (told.exit_code, getattr(told, "tail", ())) == (error.exit_code, getattr(error, "tail", ()))


def container(status: str, exit_code: int = 0) -> CommandInstance:
    labels = PLACE.labels("migration") | {"release.deployment": DEPLOYMENT, "release.version": "1.5.0"}
    return command_container(NAME, status=status, exit_code=exit_code, labels=labels)


@pytest.mark.parametrize(
    ("there", "locked", "expected"),
    [
        ((container("exited"),), True, DONE),
        ((container("exited", 1),), True, UNCERTAIN),
        ((container("running"),), True, UNCERTAIN),
        ((container("created"),), False, None),
        ((), True, None),
        ((), False, UNCERTAIN),
    ],
)
def test_its_container_tells_what_came_of_it(
    there: tuple[CommandInstance, ...], locked: bool, expected: Undoing | None
) -> None:
    """One that is gone says nothing, unless the lock stands: then it was never there."""
    assert migration_containers.outcome(there, DEPLOYMENT, PLANNED, locked=locked) == expected
    assert migration_containers.outcome(there, DEPLOYMENT, None, locked=locked) is None


def test_what_ran_is_recorded_as_the_engine_tells_it() -> None:
    """The program and its words, whatever was asked for."""
    there = replace(container("exited"), argv=("/bin/sh", "/srv/run.sh", "alembic"))
    found = migration_containers.outcome((there,), DEPLOYMENT, PLANNED, locked=True)
    assert found == DONE.model_copy(update={"ran": ("/bin/sh", "/srv/run.sh", "alembic")})


def test_one_that_works_stops_everybody(bench: Bench) -> None:
    """With its name, and what to do; one that ended does not."""
    (problem,) = migration_containers.still_running(bench.live(), (container("running"), container("exited")))
    assert f"{NAME} (1.5.0, running) still undoes migrations: wait for it: `docker wait {NAME}`" in str(
        problem
    )


def earlier(bench: Bench, *there: CommandInstance) -> str:
    return str(data_changes.earlier_change(bench.live(), there, None, locked=False) or "")


@pytest.mark.parametrize("end", ["restored", "failed", "mixed"])
def test_it_is_remembered_until_something_is_healthy(bench: Bench, end: str) -> None:
    """In every clone: it stands in the ledger."""
    assert earlier(bench) == ""
    bench.record("started", PLANNED)
    bench.record(end, DONE)
    bench.record("failed", of="another")
    assert earlier(bench).startswith(
        f"{data_changes.data_change_text(DONE)} by the deployment {DEPLOYMENT} by Ada Lovelace"
    )
    bench.record("healthy", of="third")
    assert earlier(bench) == ""


def test_an_attempt_that_planned_it_and_never_began_is_not_remembered(bench: Bench) -> None:
    """Its end says nothing of it."""
    bench.record("started", PLANNED)
    bench.record("failed")
    assert earlier(bench) == ""


def test_of_an_attempt_that_never_ended_the_container_knows(bench: Bench) -> None:
    """And without one, nobody does."""
    bench.record("started", PLANNED)
    assert earlier(bench, container("exited")).startswith(data_changes.data_change_text(DONE))
    assert earlier(bench).startswith(data_changes.data_change_text(UNCERTAIN))
    assert earlier(bench, container("created")) == ""


def test_a_container_of_which_the_ledger_knows_nothing_is_remembered_too(bench: Bench) -> None:
    """Another clone could not publish its events; that one of them is here decides by itself."""
    assert "migrations of 1.5.0 undone by the deployment" in earlier(bench, container("exited"))
    assert "migrations of 1.5.0 perhaps undone" in earlier(bench, container("exited", 1))
    assert earlier(bench, container("created")) == ""
    bench.record("failed")
    assert earlier(bench, container("exited")) == ""


def test_who_waited_for_the_lock_does_not_undo_what_was_undone_meanwhile(bench: Bench) -> None:
    """Neither the plan nor what serves tells of it; the own start is no stranger."""
    live, observation = bench.live(down=ALEMBIC), bench.observation()
    bench.record("started", PLANNED, of="own")
    downgrade_command.ensure(live, observation, digits("own", 12), None, answers=True)
    bench.record("started", PLANNED)
    bench.record("restored", DONE)
    with pytest.raises(LockHeld, match="the plan is out of date: 2 migrations") as caught:
        downgrade_command.ensure(live, observation, digits("own", 12), None, answers=True)
    assert "nothing was changed" in caught.value.hint
    before = data_changes.earlier_change(live, (), None, locked=False)
    downgrade_command.ensure(live, observation, digits("own", 12), before, answers=True)
    bench.engine.add(undoer(bench, DEPLOYMENT, "running"))
    with pytest.raises(LockHeld, match="still undoes migrations"):
        downgrade_command.ensure(live, observation, digits("own", 12), before, answers=True)


def undoer(bench: Bench, deployment: str, status: str, name: str = "") -> ContainerState:
    """A container of the command, in the image of the release that is undone."""
    image = Digest(bench.left.body.image.digest)
    labels = PLACE.labels("migration") | {"release.deployment": deployment, "release.version": "1.5.0"}
    return state(name or f"api-production-{deployment}-down", status=status, image=image, labels=labels)


@pytest.mark.attack(
    "another user runs an image that has the labels of a command that undoes migrations",
    "its name and its image are not those of a deployment: it blocks nothing and is not removed",
)
def test_what_only_has_the_labels_of_the_command_is_left_alone(bench: Bench) -> None:
    """It neither counts as at work nor as what undid migrations; the status names it."""
    bench.engine.add(undoer(bench, "1", "running", name="their-database"))
    bench.engine.add(replace(undoer(bench, "2", "exited"), image=Digest(f"sha256:{digits('other')}")))
    live, there = bench.live(), dict(bench.engine.names())
    mine, others = migration_containers.find_all(live)
    assert (mine, len(others)) == ((), 2)
    migration_containers.remove_ended(live)
    assert bench.engine.names() == there


def test_tidying_leaves_what_works_and_what_is_anothers(bench: Bench) -> None:
    """Without a deployment all that ended go; a failure is a warning."""
    for number, status in enumerate(("running", "exited", "exited")):
        bench.engine.add(undoer(bench, str(number), status))
    names = [f"api-production-{number}-down" for number in range(3)]
    migration_containers.remove_ended(bench.live(), "1")
    assert bench.engine.names() == {names[0]: "running", names[2]: "exited"}
    migration_containers.remove_ended(bench.live())
    assert bench.engine.names() == {names[0]: "running"}
    bench.engine.add(undoer(bench, "3", "exited"))
    bench.engine.breaking = {"remove api-production-3-down": EngineError("remove it", "no answer")}
    migration_containers.remove_ended(bench.live())
    assert [type(each) for each in bench.said] == [Warned]


# --- the patterns


def test_patterns_that_match_nothing_are_told_of_the_releases_at_hand(bench: Bench) -> None:
    """Not where a commit is not here: nobody knows then."""
    assert migration_gate.unmatched_patterns(bench.live(), bench.left, None) == ()
    (said,) = migration_gate.unmatched_patterns(bench.live(paths=["migration/*.py"]), bench.left)
    assert said.startswith("migrations.paths: 'migration/*.py' matches no file")
    foreign = bench.left.body.source.model_copy(update={"commit": "f" * 40})
    gone = replace(bench.left, body=bench.left.body.model_copy(update={"source": foreign}))
    assert migration_gate.unmatched_patterns(bench.live(paths=["migration/*.py"]), bench.left, gone) == ()
