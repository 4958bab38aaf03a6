"""What a deployment or a rollback will do: a frozen value made from facts. Nothing is touched here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, Final, Literal

from semver import Version

from release.deploy.core import fingerprints, watch
from release.deploy.core.place import COMMIT, DEPLOYMENT, DIGEST, VERSION, ContainerSet, Place, describe
from release.deploy.core.target import Strategy
from release.deploy.planning import entrypoint
from release.images.engine import ContainerState
from release.ledger.diff import Change, bases, changes, flat
from release.ledger.query import Event
from release.migrations import Crossing
from release.records import Record, Release
from release.reference import Digest
from release.runspec import RunSpec
from release.values import Struct, plain

Reason = Literal["promote", "rollback"]


class Listed(Struct, frozen=True, kw_only=True):
    """Commits by their first lines, newest first."""

    lines: tuple[str, ...] = ()
    """At most as many as a plan lists."""
    count: int | None = 0
    """How many there are; None where this clone cannot say."""


NO_COMMITS: Final = Listed()
"""None lie between."""


class First(Struct, frozen=True, kw_only=True):
    """A command that undoes migrations before anything is replaced, beside what serves."""

    command: tuple[str, ...]
    version: str
    """Of the release whose image it runs in."""
    image: str
    """By digest."""
    timeout: int
    """Milliseconds."""


class Facts(Struct, frozen=True, kw_only=True):
    """Everything that a plan is made from, read before it is made."""

    place: Place
    engine: str
    reason: Reason
    target: Record[Release]
    spec: RunSpec
    """The settings to be used, with the fingerprints of today's secrets."""
    ours: ContainerSet
    image: Digest
    """What something that runs says of its image, if it is the target's."""
    strategy: Strategy
    """How what runs would be replaced."""
    event: Event | None
    """Of the deployment that put `release` there, however it ended, if the ledger knows it."""
    release: Record[Release] | None
    """What runs, proven; where nothing does, the release that ran or was tried last."""
    runs_event: bool
    """Whether the engine really runs that deployment, and the ledger knows it as healthy."""
    bytes_from: str
    expected: str = ""
    """The version that the ledger says should be running."""
    undone: Listed = NO_COMMITS
    added: Listed = NO_COMMITS
    durations: tuple[int, ...] = ()
    """Milliseconds of earlier healthy deployments here, without the time that each of them watched."""
    build_ms: int = 0
    """What the image's build took when it was released, where it has to be built again."""
    moved: str = ""
    """Where the target ran in another place before a proxy than today's."""
    room: str = ""
    """Where there may be too little of it for the bytes that are to be pulled."""
    quarantine: str = ""
    """What sets the target aside, where it is deployed all the same."""
    rehearsed: str = ""
    """The last drill here that went well, in a few words."""
    frost: str = ""
    """What freezes the environment, which takes this all the same."""
    unfinished: str = ""
    """What was begun and never ended."""
    broken: str = ""
    """Whose lock is taken away."""
    again: bool = False
    """Whether what runs as asked is replaced all the same."""
    crossing: Crossing | None = None
    """The migrations between what runs and the target."""
    down: First | None = None
    about_data: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    """What else has to be known of migrations, in sentences."""
    then: tuple[str, ...] = ()
    """What is recorded with it: quarantines, freezes and their ends."""


class Side(Struct, frozen=True, kw_only=True):
    """One end of the change. `moment` is when it was deployed (before) or released (after)."""

    version: str
    digest: str
    commit: str
    moment: str
    who: str
    message: str = ""
    deployment: str = ""
    """By which it runs; empty for a release that is yet to run."""
    recovered: bool = False
    """Whether the release's record was made again from its image."""
    status: str = ""
    """Of that deployment: healthy, started, failed, mixed. Where nothing is recorded of it, unknown: then
    `moment` is when the container was started, and `who` is empty."""


class Plan(Struct, frozen=True, kw_only=True):
    """What will happen. Times in milliseconds, moments in RFC 3339."""

    service: str
    environment: str
    engine: str
    reason: Reason
    before: Side | None
    after: Side
    strategy: Strategy
    bytes_from: str
    expected_ms: int | None
    spec: RunSpec
    settings: tuple[Change, ...]
    secrets: Mapping[str, str]
    """By name: rotated, not comparable, added or removed; what is the same is not listed."""
    undone: tuple[str, ...]
    undone_count: int | None
    """How many there are, listed or not; None where this clone cannot say."""
    added: tuple[str, ...]
    added_count: int | None
    packages: tuple[Change, ...]
    bases: tuple[Change, ...]
    notes: tuple[str, ...]
    crossing: Crossing | None = None
    """The migrations that lie between; None where there are none, or nobody said where they are."""
    down: First | None = None
    """What undoes them first; None where nothing does."""
    then: tuple[str, ...] = ()
    """What is recorded with it when it is healthy: quarantines, freezes and their ends."""
    rehearsed: str = ""
    """What the last drill here took, and when it was."""
    watch: int = 0
    """Milliseconds that it must stay healthy, while what ran before is kept."""

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        rest = {key: getattr(self, key) for key in self.__struct_fields__ if key not in _VALUES}
        return {
            **rest,
            "before": plain(self.before) if self.before is not None else None,
            "after": plain(self.after),
            "spec": self.spec.model_dump(mode="json", exclude_none=True),
            "secrets": dict(self.secrets),
            "crossing": plain(self.crossing) if self.crossing is not None else None,
            "down": plain(self.down) if self.down is not None else None,
            **{key: [plain(change) for change in getattr(self, key)] for key in _CHANGES},
        }


_CHANGES: Final = ("settings", "packages", "bases")
_VALUES: Final = ("before", "after", "spec", "secrets", "crossing", "down", *_CHANGES)


def make_plan(facts: Facts) -> Plan:
    """Decide. Nothing is asked and nothing is touched."""
    old = _old_spec(facts)
    return Plan(
        service=facts.place.service,
        environment=facts.place.environment,
        engine=facts.engine,
        reason=facts.reason,
        before=_before(facts),
        after=_after(facts.target),
        strategy=_strategy(facts),
        bytes_from=facts.bytes_from,
        expected_ms=_expected_ms(facts),
        spec=facts.spec,
        settings=settings_changes(old, facts.spec) if old is not None else (),
        secrets=secret_changes(old.secrets, facts.spec.secrets) if old is not None else {},
        undone=facts.undone.lines,
        undone_count=facts.undone.count,
        added=facts.added.lines,
        added_count=facts.added.count,
        packages=_packages(facts.release, facts.target),
        bases=_bases(facts.release, facts.target),
        notes=tuple(_notes(facts)),
        rehearsed=facts.rehearsed,
        watch=_watch(facts),
        crossing=facts.crossing,
        down=facts.down,
        then=facts.then if _strategy(facts) != "verify" else (),
    )


def _expected_ms(facts: Facts) -> int | None:
    """Return the time of a replacement; None where nothing is replaced, or no earlier one is known."""
    if not facts.durations or _strategy(facts) == "verify":
        return None
    return round(median(facts.durations)) + _watch(facts) + facts.build_ms


def _watch(facts: Facts) -> int:
    return watch.wanted(facts.spec, facts.reason) if _strategy(facts) != "verify" else 0


def _old_spec(facts: Facts) -> RunSpec | None:
    """Return the settings of what runs, as its deployment recorded them."""
    return facts.event.deployment.run_spec if facts.event is not None else None


def _before(facts: Facts) -> Side | None:
    event = facts.event
    if facts.release is None or event is None:
        return _unrecorded(facts)
    body = facts.release.body
    return Side(
        version=body.version,
        digest=body.image.digest,
        commit=body.source.commit,
        moment=event.recorded_at,
        who=event.actor.name,
        message=event.deployment.message,
        deployment=event.deployment.deployment,
        status=event.deployment.status,
        recovered=body.recovered is not None,
    )


def _unrecorded(facts: Facts) -> Side | None:
    """What runs by a deployment of which nothing is recorded here: as its labels say, None without them."""
    version = facts.release.body.version if facts.release is not None else ""
    running = sorted(facts.ours.running, key=lambda one: one.labels.get(VERSION, "") != version)
    labels = running[0].labels if running else {}
    if not all(labels.get(name) for name in (VERSION, DIGEST, COMMIT)):
        return None
    return Side(
        version=labels[VERSION],
        digest=labels[DIGEST],
        commit=labels[COMMIT],
        moment=running[0].started_at,
        who="",
        deployment=labels.get(DEPLOYMENT, ""),
        status="unknown",
    )


def _after(target: Record[Release]) -> Side:
    body = target.body
    return Side(
        version=body.version,
        digest=body.image.digest,
        commit=body.source.commit,
        moment=target.envelope.recorded_at,
        who=target.envelope.actor.name,
        recovered=body.recovered is not None,
    )


def _strategy(facts: Facts) -> Strategy:
    if not facts.ours.running:
        return "first"
    return "verify" if _is_there_already(facts) and not facts.again else facts.strategy


def _is_there_already(facts: Facts) -> bool:
    """The very release, with the very settings and secrets, and nothing that speaks against its health."""
    ours, event = facts.ours, facts.event
    if len(ours.running) != facts.spec.replicas or ours.unclear or not facts.runs_event or event is None:
        return False
    same = event.deployment.release == facts.target.id and event.deployment.run_spec == facts.spec
    return same and all(_serves(container, facts.image) for container in ours.running)


def _serves(container: ContainerState, image: Digest) -> bool:
    """Also where the engine has not run its check yet: it is waited for, and seen."""
    is_new = container.health == "starting" and container.restarts == 0
    well = container.health in ("none", "healthy") or is_new
    return container.status == "running" and well and container.image == image


def settings_changes(old: RunSpec, new: RunSpec) -> tuple[Change, ...]:
    """Settings that differ, key by key; variables and labels one by one; secrets are not among them."""
    return changes(flat(old, without=["secrets"]), flat(new, without=["secrets"]))


def secret_changes(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return what fingerprints tell about each secret, by name."""
    told = {name: _told(old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())}
    return {name: text for name, text in told.items() if text != "same"}


def _told(old: str | None, new: str | None) -> str:
    if old is None or new is None:
        return "added" if old is None else "removed"
    return fingerprints.compare(old, new)


def _packages(old: Record[Release] | None, new: Record[Release]) -> tuple[Change, ...]:
    """None where one of the two lockfiles is not known: a recovered release may lack it."""
    locks = [release.body.lock for release in (old, new) if release is not None]
    packages = [lock.packages for lock in locks if lock is not None]
    return changes(*packages) if len(packages) == 2 else ()


def _bases(old: Record[Release] | None, new: Record[Release]) -> tuple[Change, ...]:
    """None where one of the two is a recovered release: its list is empty because nobody knows."""
    if old is None or old.body.recovered is not None or new.body.recovered is not None:
        return ()
    return changes(bases(old.body.bases), bases(new.body.bases))


def _notes(facts: Facts) -> Iterable[str]:
    """Return what is not as one would think."""
    yield from _said(facts)
    yield from facts.about_data
    yield from facts.cautions
    yield from _unexpected(facts)
    if (recovered := facts.target.body.recovered) is not None:
        yield f"the record of {facts.target.body.version} was recovered from {recovered.origin}"
    if facts.again and _is_there_already(facts):
        yield f"{facts.target.body.version} runs already with these settings, and is replaced: --again"
    if said := entrypoint.caution(_old_spec(facts), facts.spec):
        yield said
    if facts.moved:
        yield facts.moved
    if facts.room:
        yield facts.room
    if facts.ours.unclear:
        yield f"who gets requests is not known: {facts.ours.unclear}"
    if facts.ours.stopped or facts.ours.waiting:
        left = describe([*facts.ours.waiting, *facts.ours.stopped])
        yield f"left by an earlier deployment, removed when this one is healthy: {left}"
    if facts.reason == "promote" and _is_older(facts):
        version = facts.target.body.version
        yield (
            f"{version} is older than what runs, and gets today's settings; "
            f"`{facts.place.command(f'rollback --to {version}')}` restores its own"
        )


def _unexpected(facts: Facts) -> Iterable[str]:
    """Return how what runs differs from what the ledger says."""
    real = describe(facts.ours.running)
    if facts.expected and (facts.expected != _version(facts) or not facts.runs_event):
        yield f"the ledger says that {facts.expected} runs; the engine runs: {real}"
    elif facts.event is None and facts.ours.running:
        yield f"the ledger knows nothing of what runs: {real}"
    if facts.event is None and facts.release is not None:
        yield (
            "this clone's ledger lacks the deployment that runs: `invoke sync` in the clone that made it "
            "publishes it"
        )
    elif facts.release is None and facts.ours.running:
        yield "what runs is no release that this clone knows: nothing is compared with it or set aside"


def _said(facts: Facts) -> Iterable[str]:
    """Return what somebody said or began, and this passes over."""
    said = {
        f"{facts.target.body.version} {facts.quarantine}": facts.quarantine,
        f"half done: {facts.unfinished}, never ended; this takes its place, "
        f"`{facts.place.command('converge')}` finishes or reverts it instead": facts.unfinished,
        f"the lock is taken from {facts.broken}": facts.broken,
        f"{facts.place.environment} {facts.frost}": facts.frost,
    }
    return (text for text, holds in said.items() if holds)


def _version(facts: Facts) -> str:
    return facts.release.body.version if facts.release is not None else ""


def _is_older(facts: Facts) -> bool:
    running = [container.labels.get(VERSION, "") for container in facts.ours.running]
    known = [Version.parse(text) for text in running if Version.is_valid(text)]
    return any(Version.parse(facts.target.body.version) < version for version in known)
