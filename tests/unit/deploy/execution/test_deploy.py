"""From a plan to the record: what starts has an end there, and what serves serves without one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from release.config import Environment
from release.deploy.core import lock
from release.deploy.core.image_location import ImageLocation
from release.deploy.core.instance import InstanceSet
from release.deploy.core.place import Place
from release.deploy.core.rollout import RolloutContext
from release.deploy.environment.observe import Observation
from release.deploy.execution import deploy, run_migration
from release.deploy.execution.attempt import Done, run_attempt
from release.deploy.execution.attempt_events import AttemptEvents
from release.deploy.planning import data_changes, downgrade_command, migration_containers, policy
from release.deploy.planning.find_image import ImageSource
from release.deploy.planning.findings import Findings
from release.deploy.planning.lock_takeover import Takeover
from release.deploy.planning.migrations import MigrationPlan
from release.deploy.planning.policy import Aftermath, PolicyState
from release.deploy.planning.prepare import Prepared
from release.deploy.planning.request import Request
from release.deploy.planning.settings import DesiredSettings
from release.errors import EngineError, LedgerError, LedgerRejected, LockHeld, ReleaseError, Restored
from release.events import Event, Warned
from release.programs.cancellation import Cancellation
from release.programs.interruption import Interruption
from release.records import Body, Deployment, Draft, Run, Undoing
from release.runspec import RunSpec
from release.secrets.redact import Redacted
from release.values import replace
from tests.unit.deploy.fakes import ACTOR, release

PLACE = Place(service="api", environment="production")
TARGET = release("0.2.0")


@dataclass
class FakeLedger:
    """Keeps what it is given, unless it is told to fail at an event of this status."""

    kept: list[Draft[Body]] = field(default_factory=list)
    failing: dict[str, Exception] = field(default_factory=dict)
    withdrawn: list[str] = field(default_factory=list)

    def append_events(
        self, drafts: Sequence[Draft[Body]], *, publish: bool = True, keep: bool = True
    ) -> None:
        statuses = [draft.body.status for draft in drafts if isinstance(draft.body, Deployment)]
        for status in statuses:
            if status in self.failing:
                self.withdrawn += [] if keep else [status]
                raise self.failing[status]
        self.kept += drafts

    def look_again(self) -> None:
        if "look" in self.failing:
            raise self.failing["look"]

    @property
    def said(self) -> list[tuple[str, str]]:
        """Statuses, and what is said of the target."""
        events = [draft.body for draft in self.kept if isinstance(draft.body, Deployment)]
        return [(event.status, event.targets[0].detail if event.targets else "") for event in events]


@dataclass
class FakeTarget:
    """Rolls out like this."""

    act: Callable[[], str] = lambda: "it serves"
    name: str = "unix:///x"
    rolled_out: bool = False
    keeps_seals: bool = False

    @property
    def images(self) -> FakeTarget:
        """Each part is this object."""
        return self

    instances = rollouts = images

    def fetch(self, *_: object) -> None:
        """It is there."""

    def id_of(self, image: object) -> None:
        """Of what the lock is made."""

    def lock_store(self, image: None) -> SimpleNamespace:
        return SimpleNamespace(now=lambda: None)

    def look(self) -> InstanceSet:
        return InstanceSet(running=(), stopped=())

    def roll_out(self, order: object, means: RolloutContext) -> str:
        means.still_mine()
        self.rolled_out = True
        return self.act()


def attempt(
    ledger: FakeLedger, target: FakeTarget, why: str = "rollback", said: list[Event] | None = None
) -> AttemptEvents:
    """One that may begin: nothing stands in its way."""
    workspace = SimpleNamespace(
        ledger=ledger,
        emit=(said if said is not None else []).append,
        actor=ACTOR,
        run=lambda deployment: Run(id=deployment),
        service=SimpleNamespace(migrations=None, hooks={}, webhooks={}),
    )
    live = SimpleNamespace(
        workspace=workspace,
        target=target,
        place=PLACE,
        settings=Environment.model_validate({"health_timeout": "300ms"}),
        current=lambda: None,
        release_of=lambda _: None,
    )
    ours = InstanceSet(running=(), stopped=())
    prepared = Prepared(
        live=cast(Any, live),
        plan=cast(Any, SimpleNamespace(reason=why, strategy="stop-first", before=None)),
        found=Findings(
            request=Request(target=TARGET, reason=cast(Any, why)),
            policy=PolicyState(),
            settings=DesiredSettings(spec=RunSpec(), secrets={"TOKEN": Redacted("canary-secret")}),
            image=ImageSource(bytes=ImageLocation(where="engine")),
            observation=Observation(
                ours=ours,
                event=None,
                previous=None,
                holder=None,
                unfinished=None,
                left=None,
                running_deployment=None,
            ),
            migrations=MigrationPlan(),
            takeover=Takeover(),
        ),
        aftermath=Aftermath(place=PLACE, target=TARGET, abandoned=None, welcome=False, freeze=0, thaw=False),
        answers=True,
    )
    return AttemptEvents(prepared=prepared, deployment="0123456789ab", message="")


@pytest.fixture(autouse=True)
def _no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "read_policy", lambda *_: PolicyState())


def run(one: AttemptEvents, still_mine: Callable[[], None] = lambda: None) -> Done:
    context = RolloutContext(
        emit=one.prepared.live.workspace.emit,
        cancellation=Cancellation(),
        mask=one.prepared.mask,
        still_mine=still_mine,
    )
    return run_attempt(one, one.start(), context)


def fails(error: Exception) -> Callable[[], str]:
    def act() -> str:
        raise error

    return act


@pytest.mark.parametrize("why", ["rollback", "promote"])
def test_what_started_ends_in_the_record_whatever_the_engine_says(why: str) -> None:
    """An error before anything was touched is an end, too."""
    ledger, target = FakeLedger(), FakeTarget(act=fails(EngineError("inspect it", "canary-secret is broken")))
    with pytest.raises(EngineError):
        run(attempt(ledger, target, why))
    assert ledger.said == [("started", ""), ("failed", "*** is broken; nothing was changed")]


UNDOING = Undoing(migrations=("m/2.py",), command=("down", "1"), version="0.3.0", status="planned")
UNDONE = UNDOING.model_copy(update={"status": "done"})


@pytest.fixture
def was_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ran and did its work."""
    monkeypatch.setattr(downgrade_command, "ensure", lambda *_, **__: None)
    monkeypatch.setattr(run_migration, "run", lambda *_: None)
    monkeypatch.setattr(migration_containers, "own_outcome", lambda *_: UNDONE)


def with_down(one: AttemptEvents, down: object) -> AttemptEvents:
    """Return the attempt with a command that undoes migrations first."""
    found = replace(one.prepared.found, migrations=MigrationPlan(down=cast(Any, down)))
    return replace(one, prepared=replace(one.prepared, found=found))


@pytest.mark.usefixtures("was_undone")
@pytest.mark.parametrize(
    ("error", "then"),
    [
        (EngineError("inspect it", "it is broken"), "it is broken; what runs was not changed"),
        (Restored("deploy it", "it is sick; what ran before runs again"), None),
        (LockHeld("deploy it", "the lock was taken by"), None),
    ],
)
def test_an_end_after_migrations_were_undone_says_that_and_never_that_nothing_was_touched(
    error: ReleaseError, then: str | None
) -> None:
    """Whatever kind of error it is; the record and the message agree."""
    ledger = FakeLedger()
    one = attempt(ledger, FakeTarget(act=fails(error)))
    request = SimpleNamespace(secrets={})
    undoing = SimpleNamespace(change=UNDOING, request=request, runs_after=False)
    with pytest.raises(type(error)) as caught:
        run(with_down(one, undoing))
    assert caught.value.found == f"{data_changes.data_change_text(UNDONE)}; then: {error.found}"
    status, detail = ledger.said[-1]
    assert status == ("restored" if isinstance(error, Restored) else "failed")
    assert detail == f"{data_changes.data_change_text(UNDONE)}; then: {then or error.found}"
    ended = ledger.kept[-1].body
    assert isinstance(ended, Deployment)
    assert ended.down == UNDONE


@pytest.mark.parametrize("moment", ["look", "words"])
def test_what_started_ends_in_the_record_where_the_ledger_cannot_be_read(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last look before the rollout is a part of it."""
    ledger, target = FakeLedger(), FakeTarget()
    ledger.failing = {"look": LedgerError("read it", "damaged")} if moment == "look" else {}
    if moment == "words":
        monkeypatch.setattr(policy, "read_policy", lambda *_: fails(LedgerError("read it", "damaged"))())
    with pytest.raises(LedgerError, match="damaged"):
        run(attempt(ledger, target))
    assert ledger.said == [("started", ""), ("failed", "damaged; nothing was changed")]
    assert not target.rolled_out


def test_a_promotion_whose_start_the_server_refuses_never_was() -> None:
    """Its start is not kept for later, and the error says that nothing was changed."""
    ledger, target = FakeLedger(failing={"started": LedgerRejected("push", "declined", "ask")}), FakeTarget()
    with pytest.raises(LedgerRejected) as caught:
        run(attempt(ledger, target, "promote"))
    assert caught.value.hint == "ask; api in production was not changed"
    assert (ledger.withdrawn, ledger.said, target.rolled_out) == (["started"], [], False)


def test_a_promotion_that_cannot_be_recorded_is_told_as_such() -> None:
    """A system without memory or files is no defect of the library."""
    ledger, target = FakeLedger(failing={"started": OSError(24, "Too many open files")}), FakeTarget()
    with pytest.raises(LedgerError, match="Too many open files") as caught:
        run(attempt(ledger, target, "promote"))
    assert caught.value.hint == "api in production was not changed"
    assert not target.rolled_out


@pytest.mark.parametrize("status", ["started", "healthy"])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(24, "no file for canary-secret"), "OSError: [Errno 24] no file for ***"),
        (LedgerError("keep it", "the disk is full", "make room"), "keep it: the disk is full; make room"),
    ],
)
def test_a_rollback_that_cannot_be_recorded_is_a_rollback(
    status: str, error: Exception, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves: what is missing in the ledger is a warning, with what helps and without secrets."""
    escaped: list[object] = []
    monkeypatch.setattr(threading, "excepthook", escaped.append)
    said: list[Event] = []
    ledger = FakeLedger(failing={status: error})
    outcome = run(attempt(ledger, FakeTarget(), said=said))
    assert (outcome.evidence, outcome.record["id"], escaped) == ("it serves", None, [])
    warnings = [event.text for event in said if isinstance(event, Warned)]
    assert f"the event {status!r} is not in the ledger: {told}" in warnings


def test_the_rollout_asks_whose_the_lock_is() -> None:
    """Once before it, and then with what it is given."""
    asked: list[int] = []

    def still_mine() -> None:
        asked.append(1)
        if len(asked) > 1:
            raise LockHeld("deploy api", "the lock was taken by Grace Hopper")

    ledger, target = FakeLedger(), FakeTarget()
    with pytest.raises(ReleaseError, match="Grace Hopper"):
        run(attempt(ledger, target), still_mine)
    assert not target.rolled_out
    assert ledger.said[-1] == ("failed", "the lock was taken by Grace Hopper")


def test_a_signal_after_the_end_comes_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tells of it must not say that nothing was changed."""
    monkeypatch.setattr(deploy, "_holder", lambda *_: None)
    monkeypatch.setattr(lock, "hold_lock", lambda *_, **__: nullcontext())
    monkeypatch.setattr(lock, "ensure_held", lambda *_: None)
    for act, too_late in ((fails(EngineError("inspect it", "broken")), False), (lambda: "it serves", True)):
        interruption = Interruption()
        prepared = attempt(FakeLedger(), FakeTarget(act=act)).prepared
        with suppress(EngineError):
            deploy.carry_out(prepared, message="", interruption=interruption)
        assert interruption.too_late is too_late
