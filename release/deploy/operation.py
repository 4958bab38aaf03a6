"""A deployment or a rollback from the words of the operator to the record: prepare, show, carry out.

`prepare` touches nothing and gives a frozen value that can be shown; `carry_out` does what was shown, or says
that it no longer holds.
"""

from __future__ import annotations

import secrets as randomness
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

from release.actor import TOOL, now
from release.deploy import fence, journal, lock, policy, preflight
from release.deploy.docker import DEPLOYMENT, Identity, Ours
from release.deploy.fence import Down
from release.deploy.files import read_files
from release.deploy.journal import Unfinished
from release.deploy.lock import Holder
from release.deploy.plan import Facts, Plan, Reason, make_plan
from release.deploy.policy import NOTHING, Aftermath, Allowance
from release.deploy.preflight import Bytes
from release.deploy.rollout import elapsed_ms, reason, step
from release.deploy.secrets import FingerprintKey, compare
from release.deploy.site import Site, Spot
from release.deploy.target import Means, Order
from release.deploy.topology import moved, placed
from release.errors import (
    DeploymentFailed,
    LedgerError,
    LockHeld,
    MixedState,
    Problem,
    ReleaseError,
    Restored,
    SourceError,
    TargetUnavailable,
)
from release.events import Warned
from release.interruption import Interruption
from release.ledger import query
from release.ledger.query import Event
from release.migrations import Crossing
from release.records import Body, Deployment, Draft, Record, Release, TargetState
from release.redact import Mask, Redacted
from release.reference import Digest
from release.runspec import RunSpec
from release.secret import Unresolved, resolve

_LOCK_MINUTES: Final = 15
_DURATIONS: Final = 20
"""How many earlier deployments the expected time is taken from."""
_COMMITS: Final = 50
"""How many commits a plan lists at most."""

Status = Literal["started", "healthy", "restored", "failed", "mixed"]


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What is there before anything is decided."""

    ours: Ours
    event: Event | None
    """The healthy deployment that really runs, if the ledger knows it."""
    previous: Event | None
    """What the ledger says should be running."""
    holder: Holder | None
    """Of the lock, alive or not."""
    unfinished: Unfinished | None
    """What was begun and never ended."""


def look_around(site: Site) -> Sight:
    """Ask the target and the ledger. Raises EngineError, LedgerError."""
    holder, ours = lock.find(site.target.keeper(), site.place), site.target.look()
    event = _running_event(site, ours)
    is_open = holder is not None or event is None or len(ours.running) != 1 or bool(ours.stopped)
    return Sight(
        ours=ours,
        event=event,
        previous=site.current(),
        holder=holder,
        unfinished=journal.find(site, ours, holder) if is_open else None,
    )


def last_good(site: Site, sight: Sight) -> str:
    """What a rollback that names nothing goes back to, as a target.

    Usually what ran healthy before the current release. Where the last attempt left something else
    running than the last healthy release, or nothing, it is that one.
    """
    if sight.event is not None:
        return "previous"
    events = query.deployments(site.desk.ledger, site.place.service, site.place.environment)
    last = next(events, None)
    failed = last is not None and last.deployment.status not in ("healthy", "restored")
    return "-0" if failed or sight.unfinished is not None else "previous"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What was found and decided before anything is touched."""

    site: Site
    plan: Plan
    target: Record[Release]
    spec: RunSpec
    bytes: Bytes
    sight: Sight
    secrets: dict[str, Redacted] = field(repr=False)
    aftermath: Aftermath
    """What is recorded with it."""
    down: Down | None
    """What runs before anything is replaced, to undo migrations."""
    allowed: Allowance
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
        """What the ledger says should be running."""
        return self.sight.previous

    @property
    def breaks(self) -> Holder | None:
        """Whose lock is taken away."""
        return self.sight.holder if self.allowed.break_lock else None

    @property
    def mask(self) -> Mask:
        """Takes the secrets out of text."""
        return Mask(self.hidden)

    @property
    def hidden(self) -> tuple[Redacted, ...]:
        """Every secret that plays a part."""
        return (*self.secrets.values(), *(self.down.secrets.values() if self.down is not None else ()))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How it ended well: a new deployment, or one that was found running as asked."""

    plan: Plan
    repository: str
    deployment: str
    evidence: str
    changed: bool
    abandons: bool
    """Whether the release that ran before is set aside now."""
    record: dict[str, Any]
    """The healthy event as JSON data, with its record's id: None while unsynced."""


# --- prepare


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
        LedgerUnsigned: the settings ask for signatures, and a record that this relies on has none.
    """
    site.desk.require_signed(target.id)
    said = policy.words(site.desk.ledger, site.place, target.id)
    known, lacking = _wanted(site, target, why, ran)
    wanted = placed(known, site.settings)
    secrets, missing = read_secrets(site, wanted)
    spec = wanted.model_copy(update={"secrets": fingerprints(site, secrets)})
    missing += [*lacking, *pinned_problems(site, wanted.secrets, spec.secrets)]
    found = site.target.locate(target.body.image)
    sight = sight or look_around(site)
    left = site.release_of(sight.event or sight.previous)
    between = fence.crossing(site, left, target)
    down, unread = _down(site, sight, left, between)
    against = [*policy.closed(said, site.place, why, allowed), *fence.closed(site, between, allowed)]
    barred = policy.barred(said, target, allowed)
    _check(site, target, spec, found, [*against, *missing, *unread], barred, _obstacle(site, sight, allowed))
    after = policy.aftermath(site.place, why, target, left, said, freeze=site.settings.freeze_after_rollback)
    facts = _facts(site, target, why, spec, found, sight, allowed)
    quarantine, frost = str(said.quarantine or ""), str(said.frost or "") if why == "promote" else ""
    elsewhere = moved(known, site.settings) if why == "rollback" else ""
    plan = make_plan(
        replace(
            facts,
            quarantine=quarantine,
            frost=frost,
            crossing=between,
            then=after.sentences(),
            rehearsed=_rehearsed(site),
            moved=elsewhere,
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
        down=down,
        allowed=allowed,
        answers=answers,
    )


def _down(
    site: Site, sight: Sight, running: Record[Release] | None, between: Crossing | None
) -> tuple[Down | None, list[Problem]]:
    """The command that undoes migrations, and what it lacks. It runs with the settings of what runs."""
    spec = sight.event.deployment.run_spec if sight.event is not None else None
    if spec is None or between is None or not between.undone:
        return None, []
    secrets, missing = read_secrets(site, spec)
    return fence.down(site, between, running, spec, secrets), missing


def _wanted(
    site: Site, target: Record[Release], why: Reason, ran: Event | None
) -> tuple[RunSpec, list[Problem]]:
    """The settings to be used, and what of them cannot be read here."""
    return _todays(site, target) if why == "promote" else (recorded_settings(site, target, ran), [])


def _todays(site: Site, target: Record[Release]) -> tuple[RunSpec, list[Problem]]:
    """Today's settings of the environment, and the probe that the release was tested with."""
    given = site.settings
    where = f"environments.{site.place.environment}.files"
    files, problems = read_files(given.files, root=site.desk.source.root, where=where)
    secret_files = {name: source.file for name, source in given.secrets.items() if source.file is not None}
    own: dict[str, Any] = {
        "files": files or None,
        "healthcheck": given.healthcheck.recorded if given.healthcheck is not None else None,
        "probe": target.body.smoke.probe,
        "secret_files": secret_files or None,
        "secrets": dict.fromkeys(given.secrets, ""),
        "swarm": given.swarm_spec,
    }
    names = RunSpec.model_fields.keys() & type(given).model_fields.keys() - {"proxy", *own}
    return RunSpec(**{name: getattr(given, name) for name in names}, **own), problems


def recorded_settings(site: Spot, target: Record[Release], ran: Event | None) -> RunSpec:
    """The settings of the deployment that was asked for, or with which the release was last healthy here.

    Raises:
        TargetUnavailable: there are none, or this version of the library does not know all of them.
        LedgerUnsigned: they are not signed, and have to be.
    """
    place = site.place
    event = ran or query.last_healthy(site.desk.ledger, place.service, place.environment, target.id)
    if event is not None:
        site.desk.require_signed(event.record)
        return _understood(event.deployment.run_spec, site, target)
    version = target.body.version
    raise TargetUnavailable(
        f"roll {site.place} back to {version}",
        f"it never was verified healthy in {site.place.environment}: there are no settings to restore",
        f"`invoke deploy --to {version}` deploys it with today's settings; `invoke history` shows what ran",
    )


def _understood(spec: RunSpec, site: Spot, target: Record[Release]) -> RunSpec:
    """The recorded settings. Some that this version does not know cannot be restored, so none are."""
    probe = spec.probe.model_extra if spec.probe is not None else None
    unknown = [*(spec.model_extra or {}), *(f"probe.{key}" for key in probe or {})]
    if not unknown:
        return spec
    raise TargetUnavailable(
        f"roll {site.place} back to {target.body.version}",
        f"it ran with settings that this version of the library does not know: {', '.join(unknown)}",
        "upgrade the release library",
    )


def read_secrets(site: Spot, spec: RunSpec) -> tuple[dict[str, Redacted], list[Problem]]:
    """The values of the secrets that these settings name, from where they come from today, and what is not.

    Returns:
        The values by name, and a problem for each one that cannot be read here and now.
    """
    configured = site.settings.secrets
    sources = {name: configured[name] for name in spec.secrets if name in configured}
    values, unread = resolve(sources, root=site.desk.source.root, environ=site.desk.environ)
    gone = [
        Unresolved(
            name=name,
            reason="the recorded settings have it, and today's configuration does not say where it is from",
        )
        for name in spec.secrets
        if name not in configured
    ]
    where = f"environments.{site.place.environment}.secrets"
    return values, [Problem(path=f"{where}.{item.name}", message=item.reason) for item in (*unread, *gone)]


def pinned_problems(site: Spot, recorded: Mapping[str, str], today: Mapping[str, str]) -> list[Problem]:
    """Secrets that a rollback may not take in another value than the one that the release ran with."""
    where = f"environments.{site.place.environment}.secrets"
    return [
        Problem(path=f"{where}.{name}", message=_PINNED[told])
        for name, source in site.settings.secrets.items()
        if source.policy == "pinned" and recorded.get(name) and name in today
        if (told := compare(recorded[name], today[name])) != "same"
    ]


_PINNED: Final = {
    "rotated": 'it is pinned, and was rotated since: give the value of then, or set policy = "current"',
    "not comparable": (
        "it is pinned, and its fingerprint was made with another key: set RELEASE_FINGERPRINT_KEY to that "
        'one, or policy = "current"'
    ),
}


def fingerprints(site: Spot, secrets: dict[str, Redacted]) -> dict[str, str]:
    """What records keep of secrets, by name."""
    if not secrets:
        return {}
    key = FingerprintKey.load(site.desk.source.git_dir, site.desk.environ)
    return {name: key.fingerprint(name, value) for name, value in secrets.items()}


def _check(
    site: Site,
    target: Record[Release],
    spec: RunSpec,
    found: Bytes,
    missing: list[Problem],
    barred: list[Problem],
    holder: Holder | None,
) -> None:
    """Refuse with all that was found. The lock is looked at last: what it guards may move until then."""
    problems = [*missing, *site.target.settings_problems(spec)]
    if site.settings.engine == "docker":  # the nodes of a Swarm have disks and processors of their own
        problems += preflight.image_problems(site.engine, target.body.image, found)
    occupied = site.target.occupation_problems(spec)
    preflight.refuse(
        f"deploy {target.body.version} of {site.place}",
        found,
        [*problems, *occupied] if holder is None else problems,
        lock.held_error(site.place, holder) if holder is not None else None,
        barred=barred,
    )


def _obstacle(site: Site, sight: Sight, allowed: Allowance) -> Holder | None:
    """Who holds the lock and keeps it."""
    return None if allowed.break_lock else lock.alive(site.target.keeper(), sight.holder)


def _running_event(site: Site, ours: Ours) -> Event | None:
    """The deployment that the serving containers say they are, if the ledger knows it as healthy."""
    names = {container.labels.get(DEPLOYMENT, "") for container in ours.running}
    return site.event_of(names.pop()) if len(names) == 1 else None


def _facts(
    site: Site,
    target: Record[Release],
    why: Reason,
    spec: RunSpec,
    found: Bytes,
    sight: Sight,
    allowed: Allowance,
) -> Facts:
    event = sight.event or sight.previous
    before = site.release_of(event)
    return Facts(
        place=site.place,
        engine=site.target.name,
        reason=why,
        target=target,
        spec=spec,
        ours=sight.ours,
        image=site.target.id_of(target.body.image),
        strategy=site.target.strategy(spec),
        event=event,
        release=before,
        runs_event=sight.event is not None,
        unfinished=str(sight.unfinished or ""),
        broken=str(sight.holder) if allowed.break_lock and sight.holder is not None else "",
        bytes_from=found.where,
        undone=_commits(site, before, target) if before is not None else (),
        added=_commits(site, target, before) if before is not None else (),
        durations=site.durations(_DURATIONS),
    )


def _rehearsed(site: Site) -> str:
    """As "2.1 s on 2026-11-20"."""
    last = query.last_drill(site.desk.ledger, site.place.service, site.place.environment)
    if last is None:
        return ""
    return f"{last.verification.duration_ms / 1000:.1f} s on {last.recorded_at[:10]}"


def _commits(site: Site, newer: Record[Release], older: Record[Release]) -> tuple[str, ...]:
    """First lines of the commits in one release and not in the other; the id where git lacks them."""
    commit, since = newer.body.source.commit, older.body.source.commit
    if commit == since:
        return ()
    try:
        messages = site.desk.source.messages(commit, since=since, folder=site.desk.service.context)
        lines = [message.partition("\n")[0] for _, message in zip(range(_COMMITS), messages, strict=False)]
    except SourceError:
        return (f"{commit} (not in this clone)",)
    return tuple(lines)


# --- carry out


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
    site, body, deployment = prepared.site, prepared.target.body, randomness.token_hex(6)
    site.target.fetch(body, prepared.bytes, site.desk.emit)
    attempt = Attempt(prepared=prepared, deployment=deployment, message=message)
    started = attempt.start()
    keeper = site.target.keeper(site.target.id_of(body.image))
    holder = _holder(prepared, deployment, keeper.now(), journal.write(started))
    held = lock.held(keeper, site.place, holder, site.desk.emit, breaking=prepared.breaks)
    with interruption.held(), held:
        _same_as_planned(prepared)
        return attempt.run(started, interruption, lambda: lock.ensure(keeper, site.place, holder))


def _verify(prepared: Prepared, interruption: Interruption) -> Outcome:
    """It runs as asked: look whether it serves. Nothing is touched and nothing is recorded."""
    site, container = prepared.site, prepared.ours.running[0]
    deployment = container.labels[DEPLOYMENT]
    with step(site.desk.emit, "verify") as say:
        say(evidence := site.target.verify(_order(prepared, deployment), _means(prepared, interruption)))
    return _outcome(prepared, deployment, evidence, changed=False, record=_known(prepared))


def _means(prepared: Prepared, interruption: Interruption) -> Means:
    return Means(emit=prepared.site.desk.emit, cancellation=interruption.cancellation, mask=prepared.mask)


def _order(prepared: Prepared, deployment: str) -> Order:
    site, body = prepared.site, prepared.target.body
    return Order(
        place=site.place,
        identity=Identity(
            deployment=deployment,
            version=body.version,
            commit=body.source.commit,
            digest=Digest(body.image.digest),
        ),
        image=body.image,
        spec=prepared.spec,
        secrets=prepared.secrets,
        before=prepared.ours,
        old=prepared.event.deployment.run_spec if prepared.event is not None else None,
        health_timeout=site.settings.health_timeout,
    )


def _known(prepared: Prepared) -> dict[str, Any]:
    """The event that says that this runs: the plan was made from it."""
    event = prepared.event
    assert event is not None  # noqa: S101 - only a deployment that the ledger knows is merely verified
    if event.record is None:
        return {"id": None, **event.deployment.model_dump(mode="json", exclude_none=True)}
    return {"id": event.record, **prepared.site.desk.ledger.record(event.record).to_json()}


def _holder(prepared: Prepared, deployment: str, there: datetime, told: str) -> Holder:
    """The lock outlives the longest that this deployment and its restoration may take."""
    desk, settings = prepared.site.desk, prepared.site.settings
    patience = prepared.site.target.patience(prepared.spec, settings.health_timeout)
    longest = 2 * (patience + settings.stop_grace)
    return Holder.here(
        who=desk.actor.name,
        url=desk.run(deployment).url,
        deployment=deployment,
        milliseconds=_LOCK_MINUTES * 60_000 + longest,
        now=there,
        journal=told,
    )


def _same_as_planned(prepared: Prepared) -> None:
    """Under the lock: what runs is still what the plan was made for."""
    found = prepared.site.target.look()
    if found.ids != prepared.ours.ids:
        raise LockHeld(
            f"deploy {prepared.target.body.version} of {prepared.site.place}",
            "another deployment came first: what runs is no longer what the plan was made for",
            "`invoke status` shows what runs; then run the command again",
        )


@dataclass(frozen=True, kw_only=True)
class Attempt:
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
        """Record the start, roll out, record the end. `still_mine` raises LockHeld, asked last of all."""
        self._record("started", [*self._left_open(), started])
        self._still_allowed(still_mine)
        prepared = self.prepared
        try:
            if prepared.down is not None:
                fence.run(prepared.site, prepared.down, _means(prepared, interruption))
            evidence = prepared.site.target.roll_out(
                _order(prepared, self.deployment), _means(prepared, interruption)
            )
        except (DeploymentFailed, LockHeld) as error:
            self._append(_status(error), self.prepared.mask(reason(error)))
            raise
        message = self.prepared.mask(self.message)
        words = self.prepared.aftermath.bodies(self.deployment, message)
        record = self._append("healthy", evidence, words)
        return _outcome(self.prepared, self.deployment, evidence, changed=True, record=record)

    def _still_allowed(self, still_mine: Callable[[], None]) -> None:
        """Ask again, on the very ledger that the start landed on: a word of the last seconds holds too.

        Raises NotReady, TargetUnavailable, LockHeld: what came in between; nothing was touched.
        """
        prepared, target = self.prepared, self.prepared.target
        said = policy.words(prepared.site.desk.ledger, prepared.site.place, target.id)
        barred = policy.barred(said, target, prepared.allowed)
        against = policy.closed(said, prepared.site.place, prepared.plan.reason, prepared.allowed)
        try:
            attempted = f"deploy {target.body.version} of {prepared.site.place}"
            preflight.refuse(attempted, prepared.bytes, against, None, barred=barred)
            still_mine()
        except ReleaseError as error:
            self._append("failed", prepared.mask(error.found))
            raise

    def _left_open(self) -> list[Draft[Body]]:
        """The end of what somebody began and never ended: this deployment takes its place."""
        left = self.prepared.sight.unfinished
        if left is None:
            return []
        detail = f"it never ended; the deployment {self.deployment} takes its place"
        end = left.ended("failed", self.prepared.site.target.name, None, detail, "")
        return left.drafts(self._draft(end))

    def _append(self, status: Status, detail: str, words: Iterable[Body] = ()) -> dict[str, Any]:
        return self._record(status, [*map(self._draft, (self._event(status, detail), *words))])

    def _record(self, status: Status, drafts: list[Draft[Body]]) -> dict[str, Any]:
        """Add events. What cannot be recorded stops a deployment before it starts, and never a rollback.

        A rollback's start is only kept here: its end takes it along, and nobody waits for a git server.
        """
        site = self.prepared.site
        draft = drafts[0]
        try:
            records = site.desk.ledger.append_events(drafts, publish=self._publishes(status))
        except LedgerError as error:
            if status == "started" and self.prepared.plan.reason == "promote":
                raise
            site.desk.emit(
                Warned(
                    text=f"the event {status!r} is not in the ledger yet: {error.attempted}: {error.found}"
                )
            )
            return event_json(draft, None)
        if records is None and status != "started":
            site.desk.emit(
                Warned(text="the git remote does not answer: the events wait here for `invoke sync`")
            )
        return event_json(draft, records[0] if records is not None else None)

    def _publishes(self, status: Status) -> bool:
        return self.prepared.answers and (status != "started" or self.prepared.plan.reason == "promote")

    def _event(self, status: Status, detail: str) -> Deployment:
        prepared = self.prepared
        return Deployment(
            deployment=self.deployment,
            environment=prepared.site.place.environment,
            release=prepared.target.id,
            digest=prepared.target.body.image.digest,
            run_spec=prepared.spec,
            previous=prepared.previous.deployment.deployment if prepared.previous is not None else None,
            reason=prepared.plan.reason,
            message=prepared.mask(self.message),
            status=status,
            targets=self._targets(status, detail),
            duration_ms=elapsed_ms(self.began) if status != "started" else None,
            took_lock_from=str(prepared.breaks) if prepared.breaks is not None else None,
        )

    def _draft(self, body: Body) -> Draft[Body]:
        desk = self.prepared.site.desk
        return Draft(
            service=self.prepared.site.place.service,
            recorded_at=now(),
            actor=desk.actor,
            run=desk.run(self.deployment),
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
                name=prepared.site.target.name,
                status="failed" if status == "mixed" else status,
                digest=proven.get(status),
                detail=detail,
            ),
        )


def _status(error: ReleaseError) -> Status:
    if isinstance(error, MixedState):
        return "mixed"
    return "restored" if isinstance(error, Restored) else "failed"


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
