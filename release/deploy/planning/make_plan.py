"""Decide what a deployment or a rollback will do, from the typed parts of a plan. Nothing is asked here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Final

from release.deploy.core import watch_time
from release.deploy.core.place import Place
from release.deploy.core.rollout import Strategy
from release.deploy.planning import entrypoint_note
from release.deploy.planning.current import Current
from release.deploy.planning.findings import Findings
from release.deploy.planning.plan import Changes, Plan, ProcessStep, Side
from release.deploy.planning.release_changes import release_changes, secret_changes, settings_changes
from release.records import Record, Release
from release.reference import Digest
from release.values import Struct, replace

_WAYS: Final[Mapping[Strategy, str]] = {
    "first": "nothing runs yet",
    "in-order": "one process after the other; what ran before is kept until all are proven",
    "verify": "runs already with these settings: only verified",
}


class TargetFacts(Struct, frozen=True, kw_only=True):
    """Facts about an engine or a cluster that a plan needs."""

    engine: str
    strategy: Strategy
    """Way in which it would replace what runs."""
    way: str
    """The same in words."""
    image: Digest
    """Id that a container reports if it runs the image of the request."""
    notes: tuple[str, ...] = ()
    """Conditions that may cost a request, and containers that are left alone."""


class PastRuns(Struct, frozen=True, kw_only=True):
    """Earlier deployments to the same place."""

    durations: tuple[int, ...] = ()
    """Milliseconds of healthy deployments, without the time that each of them watched."""
    drill: str = ""
    """Time and date of the last drill that succeeded."""


class Parts(Struct, frozen=True, kw_only=True):
    """The input of a plan, each part read by one function."""

    place: Place
    found: Findings
    target: TargetFacts
    current: Current
    commits: Changes = Changes()
    """Commits that the change takes away and brings."""
    past: PastRuns = PastRuns()
    then: tuple[str, ...] = ()
    """Records that are written with a healthy end."""
    steps: tuple[ProcessStep, ...] = ()
    """Processes in the order of replacement; empty if there is only one."""

    @property
    def is_running(self) -> bool:
        """Return whether the requested release runs already, and nobody changed its settings since."""
        found = self.found
        is_asked = self.current.is_as_asked(found.request.target, found.settings.spec, self.target.image)
        return is_asked and not self.current.drift

    @property
    def strategy(self) -> Strategy:
        """Return how the running containers are replaced: "verify" if the request runs already."""
        if not self.current.containers.running:
            return "first"
        if self.is_running and not self.found.request.allowed.again:
            return "verify"
        return "in-order" if self.steps else self.target.strategy


def make_plan(parts: Parts) -> Plan:
    """Return the plan, without questions to engine or ledger."""
    found, strategy = parts.found, parts.strategy
    down, up = found.migrations.down, found.migrations.up
    replaces = strategy != "verify"
    watched = watch_time.wanted(found.settings.spec, found.request.reason) if replaces else 0
    return Plan(
        place=parts.place,
        engine=parts.target.engine,
        reason=found.request.reason,
        before=parts.current.side(),
        after=_after(found.request.target),
        strategy=strategy,
        way=_WAYS.get(strategy, parts.target.way),
        bytes_from=found.image.bytes.where,
        expected_ms=_expected_ms(parts, watched) if replaces else None,
        spec=found.settings.spec,
        changes=_changes(parts),
        notes=tuple(_notes(parts)),
        origins=found.settings.origins,
        crossing=found.migrations.crossing,
        down=down.shown if down is not None else None,
        up=up.shown if up is not None and replaces else None,
        then=parts.then if replaces else (),
        rehearsed=parts.past.drill,
        watch=watched,
        processes=parts.steps,
    )


def _expected_ms(parts: Parts, watched: int) -> int | None:
    """Return the expected time of a replacement; None if no earlier time is known."""
    durations = parts.past.durations
    return round(median(durations)) + watched + parts.found.image.build_ms if durations else None


def _after(target: Record[Release]) -> Side:
    body = target.body
    return Side(
        version=body.version,
        digest=body.image.digest,
        commit=body.source.commit,
        moment=target.envelope.recorded_at,
        who=target.envelope.actor.name,
        recovered=body.is_recovered,
    )


def _changes(parts: Parts) -> Changes:
    of_releases = release_changes(parts.current.release, parts.found.request.target)
    found = replace(parts.commits, packages=of_releases.packages, bases=of_releases.bases)
    old, new = parts.current.spec, parts.found.settings.spec
    if old is None:
        return found
    return replace(
        found, settings=settings_changes(old, new), secrets=secret_changes(old.secrets, new.secrets)
    )


def _notes(parts: Parts) -> Iterator[str]:
    """Return notes on what the reader may not expect."""
    found, current, version = parts.found, parts.current, parts.found.request.version
    yield from _exceptions(parts)
    yield from found.migrations.notes
    yield from parts.target.notes
    yield from current.notes()
    body = found.request.target.body
    if body.recovered is not None:
        verb = "recovered" if body.adopted is None else "adopted"
        yield f"the record of {version} was {verb} from {body.recovered.origin}"
    if found.request.allowed.again and parts.is_running:
        yield f"{version} runs already with these settings; --again replaces it"
    if caution := entrypoint_note.caution(current.spec, found.settings.spec):
        yield caution
    yield from filter(None, (found.settings.moved, found.image.note))
    yield from current.container_notes()
    if found.request.reason == "promote" and current.is_newer_than(version):
        yield (
            f"{version} is older than what runs, and gets today's settings; to restore its own "
            f"settings: `{parts.place.command(f'rollback --to {version}')}`"
        )


def _exceptions(parts: Parts) -> Iterator[str]:
    """Return the quarantine, freeze, lock and interrupted deployment that the command overrides."""
    policy, takeover, place = parts.found.policy, parts.found.takeover, parts.place
    if policy.quarantine is not None:
        yield f"{parts.found.request.version} {policy.quarantine}"
    if takeover.unfinished:
        yield (
            f"interrupted: {takeover.unfinished}; this deployment replaces it. To finish or "
            f"revert it instead: `{place.command('converge')}`"
        )
    if takeover.broken:
        yield f"the lock is taken from {takeover.broken}"
    if policy.freeze is not None:
        yield f"{place.environment} {policy.freeze}"
