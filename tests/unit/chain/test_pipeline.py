"""The order of the stages, what runs at the same time, and what a failure does to the others."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from release.chain import pipeline
from release.chain.pipeline import GATES, STAGES, Stage, run_stages, stages_needed_for
from release.chain.plan import Options, make_plan
from release.chain.run_folder import RunFolder
from release.chain.stage_cache import CachedResult, Product, ReusePolicy
from release.chain.stage_context import StageContext
from release.errors import Cancelled, GateFailed
from release.events import Event, Failed, Finished, Notice, Started
from release.records import Actor, Run
from release.values import replace
from tests.unit.chain.test_plan import SERVICE, facts


@dataclass(frozen=True)
class Made:
    """A stage's product."""

    summary: str = "made"
    evidence: bytes = b"seen"


def refuse() -> Any:
    raise AssertionError("these stages need neither engine nor ledger")


def ctx(tmp_path: Path, events: list[Event], **more: Any) -> StageContext:
    return StageContext(
        plan=make_plan(SERVICE, facts(), Options(), several=False),
        source=SimpleNamespace(git_dir=tmp_path / "git"),  # type: ignore[arg-type]  # for the clone's key alone
        run_folder=RunFolder.create(tmp_path),
        actor=Actor(name="a", email="a@b"),
        run=Run(id="run"),
        emit=events.append,
        **{"open_engine": refuse, "open_ledger": refuse, **more},
    )


def stage(name: str, *after: str, action: Callable[[StageContext], Product] = lambda ctx: Made()) -> Stage:
    return Stage(name=name, after=after, action=action)


def test_the_chain_reads_as_it_is_documented() -> None:
    """lock, lint and build start together; test, smoke and push follow the build; then the commit point."""
    assert {each.name: each.after for each in STAGES} == {
        "lock": (),
        "lint": (),
        "build": (),
        "test": ("build",),
        "smoke": ("build",),
        "push": ("build",),
        "installed": ("build",),
        "audit": ("installed",),
        "record": ("lock", "lint", "test", "smoke", "installed", "audit", "push"),
        "promote": ("record",),
    }


def test_a_stage_brings_those_before_it() -> None:
    """`nox -s smoke` builds first, and does not lint."""
    assert [each.name for each in stages_needed_for(["smoke"])] == ["build", "smoke"]


def test_the_gates_push_nothing_and_record_nothing() -> None:
    """`nox -s check` is safe for a pull request."""
    expected = {"lock", "lint", "build", "test", "smoke", "installed", "audit"}
    assert {each.name for each in stages_needed_for(GATES)} == expected


def test_gates_run_one_after_the_other_where_that_is_asked_for(tmp_path: Path) -> None:
    """With `parallel = false`: in the order of the chain, and nothing begins while another runs."""
    events: list[Event] = []
    one = ctx(tmp_path, events)
    service = SERVICE.model_copy(update={"parallel": False})
    one = replace(one, plan=replace(one.plan, service=service))
    run_stages(one, [stage("a"), stage("b"), stage("c", "a"), stage("d")])
    order = [(type(event), event.name) for event in events if isinstance(event, Started | Finished)]
    assert order == [(kind, name) for name in "abcd" for kind in (Started, Finished)]


def test_independent_stages_run_at_the_same_time(tmp_path: Path) -> None:
    """Each of two stages waits for the other to have started."""
    meeting = threading.Barrier(2, timeout=10)

    def meet(ctx: StageContext) -> Made:
        meeting.wait()
        return Made()

    events: list[Event] = []
    run_stages(ctx(tmp_path, events), [stage("left", action=meet), stage("right", action=meet)])
    assert [type(event) for event in events[:2]] == [Started, Started]


def test_a_stage_starts_after_those_it_needs(tmp_path: Path) -> None:
    """Its start comes after their end."""
    events: list[Event] = []
    run_stages(ctx(tmp_path, events), [stage("second", "first"), stage("first")])
    assert [(type(event), getattr(event, "name", "")) for event in events] == [
        (Started, "first"),
        (Finished, "first"),
        (Started, "second"),
        (Finished, "second"),
    ]


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (OSError(28, "No space left on device"), "free disk space for "),
        (PermissionError(13, "Permission denied", "/etc/x"), "check the owner: ls -l /etc/x, "),
        (OSError(24, "Too many open files"), "check what this machine lacks: "),
    ],
)
def test_trouble_of_the_machine_is_told_with_what_to_look_at(
    tmp_path: Path, error: OSError, hint: str
) -> None:
    """A file where one is named; the stage fails as by any other trouble."""

    def fail(_: StageContext) -> Made:
        raise error

    with pytest.raises(GateFailed) as caught:
        run_stages(ctx(tmp_path, []), [stage("lint", action=fail)])
    assert caught.value.hint.startswith(hint)
    assert caught.value.hint.endswith("then run it again")


def test_a_failing_gate_stops_the_others(tmp_path: Path) -> None:
    """What runs is cancelled, what waits never starts, and the first failure is the one that is raised."""
    running = threading.Event()

    def slow(ctx: StageContext) -> Made:
        stopped = threading.Event()
        with ctx.cancellation.stopping(stopped.set):
            running.set()
            assert stopped.wait(10)
        ctx.cancellation.check()
        return Made()

    def fail(ctx: StageContext) -> Made:
        assert running.wait(10)
        raise GateFailed("fail", "it is wrong")

    events: list[Event] = []
    with pytest.raises(GateFailed, match="it is wrong"):
        run_stages(
            ctx(tmp_path, events),
            [stage("slow", action=slow), stage("fail", action=fail), stage("never", "slow")],
        )
    failures = {event.name: event.summary for event in events if isinstance(event, Failed)}
    assert failures == {"slow": "stopped", "fail": "failed"}
    assert Started(name="never") not in events


def test_the_stage_that_is_red_is_the_one_that_is_named(tmp_path: Path) -> None:
    """What two stages share, as the build context, fails in the one that asked; its log says so, once."""

    def fails(_: StageContext) -> Product:
        raise GateFailed("build", "a file is kept by Git LFS", "commit it", ["the end"])

    events: list[Event] = []
    made = ctx(tmp_path, events)
    with pytest.raises(GateFailed) as failed:
        run_stages(made, (stage("build"), stage("test", "build", action=fails)))
    error = failed.value
    assert (error.stage, error.attempted) == ("test", "pass the gate 'test'")
    assert (error.found, error.hint, error.tail) == ("a file is kept by Git LFS", "commit it", ("the end",))
    assert [event.name for event in events if isinstance(event, Failed)] == ["test"]
    log = made.run_folder.log_path("test").read_text()
    assert log.count("cannot pass the gate 'test'") == 1
    assert "'build'" not in log


def test_an_interruption_stops_the_stages(tmp_path: Path) -> None:
    """Ctrl-C during the chain cancels what runs and is raised again."""
    made = ctx(tmp_path, [])

    def interrupted(ctx: StageContext) -> Made:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stages(made, [stage("one", action=interrupted)])
    with pytest.raises(Cancelled, match="interrupted"):
        made.cancellation.check()


def test_each_stage_leaves_a_gate_with_its_evidence(tmp_path: Path) -> None:
    """Name, time and the hash of what it saw."""
    made = ctx(tmp_path, [])
    run_stages(made, [stage("one")])
    (gate,) = made.gates
    assert (gate.name, gate.status, len(gate.evidence_sha256)) == ("one", "passed", 64)


def test_the_stages_leave_their_times(tmp_path: Path) -> None:
    """`stages.jsonl` in the run's folder: what began and ended, in order."""
    made = ctx(tmp_path, [])
    run_stages(made, [stage("second", "first"), stage("first")])
    lines = (made.run_folder.path / "stages.jsonl").read_text().splitlines()
    notes = [json.loads(line) for line in lines]
    assert [(note["stage"], note["event"]) for note in notes] == [
        ("first", "started"),
        ("first", "passed"),
        ("second", "started"),
        ("second", "passed"),
    ]
    assert [note["at"] for note in notes] == sorted(note["at"] for note in notes)


class Counted:
    """A stage that counts how often it runs, and can be spared."""

    def __init__(self, **inputs: Any) -> None:
        self.inputs: dict[str, Any] | None = inputs
        self.ran = 0
        self.restored: Made | None = Made(summary="made before")

    def action(self, ctx: StageContext) -> Made:
        self.ran += 1
        return Made()

    def restore(self, ctx: StageContext, passed: CachedResult) -> Made | None:
        return self.restored

    @property
    def stage(self) -> Stage:
        reuse = ReusePolicy(inputs=lambda _: self.inputs, to_data=lambda _, __: {}, restore=self.restore)
        return Stage(name="one", action=self.action, reuse=reuse)


ONE = frozenset({"one"})


def test_a_stage_that_passed_on_the_same_inputs_is_spared(tmp_path: Path) -> None:
    """The second run takes the first one's evidence, with its time, and says whose it is."""
    counted, events = Counted(files="a"), list[Event]()
    first, second = ctx(tmp_path, []), ctx(tmp_path, events, reusable=ONE)
    run_stages(first, [counted.stage])
    run_stages(second, [counted.stage])
    assert counted.ran == 1
    assert second.gates == [first.gates[0].model_copy(update={"run": first.run_folder.id})]
    assert second.products.get(Made) == Made(summary="made before")
    (finished,) = [event for event in events if isinstance(event, Finished)]
    assert (
        f"reused: passed at {first.gates[0].started[11:19]}Z in run {first.run_folder.id}" in finished.summary
    )


def test_a_stage_runs_when_its_inputs_have_changed(tmp_path: Path) -> None:
    """Another hash is another question."""
    counted = Counted(files="a")
    run_stages(ctx(tmp_path, []), [counted.stage])
    counted.inputs = {"files": "b"}
    run_stages(ctx(tmp_path, [], reusable=ONE), [counted.stage])
    assert counted.ran == 2


def test_a_stage_runs_when_nothing_may_be_used_again(tmp_path: Path) -> None:
    """`--no-reuse`, and a stage that was asked for by name."""
    counted = Counted(files="a")
    run_stages(ctx(tmp_path, []), [counted.stage])
    run_stages(ctx(tmp_path, []), [counted.stage])
    assert counted.ran == 2


def test_a_stage_runs_when_its_product_cannot_be_taken_up(tmp_path: Path) -> None:
    """The image is gone from the engine: what was seen of it proves nothing any more."""
    counted = Counted(files="a")
    run_stages(ctx(tmp_path, []), [counted.stage])
    counted.restored = None
    run_stages(ctx(tmp_path, [], reusable=ONE), [counted.stage])
    assert counted.ran == 2


def test_a_stage_without_a_key_runs_every_time(tmp_path: Path) -> None:
    """As a build that was told to use no cache."""
    counted = Counted()
    counted.inputs = None
    for _ in range(2):
        run_stages(ctx(tmp_path, [], reusable=ONE), [counted.stage])
    assert counted.ran == 2


def test_a_stage_that_failed_is_not_remembered(tmp_path: Path) -> None:
    """Only a pass is kept."""
    counted = Counted(files="a")

    def fail(ctx: StageContext) -> Made:
        raise GateFailed("one", "it is wrong")

    failing = replace(counted.stage, action=fail)
    with pytest.raises(GateFailed):
        run_stages(ctx(tmp_path, []), [failing])
    run_stages(ctx(tmp_path, [], reusable=ONE), [counted.stage])
    assert counted.ran == 1


def test_a_pass_that_cannot_be_kept_is_no_failure(tmp_path: Path) -> None:
    """A full disk: the stage has passed, and will run again the next time."""
    counted, made = Counted(files="a"), ctx(tmp_path, [])
    (made.run_folder.release_folder / "passed").write_text("in the way")
    run_stages(made, [counted.stage])
    assert [gate.name for gate in made.gates] == ["one"]


@pytest.mark.attack(
    "Files in .release/passed come from another clone, as a CI cache brings them",
    "They are ignored, one line says so, and the gates run",
)
def test_passes_of_another_clone_are_told_once_and_not_used(tmp_path: Path) -> None:
    """Two stages have one each; the key of this clone is another one."""
    events: list[Event] = []
    stages = [Counted(files="a"), Counted(files="b")]
    pair = [replace(each.stage, name=name) for each, name in zip(stages, ("one", "two"), strict=True)]
    run_stages(ctx(tmp_path, []), pair)
    (tmp_path / "git" / "release" / "key").unlink()
    run_stages(ctx(tmp_path, events, reusable=frozenset({"one", "two"})), pair)
    assert [each.ran for each in stages] == [2, 2]
    told = [event.text for event in events if isinstance(event, Notice)]
    assert len(told) == 1
    assert "passed are ignored: its seal is wrong" in told[0]


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    """The gates run and nothing is kept; the line says what to do."""
    counted, events = Counted(files="a"), list[Event]()
    run_stages(ctx(tmp_path, []), [counted.stage])
    (tmp_path / "git" / "release" / "key").chmod(0o644)
    run_stages(ctx(tmp_path, events, reusable=ONE), [counted.stage])
    assert counted.ran == 2
    (told,) = [event.text for event in events if isinstance(event, Notice)]
    assert "other users may read or write it (mode 0644)" in told


def test_a_stage_that_is_switched_off_holds_up_no_other(tmp_path: Path) -> None:
    """It does not run, and leaves no gate in the record."""
    one = ctx(tmp_path, [])
    first = Stage(name="first", action=lambda ctx: Made(), applies=lambda _: False)
    run_stages(one, [first, stage("second", "first")])
    assert [gate.name for gate in one.gates] == ["second"]


def test_the_result_is_handed_on_before_the_cache_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else this would wait for ever; a failed run writes none."""
    handed_on, exported = threading.Event(), list[bool]()
    monkeypatch.setattr(pipeline, "export_cache", lambda _: exported.append(handed_on.wait(20)))
    run_stages(ctx(tmp_path, []), [stage("one")], handed_on.set)
    assert exported == [True]

    def fails(_: object) -> Made:
        raise GateFailed("two", "no", "")

    with pytest.raises(GateFailed):
        run_stages(ctx(tmp_path, []), [stage("two", action=fails)], handed_on.set)
    assert exported == [True]
