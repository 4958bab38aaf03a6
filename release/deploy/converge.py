"""After a crash in the middle of a deployment: what is there, and how it becomes one state again.

What was meant is read where it happened (`release.deploy.journal`), so any operator's clone will do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from release.actor import TOOL, now
from release.deploy import journal, lock, policy
from release.deploy.docker import DEPLOYMENT, Identity, describe
from release.deploy.journal import End, Unfinished
from release.deploy.lock import Holder
from release.deploy.operation import event_json
from release.deploy.rollout import reason
from release.deploy.sight import Sight, look_around
from release.deploy.site import Site
from release.deploy.target import Means, Order, Way
from release.deploy.wanted import read_secrets
from release.errors import DeploymentFailed, LedgerError, LockHeld, MixedState, Restored, TargetUnavailable
from release.events import Warned
from release.interruption import Interruption
from release.ledger.releases import release_record
from release.records import Body, Deployment, Draft, Record, Release
from release.redact import Mask
from release.reference import Digest


@dataclass(frozen=True, kw_only=True)
class Halves:
    """A deployment that ended in the middle, and what is decided about it."""

    site: Site
    sight: Sight
    unfinished: Unfinished
    release: Record[Release]
    way: Way
    asked: bool
    """Whether somebody named the way."""

    @property
    def title(self) -> str:
        """What will be done."""
        return f"{self.way} {self.unfinished}, of {self.site.place}"

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What was found, for people."""
        ours, expected = self.sight.ours, self.site.release_of(self.sight.previous)
        holder = self.sight.holder
        return [
            ("begun", str(self.unfinished)),
            ("running", describe(ours.running)),
            ("stopped", describe(ours.stopped)),
            ("ledger", f"{expected.body.version} was verified healthy last" if expected else "nothing"),
            ("lock", f"left by {holder}" if holder is not None else "none"),
        ]

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "deployment": self.unfinished.started.deployment,
            "version": self.release.body.version,
            "way": self.way,
            **dict(self.rows),
        }


@dataclass(frozen=True, kw_only=True)
class Converged:
    """How it ended."""

    end: End
    evidence: str
    record: dict[str, Any]


def examine(site: Site, *, way: Way | None, break_lock: bool = False) -> Halves | None:
    """What was begun here and never ended; None where nothing is open.

    Args:
        site: the environment.
        way: what to do; absent: finish where the new one runs, and revert should it not prove healthy;
            revert where it does not run.
        break_lock: also where the lock's holder seems to be alive.

    Raises:
        LockHeld: the deployment may still be under way.
        TargetUnavailable: its release is not in the ledger.
    """
    sight = look_around(site)
    keeper = site.target.keeper()
    holder = lock.alive(keeper, sight.holder)
    has_ended = holder is not None and journal.ended(site, holder.deployment)
    if holder is not None and not break_lock and not has_ended:
        raise lock.held_error(site.place, holder)
    if sight.unfinished is None:
        return None
    runs = any(
        each.labels.get(DEPLOYMENT) == sight.unfinished.started.deployment for each in sight.ours.running
    )
    return Halves(
        site=site,
        sight=sight,
        unfinished=sight.unfinished,
        release=_release(site, sight.unfinished),
        way=way or ("finish" if runs else "revert"),
        asked=way is not None,
    )


def _release(site: Site, unfinished: Unfinished) -> Record[Release]:
    try:
        return release_record(site.desk.ledger, unfinished.started.release)
    except LedgerError as error:
        raise TargetUnavailable(
            f"converge {site.place}",
            f"{unfinished} is of a release that this clone's ledger lacks: {error.found}",
            "run it again when the git remote answers; `invoke rollback` puts the last healthy release back",
        ) from error


def tidy(site: Site) -> bool:
    """Remove a lock where nothing is half done any more; whether there was one."""
    keeper = site.target.keeper()
    kept = keeper.get(site.place.lock)
    if kept is None:
        return False
    keeper.drop(kept.id)
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
    secrets, _ = read_secrets(site, halves.unfinished.started.run_spec)
    means = Means(emit=site.desk.emit, cancellation=interruption.cancellation, mask=Mask(secrets.values()))
    objection = site.target.objection(_order(halves), halves.way)
    if objection is not None:
        raise objection  # before the lock is taken: it holds the journal
    keeper = site.target.keeper(site.target.id_of(halves.release.body.image))
    held = lock.held(keeper, site.place, _holder(halves), site.desk.emit, breaking=halves.sight.holder)
    with interruption.held(), held:
        _same_as_found(halves)
        return _Ending(halves=halves, means=means, message=message, answers=answers).run()


def _holder(halves: Halves) -> Holder:
    site, spec = halves.site, halves.unfinished.started.run_spec
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
    now_there, before = halves.site.target.look(), halves.sight.ours
    if (now_there.ids, len(now_there.stopped)) != (before.ids, len(before.stopped)):
        raise LockHeld(
            halves.title,
            f"somebody came first: running {describe(now_there.running)}",
            "run it again",
        )


@dataclass(frozen=True, kw_only=True)
class _Ending:
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
            raise
        except Restored as error:
            done = self._recorded("restored", reason(error))
            if halves.asked:
                raise
            return done
        except DeploymentFailed as error:
            done = self._recorded("failed", reason(error))
            if halves.way == "revert":
                return done
            raise

    def _recorded(self, end: End, evidence: str) -> Converged:
        """Append what the ledger lacks, with what follows from a healthy end."""
        halves, site = self.halves, self.halves.site
        body = halves.unfinished.ended(
            end, site.target.name, _proven(halves, end), self.means.mask(evidence), self._said()
        )
        drafts = [*halves.unfinished.drafts(self._draft(body)), *map(self._draft, self._words(end))]
        try:
            records = site.desk.ledger.append_events(drafts, publish=self.answers)
        except LedgerError as error:
            site.desk.emit(Warned(text=f"the end is not in the ledger yet: {error.attempted}: {error.found}"))
            records = None
        ended = next(
            (each for each in records or () if isinstance(each.body, Deployment) and each.body == body), None
        )
        record = event_json(self._draft(body), ended)
        return Converged(end=end, evidence=evidence, record=record)

    def _said(self) -> str:
        done = "finished" if self.halves.way == "finish" else "reverted"
        return f"{done} by `invoke converge`" + (f": {self.message}" if self.message else "")

    def _words(self, end: End) -> Iterable[Body]:
        """What a rollback leaves behind, as if it had ended by itself."""
        if end != "healthy":
            return ()
        halves, site, started = self.halves, self.halves.site, self.halves.unfinished.started
        said = policy.words(site.desk.ledger, site.place, halves.release.id)
        after = policy.aftermath(
            site.place,
            "rollback" if started.reason == "rollback" else "promote",
            halves.release,
            site.release_of(halves.sight.previous),
            said,
            freeze=site.settings.freeze_after_rollback,
        )
        return after.bodies(started.deployment, started.message or self._said())

    def _draft(self, body: Body) -> Draft[Body]:
        desk, started = self.halves.site.desk, self.halves.unfinished.started
        return Draft(
            service=self.halves.site.place.service,
            recorded_at=now(),
            actor=desk.actor,
            run=desk.run(started.deployment),
            tool=TOOL,
            body=body,
        )


def _proven(halves: Halves, end: End) -> str | None:
    """The digest that is proven to run after this end."""
    before = halves.sight.previous
    proven = {
        "healthy": halves.unfinished.started.digest,
        "restored": before.deployment.digest if before is not None else None,
    }
    return proven.get(end)


def _order(halves: Halves) -> Order:
    site, started, body = halves.site, halves.unfinished.started, halves.release.body
    previous = halves.sight.previous
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
        spec=started.run_spec,
        secrets={},
        before=halves.sight.ours,
        old=previous.deployment.run_spec if previous is not None else None,
        health_timeout=site.settings.health_timeout,
        replaces=previous.deployment.deployment if previous is not None else None,
    )
