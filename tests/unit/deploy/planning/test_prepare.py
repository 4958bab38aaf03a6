"""From the words of the operator to a plan: by what runs, what was said, and who holds the lock."""

from __future__ import annotations

import pytest

from release.commands.text import plans
from release.deploy.planning.policy import Allowance
from release.deploy.planning.prepare import Prepared
from release.errors import LockHeld, NotReady
from release.records import Freeze, Quarantine
from release.values import replace
from tests.unit.deploy.scene import Scene, scene

__all__ = ["scene"]

OVER = Allowance(cross_migrations=True)


def shown(of: Prepared, label: str) -> str:
    """One row of the plan, as people see it."""
    return dict(plans.plan_rows(of.plan)).get(label, "")


def fenced(of: Scene) -> None:
    """1.4.1 and 1.4.2 were healthy; 1.5.0 has a migration more."""
    of.release("1.4.1", "1.4.2")
    of.root.write("migrations/7_orders.py")
    of.release("1.5.0")
    of.deploy("1.4.1")
    of.deploy("1.4.2")


def test_a_deployment_of_another_clone_is_what_is_left(scene: Scene) -> None:
    """From it to the target: its commits are undone, its migrations fenced, and it is set aside."""
    fenced(scene)
    scene.runs("1.5.0", "0123456789ab")
    with pytest.raises(NotReady, match=r"migrations/7_orders\.py"):
        scene.prepared("1.4.2")
    with pytest.raises(NotReady, match=r"`app down 1` cannot run: .* its settings are not known"):
        scene.prepared("1.4.2", allowed=OVER)
    prepared = scene.prepared("1.4.2", allowed=replace(OVER, down="done"))
    plan = prepared.plan
    assert prepared.down is None
    assert plan.before is not None
    assert (plan.before.version, plan.before.deployment) == ("1.5.0", "0123456789ab")
    assert (plan.before.status, plan.before.who) == ("unknown", "")
    assert (plan.changes.undone.lines, plan.changes.undone.count) == (("feat: 1.5.0",), 1)
    assert "1.5.0 is quarantined in production" in plan.then
    assert "1.4.2 is quarantined in production" not in plan.then
    assert plan.notes == (
        "`app down 1` is skipped: --down done confirms that the data already fits the older release",
        "the ledger has 1.4.2, but the engine runs: api-production (1.5.0, running)",
        (
            "this clone's ledger lacks the deployment that runs; to publish it, "
            "run `invoke sync` in the clone that made it"
        ),
    )
    assert "by a deployment that this clone does not know" in shown(prepared, "from")


@pytest.mark.parametrize("status", ["mixed", "failed", "started"])
@pytest.mark.parametrize("runs", [True, False])
def test_what_was_tried_in_vain_is_fenced_and_set_aside(scene: Scene, status: str, runs: bool) -> None:
    """Whether it still runs or nothing does; the plan shows who tried it, why, and how that ended."""
    fenced(scene)
    deployment = scene.deploy("1.5.0", status)
    if runs:
        scene.runs("1.5.0", deployment)
    with pytest.raises(NotReady, match=r"migrations/7_orders\.py"):
        scene.prepared("1.4.2")
    prepared = scene.prepared("1.4.2", allowed=OVER)
    assert prepared.plan.then[0] == "1.5.0 is quarantined in production"
    assert prepared.down is not None
    assert (prepared.down.identity.version, prepared.down.request.command) == (
        "1.5.0",
        ("app", "down", "1"),
    )
    told = shown(prepared, "from")
    how = {"mixed": "left a mixed state", "failed": "failed", "started": "interrupted"}[status]
    assert "by Ada Lovelace: why 1.5.0" in told
    assert told.endswith(f"({how})")


def test_what_is_no_release_of_this_clone_is_in_the_way_and_named(scene: Scene) -> None:
    """Its labels are a claim: it is left alone, and the message says what to do."""
    scene.release("1.4.1", "1.4.2")
    scene.deploy("1.4.1")
    scene.deploy("1.4.2")
    scene.runs("1.5.0", "0123456789ab")
    with pytest.raises(NotReady, match="the container api-production exists") as caught:
        scene.prepared("1.4.1")
    assert "docker rename api-production api-production-before" in caught.value.found
    assert scene.engine.calls == []


def test_what_has_our_labels_and_is_in_nobodys_way_is_noted_in_the_plan(scene: Scene) -> None:
    """It is left alone."""
    scene.release("1.4.1", "1.4.2")
    scene.deploy("1.4.1")
    scene.runs("1.4.2", scene.deploy("1.4.2"))
    scene.runs("1.5.0", "0123456789ab", name="their-database")
    notes = scene.prepared("1.4.1").plan.notes
    assert any(
        note.startswith("their-database (running) has the labels of api in production") for note in notes
    )


def test_an_open_freeze_is_shown_and_does_not_stop_a_rollback(scene: Scene) -> None:
    """One that lasts longer than the rollback's own stays as it is."""
    scene.release("1.4.1", "1.4.2")
    scene.deploy("1.4.1")
    scene.runs("1.4.2", scene.deploy("1.4.2"))
    scene.freeze("audit")
    prepared = scene.prepared("1.4.1")
    assert any("is frozen until `invoke thaw`: audit" in note for note in prepared.plan.notes)
    assert prepared.plan.then == ("1.4.2 is quarantined in production",)
    assert not any(isinstance(body, Freeze) for body in prepared.aftermath.bodies("0123456789ab", ""))


def test_undoing_a_rollback_leaves_a_freeze_of_a_person(scene: Scene) -> None:
    """It was there before the rollback, so it holds after it too."""
    scene.release("1.4.1", "1.4.2")
    scene.deploy("1.4.2")
    scene.runs("1.4.1", scene.deploy("1.4.1"))
    scene.freeze("audit")
    scene.say(
        Quarantine(
            release=scene.releases["1.4.2"].id,
            environment="production",
            message="rolled back",
            deployment="0123456789ab",
        )
    )
    prepared = scene.prepared("1.4.2", allowed=Allowance(quarantined=True))
    assert prepared.plan.then == ("1.4.2 is no longer quarantined in production",)


def test_a_lock_of_a_deployment_that_goes_on_stops_everybody(scene: Scene) -> None:
    """Its holder may be alive."""
    scene.release("1.4.1", "1.4.2")
    scene.deploy("1.4.1")
    scene.locked(scene.began("1.4.2"))
    with pytest.raises(LockHeld):
        scene.prepared("1.4.1")


def test_a_lock_of_a_deployment_that_has_ended_is_nobodys(scene: Scene) -> None:
    """A runner was killed after it recorded: nothing else is said to take its lock, and the plan tells it."""
    scene.release("1.4.1", "1.4.2")
    scene.deploy("1.4.1")
    began = scene.began("1.4.2")
    body = began.body.model_copy(update={"status": "healthy"})
    scene.say(body)
    scene.runs("1.4.2", began.body.deployment)
    holder = scene.locked(began)
    prepared = scene.prepared("1.4.1")
    assert prepared.found.takeover.breaks == holder
    assert prepared.plan.notes == (f"the lock is taken from {holder}, whose deployment has ended",)


def test_what_runs_as_asked_is_replaced_where_that_is_said(scene: Scene) -> None:
    """Without it, it is only looked at."""
    scene.release("1.4.1")
    scene.runs("1.4.1", scene.deploy("1.4.1"))
    assert scene.prepared("1.4.1").plan.strategy == "verify"
    plan = scene.prepared("1.4.1", allowed=Allowance(again=True)).plan
    assert plan.strategy == "stop-first"
    assert plan.notes == ("1.4.1 runs already with these settings; --again replaces it",)


def test_more_commits_than_a_plan_lists_are_counted(scene: Scene) -> None:
    """The rest is told by its true number, also in the data."""
    scene.release("1.4.1")
    tree = scene.root.git("rev-parse", "HEAD^{tree}")
    for number in range(60):
        commit = scene.root.git("commit-tree", tree, "-p", "HEAD", "-m", f"fix: {number}")
        scene.root.git("update-ref", "HEAD", commit)
    scene.release("1.4.2")
    scene.deploy("1.4.1")
    scene.runs("1.4.2", scene.deploy("1.4.2"))
    prepared = scene.prepared("1.4.1")
    plan = prepared.plan
    assert (len(plan.changes.undone.lines), plan.to_json()["undone_count"]) == (50, 61)
    assert shown(prepared, "undone").endswith("… and 46 more")


def test_a_commit_that_is_not_here_is_named_whichever_it_is(scene: Scene) -> None:
    """The older one lacks: the newer one is not called missing."""
    scene.release("1.4.2")
    scene.release("1.4.1", commit="1" * 40)
    scene.deploy("1.4.1")
    scene.runs("1.4.2", scene.deploy("1.4.2"))
    plan = scene.prepared("1.4.1", allowed=OVER).plan
    assert plan.changes.undone.lines == (f"not listed: this clone lacks {'1' * 40}",)
    assert plan.changes.undone.count is None
