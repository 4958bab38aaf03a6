"""After a crash in the middle of a deployment: what is there, and how it becomes one state again.

What was meant is read where it happened (`release.deploy.journal`), so any operator's clone will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from release.actor import TOOL, now
from release.capped import brief
from release.deploy import claim, down, journal, lock, policy, proof, watching
from release.deploy.docker import DEPLOYMENT, Identity, Ours, describe, secrets_in
from release.deploy.journal import End, Unfinished
from release.deploy.lock import Holder
from release.deploy.operation import event_json, unrecorded
from release.deploy.rollout import reason
from release.deploy.sight import Sight, look_around, running_event
from release.deploy.site import Site
from release.deploy.target import Means, Order, Way
from release.deploy.wanted import read_secrets
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
from release.frozen import Struct, replace
from release.interruption import Interruption
from release.ledger.query import Event
from release.ledger.releases import release_record
from release.records import Body, Deployment, Draft, Note, Record, Release, Undoing
from release.redact import Mask, Redacted
from release.reference import Digest
from release.runspec import RunSpec


class Halves(Struct, frozen=True, kw_only=True):
    """A deployment that ended in the middle, and what is decided about it."""

    site: Site
    sight: Sight
    unfinished: Unfinished
    release: Record[Release]
    before: Event | None
    """The deployment that ran before, as the one says that was begun; None where this ledger lacks it."""
    secrets: tuple[Redacted, ...]
    """The values that play a part, as far as they are known here or stand in the containers."""
    breaks: Holder | None
    """Who may be alive, and whose lock is taken away all the same."""
    way: Way
    asked: bool
    """Whether somebody named the way."""
    down: Undoing | None
    """The migrations that it undid, or perhaps did."""
    busy: tuple[Problem, ...]
    """What of it still works on the data."""

    @property
    def title(self) -> str:
        """Return what will be done."""
        return f"{self.way} {self.unfinished}, of {self.site.place}"

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Return what was found, for people."""
        ours, expected = self.sight.ours, self.site.release_of(self.sight.previous)
        holder = self.sight.holder
        return [
            ("begun", str(self.unfinished)),
            *claim.facts(self.unfinished),
            ("running", describe(ours.running)),
            ("stopped", describe(ours.stopped)),
            ("ledger", f"{expected.body.version} was verified healthy last" if expected else "nothing"),
            ("lock", f"left by {holder}" if holder is not None else "none"),
            *([("migrations", down.fact(self.down))] if self.down is not None else []),
            *(("at work", busy.message) for busy in self.busy),
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
    """How it ended."""

    end: End
    evidence: str
    record: dict[str, Any]


class Found(Struct, frozen=True, kw_only=True):
    """What was found, and who is passed over for it."""

    sight: Sight
    breaks: Holder | None
    """Who may be alive, and whose lock is taken away all the same."""


def look(site: Site, *, break_lock: bool = False) -> Found:
    """Return what there is. `break_lock`: also where the lock's holder seems to be alive.

    Raises:
        LockHeld: the deployment may still be under way.
        TargetUnavailable: what the lock tells of it is not understood here.
    """
    sight = look_around(site)
    holder = lock.alive(site.target.keeper(), sight.holder)
    if holder is not None and journal.ended(site, holder.deployment):
        holder = None
    if holder is not None and not break_lock:
        raise lock.held_error(site.place, holder, "converge")
    unfinished = sight.unfinished or journal.find_last(site)
    if unfinished is None and sight.holder is not None:
        _understood(site, sight.holder)
    return Found(sight=replace(sight, unfinished=unfinished), breaks=holder)


def _understood(site: Site, left: Holder) -> None:
    """A lock is not taken for an empty one because a later version wrote it. Raises TargetUnavailable."""
    if not left.journal or journal.read(left.journal) is not None or journal.ended(site, left.deployment):
        return
    raise TargetUnavailable(
        f"converge {site.place}",
        f"the lock of {left} tells of a deployment that this version of the library does not understand",
        "upgrade the release library",
    )


def examine(site: Site, found: Found, *, way: Way | None) -> Halves | None:
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
    ours, unfinished, there = found.sight.ours, found.sight.unfinished, down.left(site)
    if unfinished is None:
        _refuse(f"converge {site.place}", down.at_work(there))
        return None
    started = unfinished.started
    before = site.event_of(started.previous) if started.previous is not None else None
    runs = any(each.labels.get(DEPLOYMENT) == started.deployment for each in ours.running)
    return Halves(
        site=site,
        sight=found.sight,
        unfinished=unfinished,
        release=_release(site, unfinished),
        before=before,
        secrets=tuple(_secrets(site, ours, started.run_spec, before)),
        breaks=found.breaks,
        way=way or ("finish" if runs and not unfinished.doubts else "revert"),
        asked=way is not None,
        down=down.outcome(there, started.deployment, started.down, locked=found.sight.holder is not None),
        busy=tuple(down.at_work(there)),
    )


def _refuse(attempted: str, busy: Iterable[Problem]) -> None:
    """Nothing is decided while a command of it changes the data. Raises NotReady."""
    if found := "; ".join(problem.message for problem in busy):
        raise NotReady(attempted, f"{found}; nothing was touched", "run it again when that has ended")


def _secrets(site: Site, ours: Ours, spec: RunSpec, before: Event | None) -> Iterator[Redacted]:
    """Where this clone cannot read a secret, or another value of it today, the containers still have it.

    Those of a Swarm are on its nodes, and it gives their secrets to nobody.
    """
    yield from read_secrets(site, spec)[0].values()
    if site.settings.engine != "docker":
        return
    old = before.deployment.run_spec.secrets if before is not None else {}
    names = {*spec.secrets, *old, *site.settings.secrets}
    for container in (*ours.up, *ours.stopped) if names else ():
        yield from secrets_in(site.engine, container.id, names)


def _release(site: Site, unfinished: Unfinished) -> Record[Release]:
    try:
        return release_record(site.desk.ledger, unfinished.started.release)
    except LedgerError as error:
        raise TargetUnavailable(
            f"converge {site.place}",
            f"{unfinished} is of a release that this clone's ledger lacks: {error.found}",
            f"run it again when the git remote answers; `{site.place.command('rollback')}` puts the last "
            "healthy release back",
        ) from error


def tidy(site: Site, found: Found, *, message: str, answers: bool) -> bool:
    """Remove the lock that was found, where nothing is half done any more; whether it was still there.

    Where its holder may be alive, a note says whose it was, and why it was taken.
    """
    holder = found.sight.holder
    if holder is None or not lock.drop(site.target.keeper(), site.place, holder):
        return False
    if found.breaks is not None:
        text = f"`invoke converge` took the lock of {site.place} from {found.breaks}: {message}"
        _append(site, [_draft(site, "converge", Note(text=text))], "whose lock was taken", publish=answers)
    return True


def carry_out(halves: Halves, *, message: str, answers: bool, interruption: Interruption) -> Converged:
    """Do it, and record how the deployment ended.

    Raises:
        Restored: finishing was asked for and failed, and what ran before runs again.
        MixedState: neither could be had; the message lists what is where.
        LockHeld: somebody else was faster.
        UsageError: this way is not open any more, or not yet; nothing was touched.
    """
    site = halves.site
    _refuse(halves.title, halves.busy)
    objection = site.target.objection(_order(halves), halves.way)
    if halves.way == "finish":
        objection = claim.objection(site, halves.unfinished, halves.sight.ours) or objection
    if objection is not None:
        raise objection
    kept = journal.keep(site, halves.unfinished, publish=answers) or halves.unfinished
    halves = replace(halves, unfinished=kept)
    keeper, holder = site.target.keeper(site.target.id_of(halves.release.body.image)), _holder(halves)
    means = Means(
        emit=site.desk.emit,
        cancellation=interruption.cancellation,
        mask=Mask(halves.secrets),
        still_mine=lambda: lock.ensure(keeper, site.place, holder),
    )
    held = lock.held(
        keeper, site.place, holder, site.desk.emit, breaking=halves.sight.holder, task="converge"
    )
    with interruption.held(), held:
        _same_as_found(halves)
        _not_ended(halves, answers=answers)
        done = _Ending(halves=halves, means=means, message=message, answers=answers).run()
        interruption.too_late = True
        return done


def _holder(halves: Halves) -> Holder:
    site, spec = halves.site, claim.settings(halves.site, halves.unfinished, halves.release)
    patience = site.target.patience(spec, site.settings.health_timeout)
    return Holder.here(
        who=site.desk.actor.name,
        url=site.desk.run("converge").url,
        deployment=halves.unfinished.started.deployment,
        milliseconds=15 * 60_000 + 2 * patience,
        now=site.target.keeper().now(),
        journal=journal.write(halves.unfinished.draft),
    )


def _same_as_found(halves: Halves) -> None:
    """Under the lock: nobody touched anything since it was shown."""
    now_there, before = proof.look(halves.site), halves.sight.ours
    if (now_there.ids, len(now_there.stopped)) != (before.ids, len(before.stopped)):
        raise LockHeld(
            halves.title,
            f"somebody came first: running {describe(now_there.running)}",
            "run it again",
        )


def _not_ended(halves: Halves, *, answers: bool) -> None:
    """Under the lock: nobody ended it since the ledger was read."""
    site = halves.site
    if answers:
        site.desk.refresh()
    if journal.ended(site, halves.unfinished.started.deployment):
        raise LockHeld(
            halves.title,
            "somebody ended it in the same moment; nothing was touched",
            f"`{site.place.command('status')}` shows what runs",
        )


class _Ending(Struct, frozen=True, kw_only=True):
    """The end of a deployment that somebody else began."""

    halves: Halves
    means: Means
    message: str
    answers: bool

    def run(self) -> Converged:
        halves = self.halves
        target, order = halves.site.target, _order(halves)
        try:
            if halves.way == "finish":
                return self._recorded("healthy", target.resume(order, self.means))
            return self._recorded("restored", target.retract(order, self.means))
        except MixedState as error:
            self._recorded("mixed", reason(error))
            raise self._whole(error) from error
        except Restored as error:
            done = self._recorded("restored", reason(error))
            if halves.asked:
                raise self._whole(error) from error
            return done
        except DeploymentFailed as error:
            done = self._recorded("failed", reason(error))
            if halves.way == "revert":
                return done
            raise self._whole(error) from error

    def _whole(self, error: DeploymentFailed) -> DeploymentFailed:
        """With what happened to the data before it."""
        return down.preceded(error, self.halves.down) if self.halves.down is not None else error

    def _recorded(self, end: End, seen: str) -> Converged:
        """Append what the ledger lacks, with what follows from a healthy end."""
        halves, site = self.halves, self.halves.site
        told = f"{down.fact(halves.down)}; then: {seen}" if halves.down is not None else seen
        evidence = self.means.mask(told)
        body = self._ended(end, evidence)
        start = halves.unfinished.start(site.desk)
        ends = claim.endings(halves.unfinished, start, self._draft(body))
        drafts = [*ends, *map(self._draft, self._words(end))]
        missing = f"the event {end!r}, with what goes with it,"
        records = _append(site, drafts, missing, publish=self.answers, mask=self.means.mask)
        ended = next((each for each in records if each.body == body), None)
        if halves.down is not None:
            self._about_data(end, halves.down, is_known=ended is not None)
        return Converged(end=end, evidence=evidence, record=event_json(self._draft(body), ended))

    def _ended(self, end: End, evidence: str) -> Deployment:
        halves, target = self.halves, self.halves.site.target
        proven = _proven(halves, end)
        body = halves.unfinished.ended(end, target.name, proven, evidence, self._said(), halves.down)
        if halves.breaks is None:
            return body
        return body.model_copy(update={"took_lock_from": brief(str(halves.breaks))})

    def _about_data(self, end: End, undoing: Undoing, *, is_known: bool) -> None:
        """Say what is to be done; the ledger knows what the container of the command knew."""
        halves = self.halves
        if end == "healthy":
            down.tidy(halves.site)
            return
        halves.site.desk.emit(Warned(text=f"{down.fact(undoing)}: {down.remedy(undoing)}"))
        if is_known:
            down.tidy(halves.site, halves.unfinished.started.deployment)

    def _said(self) -> str:
        done, why = "finished" if self.halves.way == "finish" else "reverted", self.means.mask(self.message)
        return f"{done} by `invoke converge`" + (f": {why}" if why else "")

    def _words(self, end: End) -> Iterable[Body]:
        """Return what a rollback leaves behind, as if it had ended by itself."""
        if end != "healthy":
            return ()
        halves, site, started = self.halves, self.halves.site, self.halves.unfinished.started
        if started.reason == "rollback" and started.previous is not None and halves.before is None:
            text = f"the deployment {started.previous} that ran before is not in this clone's ledger"
            site.desk.emit(Warned(text=f"{text}: its release is not set aside; `invoke quarantine` does it"))
        said = policy.words(site.desk.ledger, site.place, halves.release.id)
        after = policy.aftermath(
            site.place,
            "rollback" if started.reason == "rollback" else "promote",
            halves.release,
            site.release_of(halves.before),
            said,
            freeze=site.settings.freeze_after_rollback,
        )
        return after.bodies(started.deployment, started.message or self._said())

    def _draft(self, body: Body) -> Draft[Body]:
        return _draft(self.halves.site, self.halves.unfinished.started.deployment, body)


def _draft(site: Site, run: str, body: Body) -> Draft[Body]:
    return Draft(
        service=site.place.service,
        recorded_at=now(),
        actor=site.desk.actor,
        run=site.desk.run(run),
        tool=TOOL,
        body=body,
    )


def _append(
    site: Site, drafts: list[Draft[Body]], missing: str, *, publish: bool, mask: Mask | None = None
) -> tuple[Record[Body], ...]:
    """Add them to the ledger; none, and a warning, where that cannot be: what was done is done."""
    try:
        return site.desk.ledger.append_events(drafts, publish=publish) or ()
    except Exception as error:  # noqa: BLE001 - whatever it is, it undoes nothing
        text = unrecorded(missing, error)
        site.desk.emit(Warned(text=mask(text) if mask is not None else text))
        return ()


def _proven(halves: Halves, end: End) -> str | None:
    """The digest that is proven to run after this end."""
    if end == "restored":
        runs = _runs(halves.site)
        return runs.deployment.digest if runs is not None else None
    return halves.unfinished.started.digest if end == "healthy" else None


def _runs(site: Site) -> Event | None:
    """The healthy deployment that was put back, where engine and ledger tell."""
    try:
        return running_event(site, proof.look(site))
    except EngineError:
        return None


def _order(halves: Halves) -> Order:
    site, started, body = halves.site, halves.unfinished.started, halves.release.body
    return Order(
        place=site.place,
        identity=Identity(
            deployment=started.deployment,
            version=body.version,
            commit=body.source.commit,
            digest=Digest(started.digest),
            record=started.release,
        ),
        image=body.image,
        spec=claim.settings(site, halves.unfinished, halves.release),
        secrets={},
        before=halves.sight.ours,
        old=halves.before.deployment.run_spec if halves.before is not None else None,
        health_timeout=site.settings.health_timeout,
        watch=watching.wanted(started.run_spec, started.reason),
        replaces=started.previous,
        reason=started.reason,
    )
