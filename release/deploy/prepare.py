"""A deployment or a rollback from the words of the operator to a plan. Nothing is touched.

Everything is found out, and everything that can fail is checked. `prepare` gives a frozen value that can be
shown; `operation.carry_out` does what was shown.
"""

from __future__ import annotations

from typing import Final

from release.deploy import down, fence, journal, lock, policy, preflight, proof
from release.deploy.docker import Ours
from release.deploy.down import Down, Earlier
from release.deploy.lock import Holder
from release.deploy.plan import NO_COMMITS, Facts, Listed, Plan, Reason, make_plan
from release.deploy.policy import NOTHING, Aftermath, Allowance
from release.deploy.preflight import Bytes, Room
from release.deploy.sight import Sight, look_around
from release.deploy.site import Site
from release.deploy.topology import moved, placed
from release.deploy.verbs import attempt
from release.deploy.wanted import fingerprints, pinned_problems, read_secrets, wanted_settings
from release.errors import Problem, SourceError, UsageError
from release.frozen import Struct, replace
from release.ledger import query
from release.ledger.diff import lacking
from release.ledger.query import Event
from release.migrations import Crossing
from release.records import Record, Release
from release.redact import Mask, Redacted
from release.runspec import RunSpec

_DURATIONS: Final = 20
"""How many earlier deployments the expected time is taken from."""
_COMMITS: Final = 50
"""How many commits a plan lists at most."""


class Prepared(Struct, frozen=True, kw_only=True):
    """What was found and decided before anything is touched."""

    site: Site
    plan: Plan
    target: Record[Release]
    spec: RunSpec
    bytes: Bytes
    sight: Sight
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
    def ours(self) -> Ours:
        """The containers that were there."""
        return self.sight.ours

    @property
    def event(self) -> Event | None:
        """The healthy deployment that really runs, if the ledger knows it."""
        return self.sight.event

    @property
    def previous(self) -> Event | None:
        """Return what the ledger says should be running."""
        return self.sight.previous

    @property
    def mask(self) -> Mask:
        """Takes the secrets out of text."""
        return Mask(self.hidden)

    @property
    def hidden(self) -> tuple[Redacted, ...]:
        """Every secret that plays a part."""
        return (*self.secrets.values(), *(self.down.secrets.values() if self.down is not None else ()))


def prepare(
    site: Site,
    target: Record[Release],
    why: Reason,
    *,
    answers: bool = True,
    ran: Event | None = None,
    allowed: Allowance = NOTHING,
    sight: Sight | None = None,
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
    unproven = site.desk.ledger.unproven
    if unproven is not None and why == "promote":
        raise unproven
    said = policy.words(site.desk.ledger, site.place, target.id)
    known, lacking = wanted_settings(site, target, why, ran)
    wanted = placed(known, site.settings)
    secrets, missing = read_secrets(site, wanted)
    spec = wanted.model_copy(update={"secrets": fingerprints(site, secrets)})
    missing += [*lacking, *pinned_problems(site, wanted.secrets, spec.secrets)]
    found = _located(site, target, allowed)
    room = _room(site, target, found)
    missing += [Problem(path="image", message=room.short)] if room.short and why == "promote" else []
    sight = sight or look_around(site)
    left = _baseline(site, sight)
    data = _data(site, sight, left, target, allowed)
    against = [*policy.closed(said, site.place, why, allowed), *data.problems]
    barred = policy.barred(said, site.place, target, allowed)
    breaks = _breaks(site, sight, allowed)
    holder = lock.alive(site.target.keeper(), sight.holder) if breaks is None else None
    _check(site, target, why, spec, found, [*against, *missing], barred, holder, sight.ours)
    after = policy.aftermath(
        site.place, why, target, sight.left, said, freeze=site.settings.freeze_after_rollback
    )
    facts = _facts(site, target, why, spec, found, sight, allowed)
    quarantine, frost = str(said.quarantine or ""), str(said.frost or "")
    elsewhere = moved(known, site.settings) if why == "rollback" else ""
    plan = make_plan(
        replace(
            facts,
            quarantine=quarantine,
            frost=frost,
            crossing=data.crossing,
            down=data.down.first if data.down is not None else None,
            about_data=data.notes,
            cautions=(*site.target.cautions(), *proof.told(site, sight.ours.strangers)),
            then=after.sentences(),
            rehearsed=_rehearsed(site),
            moved=elsewhere,
            room=room.short or room.unknown,
        )
    )
    return Prepared(
        site=site,
        plan=plan,
        target=target,
        spec=spec,
        bytes=found,
        sight=sight,
        secrets=secrets,
        aftermath=after,
        down=data.down,
        undone=data.earlier,
        allowed=allowed,
        breaks=breaks,
        answers=answers,
    )


def _located(site: Site, target: Record[Release], allowed: Allowance) -> Bytes:
    """Where the bytes would come from: at last from the record itself. Raises UsageError, EngineError."""
    found = site.target.locate(target.body.image, preflight.telling(site.desk.emit))
    if not allowed.rebuild or found.where != "nowhere":
        return found
    if not _is_single(site):
        raise UsageError(
            f"build {target.body.version} again for {site.place}",
            "it is a Swarm, whose nodes take images from the registry",
            f"`{site.desk.command(f'verify --rebuild {target.body.version} --keep')}`, "
            "and docker push what it keeps",
        )
    return replace(found, where="rebuild")


def _room(site: Site, target: Record[Release], found: Bytes) -> Room:
    """The nodes of a Swarm have disks of their own."""
    return preflight.room(site.engine, target.body.image, found) if _is_single(site) else Room()


def _is_single(site: Site) -> bool:
    return site.settings.engine == "docker"


class _Data(Struct, frozen=True, kw_only=True):
    """What is to become of the data, where it is said which files are migrations."""

    crossing: Crossing | None = None
    down: Down | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    earlier: Earlier | None = None


def _data(
    site: Site,
    sight: Sight,
    left: Record[Release] | None,
    target: Record[Release],
    allowed: Allowance,
) -> _Data:
    if site.desk.service.migrations is None:
        return _Data()
    between, there = fence.crossing(site, left, target), down.left(site)
    before = down.earlier_of(site, there, sight)
    first, against = down.decide(site, sight, left, between, allowed, before)
    return _Data(
        crossing=between,
        down=first,
        problems=(*fence.closed(site, between, allowed), *against, *down.at_work(there)),
        notes=(*fence.idle(site, left, target), *down.notes(site, between, allowed, before)),
        earlier=before,
    )


def _check(
    site: Site,
    target: Record[Release],
    why: Reason,
    spec: RunSpec,
    found: Bytes,
    missing: list[Problem],
    barred: list[Problem],
    holder: Holder | None,
    ours: Ours,
) -> None:
    """Refuse with all that was found. The lock is looked at last: what it guards may move until then."""
    problems = [*missing, *site.target.settings_problems(spec, target.body.image)]
    if _is_single(site):  # the nodes of a Swarm have processors of their own
        problems += preflight.image_problems(site.engine, target.body.image)
    occupied = site.target.occupation_problems(spec, ours)
    preflight.refuse(
        attempt(why, f"{target.body.version} of {site.place}"),
        found,
        [*problems, *occupied] if holder is None else problems,
        lock.held_error(site.place, holder, lock.task_of(why)) if holder is not None else None,
        barred=barred,
    )


def _breaks(site: Site, sight: Sight, allowed: Allowance) -> Holder | None:
    """Whose lock is taken away: the command line says so, or the deployment has ended and it is nobody's."""
    holder = sight.holder
    if holder is None or allowed.break_lock:
        return holder
    return holder if journal.ended(site, holder.deployment) else None


def _broken(breaks: Holder | None, allowed: Allowance) -> str:
    if breaks is None:
        return ""
    return str(breaks) if allowed.break_lock else f"{breaks}, whose deployment has ended"


def _facts(
    site: Site,
    target: Record[Release],
    why: Reason,
    spec: RunSpec,
    found: Bytes,
    sight: Sight,
    allowed: Allowance,
) -> Facts:
    before = sight.left
    return Facts(
        place=site.place,
        engine=site.target.name,
        reason=why,
        target=target,
        spec=spec,
        ours=sight.ours,
        image=site.target.id_of(target.body.image),
        strategy=site.target.strategy(spec),
        event=sight.told,
        release=before,
        expected=_expected(site, sight),
        runs_event=sight.event is not None,
        unfinished=str(sight.unfinished or ""),
        broken=_broken(_breaks(site, sight, allowed), allowed),
        again=allowed.again,
        bytes_from=found.where,
        undone=_commits(site, before, target) if before is not None else NO_COMMITS,
        added=_commits(site, target, before) if before is not None else NO_COMMITS,
        durations=site.durations(_DURATIONS),
        build_ms=_build_ms(target.body) if found.where == "rebuild" else 0,
    )


def _baseline(site: Site, sight: Sight) -> Record[Release] | None:
    """Whose migrations the data has: what is left, or for want of that what the ledger says."""
    return sight.left if sight.left is not None else site.release_of(sight.previous)


def _expected(site: Site, sight: Sight) -> str:
    """The version that the ledger says should be running."""
    if sight.previous is None:
        return ""
    release = site.release_of(sight.previous)
    return release.body.version if release is not None else "an unknown release"


def _build_ms(body: Release) -> int:
    return sum(gate.duration_ms for gate in body.gates if gate.name == "build")


def _rehearsed(site: Site) -> str:
    """As "2.1 s on 2026-11-20"."""
    last = query.last_drill(site.desk.ledger, site.place.service, site.place.environment)
    if last is None:
        return ""
    return f"{last.verification.duration_ms / 1000:.1f} s on {last.recorded_at[:10]}"


def _commits(site: Site, newer: Record[Release], older: Record[Release]) -> Listed:
    """First lines of the commits in one release and not in the other, or which of the two git lacks."""
    commit, since = newer.body.source.commit, older.body.source.commit
    if commit == since:
        return NO_COMMITS
    try:
        messages = tuple(site.desk.source.messages(commit, since=since, folder=site.desk.service.context))
    except SourceError:
        return Listed(
            lines=(f"not listed: this clone lacks {lacking(site.desk.source, commit, since)}",), count=None
        )
    lines = (message.subject for message in messages[:_COMMITS])
    return Listed(lines=tuple(lines), count=len(messages))
