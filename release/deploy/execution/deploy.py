"""A deployment or a rollback from its plan to the record: what was shown is done, or no longer holds."""

from __future__ import annotations

import secrets as randomness
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import datetime
from typing import Any, Final, Literal

from release.actor import TOOL, now
from release.deploy.core import lock, watch
from release.deploy.core.fingerprints import FingerprintKey
from release.deploy.core.image_location import EMBEDDED, Bytes
from release.deploy.core.lock import Holder
from release.deploy.core.lock_store import LockStore
from release.deploy.core.place import DEPLOYMENT, Identity
from release.deploy.core.steps import elapsed_ms, reason, step
from release.deploy.core.target import RolloutContext, RolloutRequest
from release.deploy.environment import claim, journal
from release.deploy.environment.identify import look
from release.deploy.environment.journal import Unfinished
from release.deploy.execution import run_migration
from release.deploy.planning import downgrade, migration_containers, policy, preflight, undone
from release.deploy.planning.plan import Plan
from release.deploy.planning.prepare import Prepared
from release.errors import (
    DeploymentFailed,
    ImageLost,
    LedgerError,
    LockHeld,
    MixedState,
    ReleaseError,
    Restored,
)
from release.events import Warned
from release.interruption import Interruption
from release.records import Body, Deployment, Draft, Record, TargetState, Undoing
from release.reference import Digest, Repository
from release.values import Struct, field, replace

_LOCK_MINUTES: Final = 15

Status = Literal["started", "healthy", "restored", "failed", "mixed"]


class Outcome(Struct, frozen=True, kw_only=True):
    """Good end: a new deployment, or one that runs already as asked."""

    plan: Plan
    repository: str
    deployment: str
    evidence: str
    changed: bool
    abandons: bool
    """True: the release that ran before is quarantined now."""
    record: dict[str, Any]
    """The healthy event as JSON data, with its record's id: None while unsynced."""


def carry_out(prepared: Prepared, *, message: str, interruption: Interruption) -> Outcome:
    """Do what was prepared, and record it.

    Raises:
        DeploymentFailed, Restored, MixedState: see `rollout.swap`.
        LockHeld: somebody else was faster.
        LedgerError: the start cannot be recorded, and this is no rollback.
        RegistryError, TargetUnavailable, EngineError: before anything was touched.
    """
    if prepared.plan.strategy == "verify":
        return _verify(prepared, interruption)
    live, body, deployment = prepared.live, prepared.target.body, randomness.token_hex(6)
    live.target.fetch(body, prepared.spec, prepared.bytes, live.workspace.emit)
    prepared = _with_start_kept(prepared)
    attempt = Attempt(prepared=prepared, deployment=deployment, message=message)
    started = attempt.start()
    lock_store = live.target.lock_store(live.target.id_of(body.image))
    holder = _holder(prepared, deployment, lock_store.now(), journal.write(started))
    with interruption.held(), _locked(prepared, lock_store, holder):
        _same_as_planned(prepared)
        outcome = attempt.run(started, interruption, lambda: lock.ensure(lock_store, live.place, holder))
        interruption.too_late = True
        return outcome


@contextmanager
def _locked(prepared: Prepared, lock_store: LockStore, holder: Holder) -> Iterator[None]:
    """Hold the lock. Where it is made of the image, this is when an engine notices that it lost some of it.

    Raises LockHeld, RegistryError, EngineError: nothing was touched.
    """
    live, image = prepared.live, prepared.target.body.image
    with ExitStack() as stack:
        for is_last in (Repository(image.repository).host == EMBEDDED, True):
            held = lock.held(
                lock_store,
                live.place,
                holder,
                live.workspace.emit,
                breaking=prepared.found.takeover.breaks,
                task=lock.task_of(prepared.plan.reason),
            )
            try:
                stack.enter_context(held)
                break
            except ImageLost as error:
                if is_last:
                    raise
                live.workspace.emit(
                    Warned(text=f"{error.attempted}: {error.found}; using the registry instead")
                )
                live.target.fetch(
                    prepared.target.body, prepared.spec, Bytes(where="registry"), live.workspace.emit
                )
        yield


def _with_start_kept(prepared: Prepared) -> Prepared:
    """The start of what is half done is kept here: taking over the lock that tells of it removes it."""
    publish = prepared.answers and prepared.plan.reason == "promote"
    left = journal.keep(prepared.live, prepared.observation.unfinished, publish=publish)
    observation = replace(prepared.observation, unfinished=left)
    return replace(prepared, found=replace(prepared.found, observation=observation))


def _verify(prepared: Prepared, interruption: Interruption) -> Outcome:
    """It runs as asked: look whether it serves. Nothing is touched and nothing is recorded."""
    live, container = prepared.live, prepared.containers.running[0]
    deployment = container.labels[DEPLOYMENT]
    try:
        with step(live.workspace.emit, "verify") as say:
            say(evidence := live.target.verify(_order(prepared, deployment), _means(prepared, interruption)))
    except DeploymentFailed as error:
        raise DeploymentFailed(error.attempted, error.found, _replacing(prepared), error.tail) from error
    return _outcome(prepared, deployment, evidence, changed=False, record=_known(prepared))


def _replacing(prepared: Prepared) -> str:
    """Return what to do where it runs as asked and does not serve."""
    verb = "rollback" if prepared.plan.reason == "rollback" else "deploy"
    command = prepared.live.place.command(f"{verb} --to {prepared.plan.after.version} --again")
    return f"nothing was changed; to replace it although it runs as asked: `{command}`"


def _means(prepared: Prepared, interruption: Interruption) -> RolloutContext:
    return RolloutContext(
        emit=prepared.live.workspace.emit, cancellation=interruption.cancellation, mask=prepared.mask
    )


def _order(prepared: Prepared, deployment: str) -> RolloutRequest:
    live, body = prepared.live, prepared.target.body
    return RolloutRequest(
        place=live.place,
        identity=Identity(
            deployment=deployment,
            version=body.version,
            commit=body.source.commit,
            digest=Digest(body.image.digest),
            record=prepared.target.id,
        ),
        image=body.image,
        spec=prepared.spec,
        secrets=prepared.found.settings.secrets,
        before=prepared.containers,
        old=prepared.event.deployment.run_spec if prepared.event is not None else None,
        health_timeout=live.settings.health_timeout,
        watch=watch.wanted(prepared.spec, prepared.plan.reason),
        reason=prepared.plan.reason,
        key=_seal_key(prepared),
    )


def _seal_key(prepared: Prepared) -> FingerprintKey | None:
    """The key of the seals of a Swarm's secrets; on one engine there are none."""
    workspace = prepared.live.workspace
    has_seals = prepared.live.settings.engine == "swarm" and prepared.found.settings.secrets
    return FingerprintKey.load(workspace.source.git_dir, workspace.environ) if has_seals else None


def _known(prepared: Prepared) -> dict[str, Any]:
    """The event that says that this runs: the plan was made from it."""
    event = prepared.event
    assert event is not None  # noqa: S101 - only a deployment that the ledger knows is merely verified
    if event.record is None:
        return {"id": None, **event.deployment.model_dump(mode="json", exclude_none=True)}
    return {"id": event.record, **prepared.live.workspace.ledger.record(event.record).to_json()}


def _holder(prepared: Prepared, deployment: str, there: datetime, told: str) -> Holder:
    """The lock outlives the longest that this deployment and its restoration may take."""
    workspace, settings = prepared.live.workspace, prepared.live.settings
    patience = prepared.live.target.patience(prepared.spec, settings.health_timeout)
    longest = 2 * (patience + settings.stop_grace)
    longest += prepared.down.timeout if prepared.down is not None else 0
    return Holder.here(
        who=workspace.actor.name,
        url=workspace.run(deployment).url,
        deployment=deployment,
        milliseconds=_LOCK_MINUTES * 60_000 + longest,
        now=there,
        journal=told,
    )


def _same_as_planned(prepared: Prepared) -> None:
    """Under the lock: what runs is still what the plan was made for."""
    found = look(prepared.live)
    if found.ids != prepared.containers.ids:
        raise LockHeld(
            prepared.attempted,
            "another deployment came first, so the plan is out of date",
            f"`{prepared.live.place.command('status')}` shows what runs; then run the command again",
        )


class Attempt(Struct, frozen=True, kw_only=True):
    """One deployment under way, and its events."""

    prepared: Prepared
    deployment: str
    message: str
    began: float = field(default_factory=time.monotonic)

    def start(self) -> Draft[Body]:
        """The event that says that it starts."""
        return self._draft(self._event("started", ""))

    def run(
        self, started: Draft[Body], interruption: Interruption, still_mine: Callable[[], None]
    ) -> Outcome:
        """Record the start, roll out, record the end. `still_mine` raises LockHeld, asked last of all, and
        again before anything is taken away.

        Nobody waits until a rollback's start is recorded: the lock holds it, for whoever comes after a crash.
        """
        opening, waits = [*self._left_open(), started], self.prepared.plan.reason == "promote"
        if waits:
            self._record("started", opening)
        self._still_allowed(still_mine, [] if waits else opening)
        try:
            with nullcontext() if waits else self._recording(opening):
                evidence = self._rolled_out(interruption, still_mine)
        except ReleaseError as error:
            self._append(_status(error), self.prepared.mask(_detail(error, self._untouched)))
            raise
        message = self.prepared.mask(self.message)
        words = self.prepared.aftermath.bodies(self.deployment, message)
        record = self._append("healthy", evidence, words)
        return _outcome(self.prepared, self.deployment, evidence, changed=True, record=record)

    @contextmanager
    def _recording(self, opening: list[Draft[Body]]) -> Iterator[None]:
        """Record the start while the block works; what comes after the block finds it recorded."""
        recording = threading.Thread(target=self._record, args=("started", opening))
        recording.start()
        try:
            yield
        finally:
            recording.join()

    def _rolled_out(self, interruption: Interruption, still_mine: Callable[[], None]) -> str:
        prepared = self.prepared
        means = replace(_means(prepared, interruption), still_mine=still_mine)
        order = _order(prepared, self.deployment)
        if prepared.down is None:
            return prepared.live.target.roll_out(order, means)
        run_migration.run(prepared.live, prepared.down, self.deployment, means)
        with undone.data_first(prepared.down.undoing):
            still_mine()
            return prepared.live.target.roll_out(order, means)

    def _still_allowed(self, still_mine: Callable[[], None], unrecorded: list[Draft[Body]]) -> None:
        """Ask again, on the ledger of this moment: a word of the last seconds holds too.

        Where the start landed there, it is read from already; else what this clone has now is looked at.

        Raises NotReady, TargetUnavailable, LockHeld: what came in between; nothing was touched.
        """
        try:
            if unrecorded:
                self.prepared.live.workspace.ledger.look_again()
            self._refuse_what_is_barred()
            self._refuse_what_was_undone()
            still_mine()
        except ReleaseError as error:
            detail = self.prepared.mask(_detail(error, "nothing was changed"))
            failed = self._draft(self._event("failed", detail))
            self._record("failed", [*unrecorded, failed])
            raise

    def _refuse_what_is_barred(self) -> None:
        prepared, request = self.prepared, self.prepared.request
        live, allowed = prepared.live, request.allowed
        state = policy.read_policy(live.workspace.ledger, live.place, request.target.id)
        barred = policy.quarantine_problems(state, live.place, request.target, allowed)
        frozen = policy.freeze_problems(state, live.place, request.reason, allowed)
        preflight.refuse(prepared.attempted, prepared.bytes, frozen, None, barred=barred)

    def _refuse_what_was_undone(self) -> None:
        prepared = self.prepared
        if prepared.down is not None:
            live, before = prepared.live, prepared.found.migrations.earlier
            downgrade.ensure(live, prepared.observation, self.deployment, before, answers=prepared.answers)

    @property
    def _untouched(self) -> str:
        """Return what stays true of an error that came before the rollout touched anything."""
        return "nothing was changed" if self.prepared.down is None else "what runs was not changed"

    def _left_open(self) -> list[Draft[Body]]:
        """The end of what somebody began and never ended: this deployment takes its place."""
        left = self.prepared.observation.unfinished
        if left is None or self._has_ended(left):
            return []
        detail = f"it was interrupted; the deployment {self.deployment} replaces it"
        end = left.ended("failed", self.prepared.live.target.name, None, detail, "", self._left_undone(left))
        return claim.endings(left, left.start(self.prepared.live.workspace), self._draft(end))

    def _has_ended(self, left: Unfinished) -> bool:
        """Under the lock: whoever began it may have recorded its end since the ledger was read."""
        if self.prepared.answers:
            self.prepared.live.workspace.refresh()
        return journal.ended(self.prepared.live, left.started.deployment)

    def _left_undone(self, left: Unfinished) -> Undoing | None:
        """Return what it did to the data before it was interrupted."""
        live, started = self.prepared.live, left.started
        if started.down is None:
            return None
        containers, locked = migration_containers.find_own(live), self.prepared.observation.holder is not None
        return migration_containers.outcome(containers, started.deployment, started.down, locked=locked)

    def _append(self, status: Status, detail: str, words: Iterable[Body] = ()) -> dict[str, Any]:
        """The end, and what came of undoing migrations: the ledger has it, so no container has to."""
        live, planned = self.prepared.live, self._planned
        came = migration_containers.own_outcome(live, self.deployment, planned)
        event = self._event(status, detail).model_copy(update={"down": came})
        record = self._record(status, [*map(self._draft, (event, *words))])
        if status == "healthy" and live.workspace.service.migrations is not None:
            migration_containers.remove_ended(live)
        elif planned is not None and record["id"] is not None:
            migration_containers.remove_ended(live, self.deployment)
        return record

    @property
    def _planned(self) -> Undoing | None:
        return self.prepared.down.undoing if self.prepared.down is not None else None

    def _record(self, status: Status, drafts: list[Draft[Body]]) -> dict[str, Any]:
        """Add events. What cannot be recorded stops a deployment before it starts, and never a rollback.

        A rollback's start is only kept here: its end takes it along, and nobody waits for a git server.
        """
        live = self.prepared.live
        draft, decides = drafts[0], self._decides(status)
        try:
            records = live.workspace.ledger.append_events(
                drafts, publish=self._publishes(status), keep=not decides
            )
        except Exception as error:
            if decides:
                raise _not_begun(self.prepared, error) from error
            missing = f"the event {status!r}"
            live.workspace.emit(Warned(text=self.prepared.mask(unrecorded(missing, error))))
            return event_json(draft, None)
        if records is None and status != "started":
            live.workspace.emit(
                Warned(
                    text="the git remote does not answer: the events wait in this clone. Run `invoke "
                    "sync` when the remote answers"
                )
            )
        return event_json(draft, records[0] if records is not None else None)

    def _publishes(self, status: Status) -> bool:
        return self.prepared.answers and (status != "started" or self._decides(status))

    def _decides(self, status: Status) -> bool:
        """Return whether nothing is done where it cannot be recorded."""
        return status == "started" and self.prepared.plan.reason == "promote"

    def _event(self, status: Status, detail: str) -> Deployment:
        prepared, breaks = self.prepared, self.prepared.found.takeover.breaks
        return Deployment(
            deployment=self.deployment,
            environment=prepared.live.place.environment,
            release=prepared.target.id,
            digest=prepared.target.body.image.digest,
            run_spec=prepared.spec,
            previous=prepared.previous.deployment.deployment if prepared.previous is not None else None,
            reason=prepared.plan.reason,
            message=prepared.mask(self.message),
            status=status,
            targets=self._targets(status, detail),
            duration_ms=elapsed_ms(self.began) if status != "started" else None,
            took_lock_from=str(breaks) if breaks is not None else None,
            down=self._planned if status == "started" else None,
        )

    def _draft(self, body: Body) -> Draft[Body]:
        workspace = self.prepared.live.workspace
        return Draft(
            service=self.prepared.live.place.service,
            recorded_at=now(),
            actor=workspace.actor,
            run=workspace.run(self.deployment),
            tool=TOOL,
            body=body,
        )

    def _targets(self, status: Status, detail: str) -> tuple[TargetState, ...]:
        """This engine, and the digest that is proven to run there."""
        if status == "started":
            return ()
        before, prepared = self.prepared.event, self.prepared
        proven = {
            "healthy": prepared.target.body.image.digest,
            "restored": before.deployment.digest if before is not None else None,
        }
        return (
            TargetState(
                name=prepared.live.target.name,
                status="failed" if status == "mixed" else status,
                digest=proven.get(status),
                detail=detail,
            ),
        )


def _status(error: ReleaseError) -> Status:
    if isinstance(error, MixedState):
        return "mixed"
    return "restored" if isinstance(error, Restored) else "failed"


def _detail(error: ReleaseError, untouched: str) -> str:
    """For the record. A rollout has words of its own for what it touched; any other error came before."""
    if isinstance(error, DeploymentFailed | LockHeld):
        return reason(error)
    return f"{reason(error)}; {untouched}"


def _not_begun(prepared: Prepared, error: Exception) -> Exception:
    """A start that was not recorded is none."""
    untouched = f"{prepared.live.place} was not changed"
    if isinstance(error, LedgerError):
        error.hint = "; ".join(filter(None, [error.hint, untouched]))
        return error
    return LedgerError(
        f"record that the deployment to {prepared.live.place} starts", _words(error), untouched
    )


def unrecorded(missing: str, error: Exception) -> str:
    """Return what is missing in the ledger, why, and what helps."""
    if not isinstance(error, ReleaseError):
        return f"{missing} is not in the ledger: {_words(error)}"
    text = f"{missing} is not in the ledger: {error.attempted}: {error.found}"
    return "; ".join(filter(None, [text, error.hint]))


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def event_json(draft: Draft[Body], record: Record[Body] | None) -> dict[str, Any]:
    """An event as JSON data with the id of its record; one that waits to be published has none."""
    if record is not None:
        return {"id": record.id, **record.to_json()}
    waiting = draft.at(1, None).to_json()
    return {"id": None, **{key: value for key, value in waiting.items() if key not in ("seq", "prev")}}


def _outcome(
    prepared: Prepared, deployment: str, evidence: str, *, changed: bool, record: dict[str, Any]
) -> Outcome:
    return Outcome(
        plan=prepared.plan,
        repository=prepared.target.body.image.repository,
        deployment=deployment,
        evidence=evidence,
        changed=changed,
        abandons=changed and prepared.aftermath.abandoned is not None,
        record=record,
    )
