"""Operations on what runs: found, checked, carried out under the lock, and recorded with who and why.

An operation has a record of its start and one of its end. If its operator dies in between, the lock ends, the
status shows the operation, and the next one records its end.
"""

from __future__ import annotations

import secrets as randomness
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from release.deploy.core import lock
from release.deploy.core.instance import Instance
from release.deploy.core.lock import Holder
from release.deploy.core.lock_store import LockStore
from release.deploy.core.operations import OperationContext
from release.deploy.core.place import describe, process_of
from release.deploy.core.steps import elapsed_ms, reason
from release.deploy.environment import identify, journal
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.observe import running_event
from release.deploy.execution import recording
from release.deploy.execution.abandoned_operation import ends_of_dead
from release.deploy.execution.locking import make_holder
from release.errors import LockHeld, NotReady, ReleaseError, UsageError
from release.ledger.query import Event
from release.programs.interruption import Interruption
from release.records import Body, Draft, Operation, Record, Release
from release.secrets.redact import Mask
from release.values import Struct

What = Literal["run", "exec", "restart", "stop", "start"]

VERBS: Final[dict[What, lock.Task]] = {
    "run": "run a command in",
    "exec": "run a command in",
    "restart": "restart",
    "stop": "stop",
    "start": "start",
}


class Subject(Struct, frozen=True, kw_only=True):
    """Subject of an operation: the instances, and the deployment that made them."""

    live: LiveEnvironment
    what: What
    process: str | None
    instances: tuple[Instance, ...]
    event: Event
    release: Record[Release]
    answers: bool
    """True: the ledger's remote answered a moment ago."""

    @property
    def attempted(self) -> str:
        """Return the attempted action, for errors."""
        return f"{VERBS[self.what]} {self.live.place}"


def find(live: LiveEnvironment, what: What, process: str | None, *, answers: bool) -> Subject:
    """Return the subject of the operation.

    Raises:
        UsageError: the target cannot do it, or there is no such process.
        NotReady: nothing runs, or no recorded deployment runs, or a deployment was interrupted.
        EngineError, LedgerError.
    """
    place, attempted = live.place, f"{VERBS[what]} {live.place}"
    if refusal := live.target.operations.refusal(what):
        raise UsageError(attempted, refusal)
    ours = identify.look(live)
    left = journal.find(live, ours, lock.find(live.target.lock_store(), place))
    if left is not None:
        hint = f"finish or revert it first: `{place.command('converge')}`"
        raise NotReady(attempted, f"a deployment was interrupted: {left}", hint)
    event = running_event(live, ours) or live.current()
    release = live.release_of(event)
    if event is None or release is None:
        raise NotReady(
            attempted,
            "the ledger has no healthy deployment there",
            f"`{place.command('status')}` shows what runs",
        )
    _refuse_adopted(live, event, attempted)
    there = ours.stopped if what == "start" else ours.running
    order = list(event.deployment.run_spec.every)
    mine = sorted(
        (each for each in there if each.deployment == event.deployment.deployment),
        key=lambda each: _position(order, each),
    )
    return Subject(
        live=live,
        what=what,
        process=process,
        instances=_of_process(live, attempted, mine, process, what, set(order)),
        event=event,
        release=release,
        answers=answers,
    )


def _refuse_adopted(live: LiveEnvironment, event: Event, attempted: str) -> None:
    """Raise NotReady while an object of another program runs, which `invoke adopt` recorded."""
    if event.deployment.adopted is not None:
        raise NotReady(
            attempted,
            f"{event.deployment.adopted} was adopted, and no deployment has replaced it yet",
            f"use the program that started it; or deploy first: `{live.place.command('deploy')}`",
        )


def _position(order: Sequence[str], instance: Instance) -> int:
    """Return the position of an instance's process in the order of replacement."""
    process = process_of(instance.labels)
    return order.index(process) if process in order else len(order)


def _of_process(
    live: LiveEnvironment,
    attempted: str,
    there: Sequence[Instance],
    process: str | None,
    what: What,
    processes: set[str],
) -> tuple[Instance, ...]:
    """Return the instances of a process, or all. Raises UsageError, NotReady."""
    known = sorted({process_of(each.labels) for each in there} | processes)
    if process is not None and process not in known:
        hint = f"there are: {', '.join(filter(None, known))}" if any(known) else "leave --process out"
        raise UsageError(attempted, f"there is no process {process!r}", hint)
    if what in ("run", "exec") and process is None and len(known) > 1:
        names = ", ".join(filter(None, known))
        raise UsageError(
            attempted, "the environment has several processes", f"use --process, one of: {names}"
        )
    if not there and what != "run":
        status = live.place.command("status")
        state = (
            "no container of its last healthy deployment is stopped" if what == "start" else "nothing runs"
        )
        raise NotReady(attempted, state, f"`{status}` shows what runs")
    return tuple(each for each in there if process in (None, process_of(each.labels)))


class Ended(Struct, frozen=True, kw_only=True):
    """The end of an operation."""

    detail: str
    exit_status: int | None
    record: dict[str, Any]


class Done(Struct, frozen=True, kw_only=True):
    """Result of an operation's work."""

    detail: str = ""
    exit_status: int | None = None


class Request(Struct, frozen=True, kw_only=True):
    """Request for an operation: its reason, and its time limit."""

    found: Subject
    message: str
    longest: int
    """Milliseconds."""
    command: tuple[str, ...] | None = None
    """Command as it is recorded."""
    breaks: Holder | None = None
    """Holder whose lock is taken away."""
    mask: Mask = Mask()


Work = Callable[[str, OperationContext], Done]
"""The work of an operation: gets its id and its context."""


def carry_out(request: Request, work: Work, interruption: Interruption) -> Ended:
    """Do the work under the lock; record its start and its end, whatever the end is.

    Raises:
        LockHeld: a deployment or another operation is under way; nothing was changed.
        LedgerError: the start cannot be recorded; nothing was changed.
        DeploymentFailed, EngineError, Cancelled: the work failed, and its end is recorded.
    """
    found, live = request.found, request.found.live
    name, began = randomness.token_hex(6), time.monotonic()
    started = recording.draft(live, name, _body(request, name, "started"))
    store = live.target.lock_store(_image(found))
    holder = make_holder(live, store, started, run=name, deployment=name, longest=request.longest)
    context = _context(request, interruption, lambda: lock.ensure_held(store, live.place, holder))
    task = VERBS[found.what]
    with interruption.held(), _held(request, store, holder, task):
        _ensure_unchanged(found)
        opening = [*ends_of_dead(found.live), started]
        live.workspace.ledger.append_events(opening, publish=found.answers, keep=False)
        try:
            done = work(name, context)
        except ReleaseError as error:
            detail = request.mask(reason(error))
            _record_end(request, _body(request, name, "failed", began=began, done=Done(detail=detail)))
            raise
        record = _record_end(request, _body(request, name, "done", began=began, done=done))
        interruption.too_late = True
    return Ended(detail=done.detail, exit_status=done.exit_status, record=record)


def _held(request: Request, store: LockStore, holder: Holder, task: lock.Task) -> Any:
    live = request.found.live
    return lock.hold_lock(store, live.place, holder, live.workspace.emit, breaking=request.breaks, task=task)


def _image(found: Subject) -> Any:
    """Return the running image, from which a lock can be made."""
    return found.live.target.images.id_of(found.release.body.image)


def _context(
    request: Request, interruption: Interruption, still_mine: Callable[[], None]
) -> OperationContext:
    live = request.found.live
    return OperationContext(
        spec=request.found.event.deployment.run_spec,
        health_timeout=live.settings.health_timeout,
        emit=live.workspace.emit,
        cancellation=interruption.cancellation,
        mask=request.mask,
        still_mine=still_mine,
    )


def _ensure_unchanged(found: Subject) -> None:
    """Raise LockHeld if the subject changed. Call it under the lock."""
    now = {each.id: each for each in identify.look(found.live).every}
    gone = [each for each in found.instances if each.id not in now]
    if gone:
        raise LockHeld(
            found.attempted,
            f"a deployment came first: {describe(gone)} was replaced",
            f"`{found.live.place.command('status')}` shows what runs; then run the command again",
        )


def _body(
    request: Request,
    name: str,
    status: Literal["started", "done", "failed"],
    *,
    began: float | None = None,
    done: Done | None = None,
) -> Operation:
    found = request.found
    return Operation(
        operation=name,
        what=found.what,
        environment=found.live.place.environment,
        process=found.process,
        release=found.release.id,
        deployment=found.event.deployment.deployment,
        command=request.command,
        message=request.mask(request.message),
        status=status,
        exit_status=done.exit_status if done is not None else None,
        duration_ms=elapsed_ms(began) if began is not None else None,
        detail=request.mask(done.detail) if done is not None else "",
    )


def _record_end(request: Request, body: Operation) -> dict[str, Any]:
    """Record the end. A failure is only a warning, because the work is done."""
    live = request.found.live
    draft: Draft[Body] = recording.draft(live, body.operation, body)
    missing = f"the end of the operation {body.operation}"
    found = recording.append_or_warn(live, [draft], missing, publish=request.found.answers, mask=request.mask)
    return recording.event_json(draft, found[0] if found else None)
