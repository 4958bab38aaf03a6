"""A deployment or a rollback from the words of the operator to a plan. Nothing is touched.

Everything is found out, and everything that can fail is checked. `prepare` gives a frozen value that can be
shown; `operation.carry_out` does what was shown.
"""

from __future__ import annotations

from typing import Final

from release.deploy.core import image_location, lock
from release.deploy.core.image_location import Bytes, Room
from release.deploy.core.lock import Holder
from release.deploy.core.place import ContainerSet
from release.deploy.core.verbs import attempt
from release.deploy.environment import identify, journal
from release.deploy.environment.crossing import crossing_between
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.ingress import moved, placed
from release.deploy.environment.observe import Observation, look_around
from release.deploy.planning import downgrade, migration_gate, policy, preflight
from release.deploy.planning.downgrade import Down, Earlier
from release.deploy.planning.plan import NO_COMMITS, Facts, Listed, Plan, Reason, make_plan
from release.deploy.planning.policy import NOTHING, Aftermath, Allowance
from release.deploy.planning.settings import fingerprints, pinned_problems, read_secrets, wanted_settings
from release.deploy.targets.engine import checks
from release.errors import Problem, SourceError, UsageError
from release.ledger import query
from release.ledger.diff import lacking
from release.ledger.query import Event
from release.migrations import Crossing
from release.records import Record, Release
from release.redact import Mask, Redacted
from release.runspec import RunSpec
from release.values import Struct, replace

_DURATIONS: Final = 20
"""How many earlier deployments the expected time is taken from."""
_COMMITS: Final = 50
"""How many commits a plan lists at most."""


class Prepared(Struct, frozen=True, kw_only=True):
    """What was found and decided before anything is touched."""

    live: LiveEnvironment
    plan: Plan
    target: Record[Release]
    spec: RunSpec
    bytes: Bytes
    observation: Observation
    secrets: dict[str, Redacted]
    aftermath: Aftermath
    """What is recorded with it."""
    down: Down | None
    """What runs before anything is replaced, to undo migrations."""
    undone: Earlier | None
    """Who undid some already, so that the data may be older than what runs."""
    allowed: Allowance
    breaks: Holder | None
    """Whose lock is taken away."""
    answers: bool
    """Whether the ledger's remote answered a moment ago."""

    @property
    def ours(self) -> ContainerSet:
        """The containers that were there."""
        return self.observation.ours

    @property
    def event(self) -> Event | None:
        """The healthy deployment that really runs, if the ledger knows it."""
        return self.observation.event

    @property
    def previous(self) -> Event | None:
        """Return what the ledger says should be running."""
        return self.observation.previous

    @property
    def mask(self) -> Mask:
        """Takes the secrets out of text."""
        return Mask(self.hidden)

    @property
    def hidden(self) -> tuple[Redacted, ...]:
        """Every secret that plays a part."""
        return (*self.secrets.values(), *(self.down.secrets.values() if self.down is not None else ()))


def prepare(
    live: LiveEnvironment,
    target: Record[Release],
    why: Reason,
    *,
    answers: bool = True,
    ran: Event | None = None,
    allowed: Allowance = NOTHING,
    observation: Observation | None = None,
) -> Prepared:
    """Find out everything, decide, and check what can fail.

    Args:
        site: the environment.
        target: the release that is to run there.
        why: with today's settings (promote), or with those it ran with (rollback).
        answers: whether the ledger's remote does; if not, events are kept here and nothing waits for it.
        ran: the healthy deployment whose settings a rollback restores; absent: the release's last one.
        allowed: what the command line allows beyond the usual; the plan says what of it was needed.
        sight: what is there, where somebody has looked just now.

    Raises:
        TargetUnavailable: quarantined, no settings to restore, or the image's bytes are nowhere.
        NotReady: frozen; secrets, ports, networks or volumes; with everything else that was found.
        LockHeld: another deployment is under way.
        EngineError: the engine does not answer, or not well.
        LedgerUnproven: a commit of the ledger breaks its rules; a rollback goes by the verified head.
    """
    unproven = live.workspace.ledger.unproven
    if unproven is not None and why == "promote":
        raise unproven
    said = policy.words(live.workspace.ledger, live.place, target.id)
    known, lacking = wanted_settings(live, target, why, ran)
    wanted = placed(known, live.settings)
    secrets, missing = read_secrets(live, wanted)
    spec = wanted.model_copy(update={"secrets": fingerprints(live, secrets)})
    missing += [*lacking, *pinned_problems(live, wanted.secrets, spec.secrets)]
    found = _located(live, target, allowed)
    room = _room(live, target, found)
    missing += [Problem(path="image", message=room.short)] if room.short and why == "promote" else []
    observation = observation or look_around(live)
    left = _baseline(live, observation)
    data = _data(live, observation, left, target, allowed)
    against = [*policy.closed(said, live.place, why, allowed), *data.problems]
    barred = policy.barred(said, live.place, target, allowed)
    breaks = _breaks(live, observation, allowed)
    holder = lock.alive(live.target.lock_store(), observation.holder) if breaks is None else None
    _check(live, target, why, spec, found, [*against, *missing], barred, holder, observation.ours)
    after = policy.aftermath(
        live.place, why, target, observation.left, said, freeze=live.settings.freeze_after_rollback
    )
    facts = _facts(live, target, why, spec, found, observation, allowed)
    quarantine, frost = str(said.quarantine or ""), str(said.frost or "")
    elsewhere = moved(known, live.settings) if why == "rollback" else ""
    plan = make_plan(
        replace(
            facts,
            quarantine=quarantine,
            frost=frost,
            crossing=data.crossing,
            down=data.down.first if data.down is not None else None,
            about_data=data.notes,
            cautions=(*live.target.cautions(), *identify.told(live, observation.ours.strangers)),
            then=after.sentences(),
            rehearsed=_rehearsed(live),
            moved=elsewhere,
            room=room.short or room.unknown,
        )
    )
    return Prepared(
        live=live,
        plan=plan,
        target=target,
        spec=spec,
        bytes=found,
        observation=observation,
        secrets=secrets,
        aftermath=after,
        down=data.down,
        undone=data.earlier,
        allowed=allowed,
        breaks=breaks,
        answers=answers,
    )


def _located(live: LiveEnvironment, target: Record[Release], allowed: Allowance) -> Bytes:
    """Where the bytes would come from: at last from the record itself. Raises UsageError, EngineError."""
    found = live.target.locate(target.body.image, image_location.telling(live.workspace.emit))
    if not allowed.rebuild or found.where != "nowhere":
        return found
    if not _is_single(live):
        raise UsageError(
            f"build {target.body.version} again for {live.place}",
            "it is a Swarm, whose nodes take images from the registry",
            f"`{live.workspace.command(f'verify --rebuild {target.body.version} --keep')}`, "
            "and docker push what it keeps",
        )
    return replace(found, where="rebuild")


def _room(live: LiveEnvironment, target: Record[Release], found: Bytes) -> Room:
    """The nodes of a Swarm have disks of their own."""
    return checks.room(live.engine, target.body.image, found) if _is_single(live) else Room()


def _is_single(live: LiveEnvironment) -> bool:
    return live.settings.engine == "docker"


class _Data(Struct, frozen=True, kw_only=True):
    """What is to become of the data, where it is said which files are migrations."""

    crossing: Crossing | None = None
    down: Down | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    earlier: Earlier | None = None


def _data(
    live: LiveEnvironment,
    observation: Observation,
    left: Record[Release] | None,
    target: Record[Release],
    allowed: Allowance,
) -> _Data:
    if live.workspace.service.migrations is None:
        return _Data()
    between, there = crossing_between(live, left, target), downgrade.left(live)
    before = downgrade.earlier_of(live, there, observation)
    first, against = downgrade.decide(live, observation, left, between, allowed, before)
    return _Data(
        crossing=between,
        down=first,
        problems=(*migration_gate.closed(live, between, allowed), *against, *downgrade.at_work(there)),
        notes=(*migration_gate.idle(live, left, target), *downgrade.notes(live, between, allowed, before)),
        earlier=before,
    )


def _check(
    live: LiveEnvironment,
    target: Record[Release],
    why: Reason,
    spec: RunSpec,
    found: Bytes,
    missing: list[Problem],
    barred: list[Problem],
    holder: Holder | None,
    ours: ContainerSet,
) -> None:
    """Refuse with all that was found. The lock is looked at last: what it guards may move until then."""
    problems = [*missing, *live.target.settings_problems(spec, target.body.image)]
    if _is_single(live):  # the nodes of a Swarm have processors of their own
        problems += checks.image_problems(live.engine, target.body.image)
    occupied = live.target.occupation_problems(spec, ours)
    preflight.refuse(
        attempt(why, f"{target.body.version} of {live.place}"),
        found,
        [*problems, *occupied] if holder is None else problems,
        lock.held_error(live.place, holder, lock.task_of(why)) if holder is not None else None,
        barred=barred,
    )


def _breaks(live: LiveEnvironment, observation: Observation, allowed: Allowance) -> Holder | None:
    """Whose lock is taken away: the command line says so, or the deployment has ended and it is nobody's."""
    holder = observation.holder
    if holder is None or allowed.break_lock:
        return holder
    return holder if journal.ended(live, holder.deployment) else None


def _broken(breaks: Holder | None, allowed: Allowance) -> str:
    if breaks is None:
        return ""
    return str(breaks) if allowed.break_lock else f"{breaks}, whose deployment has ended"


def _facts(
    live: LiveEnvironment,
    target: Record[Release],
    why: Reason,
    spec: RunSpec,
    found: Bytes,
    observation: Observation,
    allowed: Allowance,
) -> Facts:
    before = observation.left
    return Facts(
        place=live.place,
        engine=live.target.name,
        reason=why,
        target=target,
        spec=spec,
        ours=observation.ours,
        image=live.target.id_of(target.body.image),
        strategy=live.target.strategy(spec),
        event=observation.told,
        release=before,
        expected=_expected(live, observation),
        runs_event=observation.event is not None,
        unfinished=str(observation.unfinished or ""),
        broken=_broken(_breaks(live, observation, allowed), allowed),
        again=allowed.again,
        bytes_from=found.where,
        undone=_commits(live, before, target) if before is not None else NO_COMMITS,
        added=_commits(live, target, before) if before is not None else NO_COMMITS,
        durations=live.durations(_DURATIONS),
        build_ms=_build_ms(target.body) if found.where == "rebuild" else 0,
    )


def _baseline(live: LiveEnvironment, observation: Observation) -> Record[Release] | None:
    """Whose migrations the data has: what is left, or for want of that what the ledger says."""
    return observation.left if observation.left is not None else live.release_of(observation.previous)


def _expected(live: LiveEnvironment, observation: Observation) -> str:
    """The version that the ledger says should be running."""
    if observation.previous is None:
        return ""
    release = live.release_of(observation.previous)
    return release.body.version if release is not None else "an unknown release"


def _build_ms(body: Release) -> int:
    return sum(gate.duration_ms for gate in body.gates if gate.name == "build")


def _rehearsed(live: LiveEnvironment) -> str:
    """As "2.1 s on 2026-11-20"."""
    last = query.last_drill(live.workspace.ledger, live.place.service, live.place.environment)
    if last is None:
        return ""
    return f"{last.verification.duration_ms / 1000:.1f} s on {last.recorded_at[:10]}"


def _commits(live: LiveEnvironment, newer: Record[Release], older: Record[Release]) -> Listed:
    """First lines of the commits in one release and not in the other, or which of the two git lacks."""
    commit, since = newer.body.source.commit, older.body.source.commit
    if commit == since:
        return NO_COMMITS
    try:
        messages = tuple(
            live.workspace.source.messages(commit, since=since, folder=live.workspace.service.context)
        )
    except SourceError:
        return Listed(
            lines=(f"not listed: this clone lacks {lacking(live.workspace.source, commit, since)}",),
            count=None,
        )
    lines = (message.subject for message in messages[:_COMMITS])
    return Listed(lines=tuple(lines), count=len(messages))
