"""After a crash in the middle of a deployment: what is there, and how it becomes one state again.

The intention is read from the target (`release.deploy.environment.journal`), so any operator's clone will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from release.actor import TOOL, now
from release.capped import brief
from release.deploy.core import lock, watch
from release.deploy.core.lock import Holder
from release.deploy.core.place import DEPLOYMENT, ContainerSet, Identity, describe, secrets_in
from release.deploy.core.steps import reason
from release.deploy.core.target import RolloutContext, RolloutRequest, Way
from release.deploy.environment import claim, identify, journal
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.journal import End, Unfinished
from release.deploy.environment.observe import Observation, look_around, running_event
from release.deploy.execution.deploy import event_json, unrecorded
from release.deploy.planning import migration_containers, policy, undone
from release.deploy.planning.settings import read_secrets
from release.errors import (
    DeploymentFailed,
    EngineError,
    LedgerError,
    LockHeld,
    MixedState,
    NotReady,
    Problem,
    Restored,
    TargetUnavailable,
)
from release.events import Warned
from release.interruption import Interruption
from release.ledger.query import Event
from release.ledger.releases import release_record
from release.records import Body, Deployment, Draft, Note, Record, Release, Undoing
from release.redact import Mask, Redacted
from release.reference import Digest
from release.runspec import RunSpec
from release.values import Struct, replace


class InterruptedDeployment(Struct, frozen=True, kw_only=True):
    """A deployment that ended in the middle, and what is decided about it."""

    live: LiveEnvironment
    observation: Observation
    unfinished: Unfinished
    release: Record[Release]
    before: Event | None
    """The deployment that ran before, as the one says that was begun; None where this ledger lacks it."""
    secrets: tuple[Redacted, ...]
    """The values that play a part, as far as they are known here or stand in the containers."""
    breaks: Holder | None
    """Holder whose lock is taken although it may be alive."""
    way: Way
    asked: bool
    """True: the operator named the way."""
    down: Undoing | None
    """The migrations that it undid, or perhaps did."""
    busy: tuple[Problem, ...]
    """Parts of it that still work on the data."""

    @property
    def title(self) -> str:
        """Return what will be done."""
        return f"{self.way} {self.unfinished}, of {self.live.place}"

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Return what was found, for people."""
        ours, expected = self.observation.ours, self.live.release_of(self.observation.previous)
        holder = self.observation.holder
        return [
            ("begun", str(self.unfinished)),
            *claim.facts(self.unfinished),
            ("running", describe(ours.running)),
            ("stopped", describe(ours.stopped)),
            ("ledger", f"{expected.body.version} was verified healthy last" if expected else "nothing"),
            ("lock", f"left by {holder}" if holder is not None else "none"),
            *([("migrations", undone.fact(self.down))] if self.down is not None else []),
            *(("in progress", busy.message) for busy in self.busy),
        ]

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "deployment": self.unfinished.started.deployment,
            "version": self.release.body.version,
            "way": self.way,
            **dict(self.rows),
        }


class Converged(Struct, frozen=True, kw_only=True):
    """Result of a converge."""

    end: End
    evidence: str
    record: dict[str, Any]


class Found(Struct, frozen=True, kw_only=True):
    """Interrupted deployment, and the holder whose lock is taken."""

    observation: Observation
    breaks: Holder | None
    """Holder whose lock is taken although it may be alive."""


def look(live: LiveEnvironment, *, break_lock: bool = False) -> Found:
    """Return what there is. `break_lock`: also where the lock's holder seems to be alive.

    Raises:
        LockHeld: the deployment may still be under way.
        TargetUnavailable: what the lock tells of it is not understood here.
    """
    observation = look_around(live)
    holder = lock.alive(live.target.lock_store(), observation.holder)
    if holder is not None and journal.ended(live, holder.deployment):
        holder = None
    if holder is not None and not break_lock:
        raise lock.held_error(live.place, holder, "converge")
    unfinished = observation.unfinished or journal.find_last(live)
    if unfinished is None and observation.holder is not None:
        _understood(live, observation.holder)
    return Found(observation=replace(observation, unfinished=unfinished), breaks=holder)


def _understood(live: LiveEnvironment, left: Holder) -> None:
    """A lock is not taken for an empty one because a later version wrote it. Raises TargetUnavailable."""
    if not left.journal or journal.read(left.journal) is not None or journal.ended(live, left.deployment):
        return
    raise TargetUnavailable(
        f"converge {live.place}",
        f"the lock of {left} holds a deployment that this version of the library does not know",
        "upgrade the release library",
    )


def examine(live: LiveEnvironment, found: Found, *, way: Way | None) -> InterruptedDeployment | None:
    """Return what was begun here and never ended; None where nothing is open.

    Args:
        site: the environment.
        found: what there is.
        way: what to do; absent: finish where the new one runs, and revert should it not prove healthy;
            revert where it does not run.

    Raises:
        NotReady: nothing is open, and a command still undoes migrations.
        TargetUnavailable: its release is not in the ledger.
    """
    ours, unfinished, there = (
        found.observation.ours,
        found.observation.unfinished,
        migration_containers.find_own(live),
    )
    if unfinished is None:
        _refuse(f"converge {live.place}", migration_containers.still_running(there))
        return None
    started = unfinished.started
    before = live.event_of(started.previous) if started.previous is not None else None
    runs = any(each.labels.get(DEPLOYMENT) == started.deployment for each in ours.running)
    return InterruptedDeployment(
        live=live,
        observation=found.observation,
        unfinished=unfinished,
        release=_release(live, unfinished),
        before=before,
        secrets=tuple(_secrets(live, ours, started.run_spec, before)),
        breaks=found.breaks,
        way=way or ("finish" if runs and not unfinished.doubts else "revert"),
        asked=way is not None,
        down=migration_containers.outcome(
            there, started.deployment, started.down, locked=found.observation.holder is not None
        ),
        busy=tuple(migration_containers.still_running(there)),
    )


def _refuse(attempted: str, busy: Iterable[Problem]) -> None:
    """Nothing is decided while a command of it changes the data. Raises NotReady."""
    if found := "; ".join(problem.message for problem in busy):
        raise NotReady(
            attempted, f"{found}; nothing was changed", "run it again after that deployment has ended"
        )


def _secrets(
    live: LiveEnvironment, ours: ContainerSet, spec: RunSpec, before: Event | None
) -> Iterator[Redacted]:
    """Use the containers' own secrets if this clone cannot read one, or reads another value today.

    Those of a Swarm are on its nodes, and it gives their secrets to nobody.
    """
    yield from read_secrets(live, spec)[0].values()
    if live.settings.engine != "docker":
        return
    old = before.deployment.run_spec.secrets if before is not None else {}
    names = {*spec.secrets, *old, *live.settings.secrets}
    for container in (*ours.up, *ours.stopped) if names else ():
        yield from secrets_in(live.engine, container.id, names)


def _release(live: LiveEnvironment, unfinished: Unfinished) -> Record[Release]:
    try:
        return release_record(live.workspace.ledger, unfinished.started.release)
    except LedgerError as error:
        raise TargetUnavailable(
            f"converge {live.place}",
            f"{unfinished} uses a release that this clone's ledger lacks: {error.found}",
            "run it again when the git remote answers; or restore the last healthy release: "
            f"`{live.place.command('rollback')}`",
        ) from error


def tidy(live: LiveEnvironment, found: Found, *, message: str, answers: bool) -> bool:
    """Remove the lock that was found, where nothing is half done any more; whether it was still there.

    Where its holder may be alive, a note says whose it was, and why it was taken.
    """
    holder = found.observation.holder
    if holder is None or not lock.drop(live.target.lock_store(), live.place, holder):
        return False
    if found.breaks is not None:
        text = f"`invoke converge` took the lock of {live.place} from {found.breaks}: {message}"
        _append(live, [_draft(live, "converge", Note(text=text))], "whose lock was taken", publish=answers)
    return True


def carry_out(
    interrupted: InterruptedDeployment, *, message: str, answers: bool, interruption: Interruption
) -> Converged:
    """Do it, and record how the deployment ended.

    Raises:
        Restored: finishing was asked for and failed, and what ran before runs again.
        MixedState: neither could be had; the message lists what is where.
        LockHeld: somebody else was faster.
        UsageError: this way is not open any more, or not yet; nothing was touched.
    """
    live = interrupted.live
    _refuse(interrupted.title, interrupted.busy)
    objection = live.target.objection(_order(interrupted), interrupted.way)
    if interrupted.way == "finish":
        objection = claim.objection(live, interrupted.unfinished, interrupted.observation.ours) or objection
    if objection is not None:
        raise objection
    kept = journal.keep(live, interrupted.unfinished, publish=answers) or interrupted.unfinished
    interrupted = replace(interrupted, unfinished=kept)
    lock_store, holder = (
        live.target.lock_store(live.target.id_of(interrupted.release.body.image)),
        _holder(interrupted),
    )
    means = RolloutContext(
        emit=live.workspace.emit,
        cancellation=interruption.cancellation,
        mask=Mask(interrupted.secrets),
        still_mine=lambda: lock.ensure(lock_store, live.place, holder),
    )
    held = lock.held(
        lock_store,
        live.place,
        holder,
        live.workspace.emit,
        breaking=interrupted.observation.holder,
        task="converge",
    )
    with interruption.held(), held:
        _same_as_found(interrupted)
        _not_ended(interrupted, answers=answers)
        done = _Ending(interrupted=interrupted, means=means, message=message, answers=answers).run()
        interruption.too_late = True
        return done


def _holder(interrupted: InterruptedDeployment) -> Holder:
    live, spec = (
        interrupted.live,
        claim.settings(interrupted.live, interrupted.unfinished, interrupted.release),
    )
    patience = live.target.patience(spec, live.settings.health_timeout)
    return Holder.here(
        who=live.workspace.actor.name,
        url=live.workspace.run("converge").url,
        deployment=interrupted.unfinished.started.deployment,
        milliseconds=15 * 60_000 + 2 * patience,
        now=live.target.lock_store().now(),
        journal=journal.write(interrupted.unfinished.draft),
    )


def _same_as_found(interrupted: InterruptedDeployment) -> None:
    """Under the lock: nobody touched anything since it was shown."""
    now_there, before = identify.look(interrupted.live), interrupted.observation.ours
    if (now_there.ids, len(now_there.stopped)) != (before.ids, len(before.stopped)):
        raise LockHeld(
            interrupted.title,
            f"another command changed the environment first; now running: {describe(now_there.running)}",
            "run it again",
        )


def _not_ended(interrupted: InterruptedDeployment, *, answers: bool) -> None:
    """Under the lock: nobody ended it since the ledger was read."""
    live = interrupted.live
    if answers:
        live.workspace.refresh()
    if journal.ended(live, interrupted.unfinished.started.deployment):
        raise LockHeld(
            interrupted.title,
            "another command ended the deployment first; nothing was changed",
            f"`{live.place.command('status')}` shows what runs",
        )


class _Ending(Struct, frozen=True, kw_only=True):
    """The end of a deployment that somebody else began."""

    interrupted: InterruptedDeployment
    means: RolloutContext
    message: str
    answers: bool

    def run(self) -> Converged:
        interrupted = self.interrupted
        target, order = interrupted.live.target, _order(interrupted)
        try:
            if interrupted.way == "finish":
                return self._recorded("healthy", target.resume(order, self.means))
            return self._recorded("restored", target.retract(order, self.means))
        except MixedState as error:
            self._recorded("mixed", reason(error))
            raise self._whole(error) from error
        except Restored as error:
            done = self._recorded("restored", reason(error))
            if interrupted.asked:
                raise self._whole(error) from error
            return done
        except DeploymentFailed as error:
            done = self._recorded("failed", reason(error))
            if interrupted.way == "revert":
                return done
            raise self._whole(error) from error

    def _whole(self, error: DeploymentFailed) -> DeploymentFailed:
        """With what happened to the data before it."""
        return undone.with_data(error, self.interrupted.down) if self.interrupted.down is not None else error

    def _recorded(self, end: End, seen: str) -> Converged:
        """Append what the ledger lacks, with what follows from a healthy end."""
        interrupted, live = self.interrupted, self.interrupted.live
        told = f"{undone.fact(interrupted.down)}; then: {seen}" if interrupted.down is not None else seen
        evidence = self.means.mask(told)
        body = self._ended(end, evidence)
        start = interrupted.unfinished.start(live.workspace)
        ends = claim.endings(interrupted.unfinished, start, self._draft(body))
        drafts = [*ends, *map(self._draft, self._words(end))]
        missing = f"the event {end!r}"
        records = _append(live, drafts, missing, publish=self.answers, mask=self.means.mask)
        ended = next((each for each in records if each.body == body), None)
        if interrupted.down is not None:
            self._about_data(end, interrupted.down, is_known=ended is not None)
        return Converged(end=end, evidence=evidence, record=event_json(self._draft(body), ended))

    def _ended(self, end: End, evidence: str) -> Deployment:
        interrupted, target = self.interrupted, self.interrupted.live.target
        proven = _proven(interrupted, end)
        body = interrupted.unfinished.ended(
            end, target.name, proven, evidence, self._said(), interrupted.down
        )
        if interrupted.breaks is None:
            return body
        return body.model_copy(update={"took_lock_from": brief(str(interrupted.breaks))})

    def _about_data(self, end: End, undoing: Undoing, *, is_known: bool) -> None:
        """Say what is to be done; the ledger knows what the container of the command knew."""
        interrupted = self.interrupted
        if end == "healthy":
            migration_containers.remove_ended(interrupted.live)
            return
        interrupted.live.workspace.emit(Warned(text=f"{undone.fact(undoing)}: {undone.remedy(undoing)}"))
        if is_known:
            migration_containers.remove_ended(interrupted.live, interrupted.unfinished.started.deployment)

    def _said(self) -> str:
        done, why = (
            "finished" if self.interrupted.way == "finish" else "reverted",
            self.means.mask(self.message),
        )
        return f"{done} by `invoke converge`" + (f": {why}" if why else "")

    def _words(self, end: End) -> Iterable[Body]:
        """Return what a rollback leaves behind, as if it had ended by itself."""
        if end != "healthy":
            return ()
        interrupted, live, started = (
            self.interrupted,
            self.interrupted.live,
            self.interrupted.unfinished.started,
        )
        if started.reason == "rollback" and started.previous is not None and interrupted.before is None:
            text = f"this clone's ledger lacks the deployment {started.previous}, which ran before"
            live.workspace.emit(
                Warned(text=f"{text}: its release is not quarantined; to do it: `invoke quarantine`")
            )
        said = policy.read_policy(live.workspace.ledger, live.place, interrupted.release.id)
        after = policy.aftermath(
            live.place,
            "rollback" if started.reason == "rollback" else "promote",
            interrupted.release,
            live.release_of(interrupted.before),
            said,
            freeze=live.settings.freeze_after_rollback,
        )
        return after.bodies(started.deployment, started.message or self._said())

    def _draft(self, body: Body) -> Draft[Body]:
        return _draft(self.interrupted.live, self.interrupted.unfinished.started.deployment, body)


def _draft(live: LiveEnvironment, run: str, body: Body) -> Draft[Body]:
    return Draft(
        service=live.place.service,
        recorded_at=now(),
        actor=live.workspace.actor,
        run=live.workspace.run(run),
        tool=TOOL,
        body=body,
    )


def _append(
    live: LiveEnvironment, drafts: list[Draft[Body]], missing: str, *, publish: bool, mask: Mask | None = None
) -> tuple[Record[Body], ...]:
    """Add them to the ledger; none, and a warning, where that cannot be: what was done is done."""
    try:
        return live.workspace.ledger.append_events(drafts, publish=publish) or ()
    except Exception as error:  # noqa: BLE001 - whatever it is, it undoes nothing
        text = unrecorded(missing, error)
        live.workspace.emit(Warned(text=mask(text) if mask is not None else text))
        return ()


def _proven(interrupted: InterruptedDeployment, end: End) -> str | None:
    """The digest that is proven to run after this end."""
    if end == "restored":
        runs = _runs(interrupted.live)
        return runs.deployment.digest if runs is not None else None
    return interrupted.unfinished.started.digest if end == "healthy" else None


def _runs(live: LiveEnvironment) -> Event | None:
    """The healthy deployment that was put back, where engine and ledger tell."""
    try:
        return running_event(live, identify.look(live))
    except EngineError:
        return None


def _order(interrupted: InterruptedDeployment) -> RolloutRequest:
    live, started, body = (
        interrupted.live,
        interrupted.unfinished.started,
        interrupted.release.body,
    )
    return RolloutRequest(
        place=live.place,
        identity=Identity(
            deployment=started.deployment,
            version=body.version,
            commit=body.source.commit,
            digest=Digest(started.digest),
            record=started.release,
        ),
        image=body.image,
        spec=claim.settings(live, interrupted.unfinished, interrupted.release),
        secrets={},
        before=interrupted.observation.ours,
        old=interrupted.before.deployment.run_spec if interrupted.before is not None else None,
        health_timeout=live.settings.health_timeout,
        watch=watch.wanted(started.run_spec, started.reason),
        replaces=started.previous,
        reason=started.reason,
    )
