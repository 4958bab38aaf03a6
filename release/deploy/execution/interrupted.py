"""A deployment that ended in the middle: found by the lock, the ledger and the containers, and shown.

The intention is read from the target (`release.deploy.environment.journal`), so any operator's clone will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from release.deploy.core import lock, watch_time
from release.deploy.core.instance import InstanceSet
from release.deploy.core.lock import Holder
from release.deploy.core.place import DEPLOYMENT, Identity, describe
from release.deploy.core.rollout import RolloutRequest, Way
from release.deploy.environment import journal, lock_claim
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.journal import Unfinished
from release.deploy.environment.observe import Observation, look_around
from release.deploy.execution import recording
from release.deploy.planning import data_changes, migration_containers
from release.deploy.planning.settings import read_secrets
from release.errors import LedgerError, NotReady, Problem, TargetUnavailable
from release.ledger.query import Event
from release.ledger.releases import release_record
from release.records import Adoption, Note, Record, Release
from release.records.events import DataChange, Undoing, Upgrade
from release.reference import Digest
from release.runspec import RunSpec
from release.secrets.redact import Mask, Redacted
from release.values import Struct, replace


class InterruptedDeployment(Struct, frozen=True, kw_only=True):
    """An interrupted deployment, and the decision to finish or revert it."""

    live: LiveEnvironment
    observation: Observation
    unfinished: Unfinished
    release: Record[Release]
    before: Event | None
    """Deployment that ran before, named by the interrupted one; None if this ledger lacks it."""
    secrets: tuple[Redacted, ...]
    """Values of the secrets, as far as they are known here or in the containers."""
    breaks: Holder | None
    """Holder that may be alive, and whose lock is taken away all the same."""
    way: Way
    asked: bool
    """True if the command line named the way."""
    down: Undoing | None
    """Migrations that the deployment undid, or may have undone."""
    up: Upgrade | None
    """Migration command that the deployment ran, or may have run."""
    busy: tuple[Problem, ...]
    """Commands of the deployment that still change the data."""
    written: tuple[tuple[str, str], ...] = ()
    """Last lines of these commands, by "up" and "down"."""

    @property
    def changes(self) -> tuple[DataChange, ...]:
        """Return the deployment's change of the data."""
        return tuple(change for change in (self.down, self.up) if change is not None)

    @property
    def request(self) -> RolloutRequest:
        """Return the request to the target: finish or revert this deployment."""
        live, started, body = self.live, self.unfinished.started, self.release.body
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
            spec=lock_claim.settings(live, self.unfinished, self.release),
            secrets={},
            before=self.observation.ours.own,
            old=self.before.deployment.run_spec if self.before is not None else None,
            health_timeout=live.settings.health_timeout,
            health_timeouts=live.settings.health_timeouts,
            watch=watch_time.wanted(started.run_spec, started.reason),
            replaces=started.previous if self.adopted is None else None,
            reason=started.reason,
        )

    @property
    def adopted(self) -> Adoption | None:
        """Return the adopted object that ran before; None if there was none."""
        return self.before.deployment.adopted if self.before is not None else None

    @property
    def title(self) -> str:
        """Return the action as text."""
        return f"{self.way} {self.unfinished}, of {self.live.place}"

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Return the findings as rows of text."""
        ours, expected = self.observation.ours, self.live.release_of(self.observation.previous)
        holder = self.observation.holder
        return [
            ("begun", str(self.unfinished)),
            *lock_claim.facts(self.unfinished),
            ("running", describe(ours.running)),
            ("stopped", describe(ours.stopped)),
            ("ledger", f"{expected.body.version} was verified healthy last" if expected else "nothing"),
            ("lock", f"left by {holder}" if holder is not None else "none"),
            *(("migrations", data_changes.data_change_text(change)) for change in self.changes),
            *(("in progress", busy.message) for busy in self.busy),
            *((f"output of {kind}", text) for kind, text in self.written),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the deployment as JSON data."""
        return {
            "deployment": self.unfinished.started.deployment,
            "version": self.release.body.version,
            "way": self.way,
            **dict(self.rows),
        }


class LockedState(Struct, frozen=True, kw_only=True):
    """Current state, and the lock to take over."""

    observation: Observation
    breaks: Holder | None
    """Holder that may be alive, and whose lock is taken away all the same."""


def find(live: LiveEnvironment, *, break_lock: bool = False) -> LockedState:
    """Return the current state. `break_lock`: also if the lock's holder seems to be alive.

    Raises:
        LockHeld: the deployment may still be under way.
        TargetUnavailable: this version of the library cannot read the lock.
    """
    observation = look_around(live)
    holder = lock.valid_holder(live.target.lock_store(), observation.holder)
    if holder is not None and journal.ended(live, holder.deployment):
        holder = None
    if holder is not None and not break_lock:
        raise lock.held_error(live.place, holder, "converge")
    unfinished = observation.unfinished or journal.find_last(live)
    if unfinished is None and observation.holder is not None:
        _refuse_unknown(live, observation.holder)
    return LockedState(observation=replace(observation, unfinished=unfinished), breaks=holder)


def _refuse_unknown(live: LiveEnvironment, left: Holder) -> None:
    """Refuse a lock that a later version wrote. Raises TargetUnavailable."""
    if not left.journal or journal.read(left.journal) is not None or journal.ended(live, left.deployment):
        return
    raise TargetUnavailable(
        f"converge {live.place}",
        f"the lock of {left} holds a deployment that this version of the library does not know",
        "upgrade the release library",
    )


def examine(live: LiveEnvironment, found: LockedState, *, way: Way | None) -> InterruptedDeployment | None:
    """Return the deployment that was begun here and never ended; None if there is none.

    Args:
        live: the environment.
        found: the current state.
        way: what to do; absent: finish if the new release runs, and revert if it does not prove healthy;
            revert if it does not run.

    Raises:
        NotReady: nothing is open, and a command still undoes migrations.
        TargetUnavailable: the deployment's release is not in the ledger.
    """
    ours, unfinished = found.observation.ours, found.observation.unfinished
    there = migration_containers.find_own(live)
    if unfinished is None:
        refuse_busy(f"converge {live.place}", migration_containers.still_running(live, there))
        return None
    started = unfinished.started
    before = live.event_of(started.previous) if started.previous is not None else None
    locked = found.observation.holder is not None
    runs = any(each.labels.get(DEPLOYMENT) == started.deployment for each in ours.running)
    secrets = tuple(_secrets(live, ours, started.run_spec, before))
    interrupted = InterruptedDeployment(
        live=live,
        observation=found.observation,
        unfinished=unfinished,
        release=_release(live, unfinished),
        before=before,
        secrets=secrets,
        breaks=found.breaks,
        way=way or ("finish" if runs and not unfinished.doubts else "revert"),
        asked=way is not None,
        down=migration_containers.outcome(there, started.deployment, started.down, locked=locked),
        up=migration_containers.outcome(there, started.deployment, started.up, locked=locked),
        busy=tuple(migration_containers.still_running(live, there)),
        written=migration_containers.written(live, there, started.deployment, Mask(secrets)),
    )
    return interrupted if way is not None else _open_way(interrupted)


def _open_way(interrupted: InterruptedDeployment) -> InterruptedDeployment:
    """Return the deployment with the only possible way, as after an interrupted restoration."""
    ask, request = interrupted.live.target.rollouts.objection, interrupted.request
    if interrupted.way == "revert" or request.spec.processes is None or ask(request, "finish") is None:
        return interrupted
    return interrupted if ask(request, "revert") is not None else replace(interrupted, way="revert")


def refuse_busy(attempted: str, busy: Iterable[Problem]) -> None:
    """Raise NotReady while a command of the deployment changes the data."""
    if found := "; ".join(problem.message for problem in busy):
        raise NotReady(
            attempted, f"{found}; nothing was changed", "run it again after that deployment has ended"
        )


def _secrets(
    live: LiveEnvironment, ours: InstanceSet, spec: RunSpec, before: Event | None
) -> Iterator[Redacted]:
    """Return this clone's secrets and those in the containers, which may have other values.

    A cluster does not return the secrets of its containers.
    """
    yield from read_secrets(live, spec)[0].values()
    old = before.deployment.run_spec.secrets if before is not None else {}
    names = {*spec.secrets, *old, *live.settings.secrets}
    for instance in ours.every if names else ():
        yield from live.target.instances.secrets(instance, names)


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


def remove_lock(live: LiveEnvironment, found: LockedState, *, message: str, answers: bool) -> bool:
    """Remove the found lock if no deployment is interrupted; return whether it still existed.

    If the holder may be alive, a note records the holder and the reason.
    """
    holder = found.observation.holder
    if holder is None or not lock.drop(live.target.lock_store(), live.place, holder):
        return False
    if found.breaks is not None:
        text = f"`invoke converge` took the lock of {live.place} from {found.breaks}: {message}"
        drafts = [recording.draft(live, "converge", Note(text=text))]
        recording.append_or_warn(live, drafts, "whose lock was taken", publish=answers)
    return True
