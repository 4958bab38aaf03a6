"""Checks, drills and prunings as text. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from release.commands.text.marks import version_text
from release.deploy.inspection.drill import Drill, DrillResult
from release.deploy.inspection.prune_result import PrunePlan, PruneResult, summary
from release.deploy.inspection.readiness_report import Readiness, Verdict
from release.reference import Digest
from release.text.control_characters import inert_lines


class RebuildReport(Protocol):
    """Result of a rebuild, as `release.image_rebuild.RebuildResult`."""

    @property
    def service(self) -> str:
        """Return the name of the service."""

    @property
    def version(self) -> str:
        """Return the version of the release."""

    @property
    def verdict(self) -> str:
        """Return the result as text."""

    @property
    def digest(self) -> str:
        """Return the digest of the recorded manifest."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the reasons for the result."""

    @property
    def kept(self) -> str | None:
        """Return the name under which the image was kept; None if it was removed."""


READINESS: Final = ("environment", "version", "digest", "verdict", "bytes", "found")


def readiness_rows(found: Readiness) -> Iterator[Sequence[str]]:
    """Yield the rows of one environment's check, the running release first."""
    for verdict in found.verdicts:
        yield (
            f"{found.service} {found.environment}",
            version_text(verdict.version, recovered=verdict.recovered),
            Digest(verdict.digest).short,
            verdict.result,
            "+".join(verdict.bytes),
            "; ".join(_verdict_lines(verdict)),
        )


def _verdict_lines(verdict: Verdict) -> Iterator[str]:
    yield from verdict.problems
    yield from verdict.notes
    yield from (f"not checked: {what}" for what in verdict.unchecked)


def readiness_line(found: Readiness) -> str:
    """Return the summary of one environment's check."""
    standing = [verdict for verdict in found.verdicts if verdict.result != "quarantined"]
    ready = sum(verdict.result == "ready" for verdict in standing)
    judged = "" if not any(verdict.unchecked for verdict in standing) else ", not everything checked"
    sums = f"{ready} of {len(standing)} releases are ready for a rollback{judged}"
    notes = "".join(f"; {note}" for note in found.notes)
    word = "ready" if found.ready else "NOT READY"
    return f"{found.service} {found.environment}  {word}  {sums}{notes}"


def rebuild_result_text(made: RebuildReport) -> str:
    """Return the result of a rebuild with its reasons."""
    kept = f"  kept as {made.kept}" if made.kept is not None else ""
    line = f"{made.service} {made.version} rebuilt  {made.verdict}  {made.digest}{kept}"
    return inert_lines([line, *(f"  {note}" for note in made.notes)])


def drill_title(drill_run: Drill) -> str:
    """Return the headline of a drill."""
    version, place = drill_run.request.target.body.version, drill_run.request.place
    return f"drill {version} of {place.service} in {place.environment}, beside what runs"


def drill_rows(drill_run: Drill) -> list[tuple[str, str]]:
    """Return the steps of a drill, and the facts that it does not prove."""
    rows = [
        ("engine", drill_run.host),
        ("image", f"{drill_run.request.target.body.image.digest}, from the {drill_run.found.where}"),
        (drill_run.drills.what, drill_run.names),
        ("not proven", inert_lines(drill_run.unchecked)),
    ]
    return [(label, text) for label, text in rows if text]


def drill_result_line(drilled: DrillResult) -> str:
    """Return the result of a drill in one line."""
    drill_run, seconds = drilled.drill_run, drilled.duration_ms / 1000
    place, body = drill_run.request.place, drill_run.request.target.body
    return (
        f"{place.service} {body.version} {place.environment} rehearsed in {seconds:.1f} s "
        f"{body.image.repository}@{body.image.digest}"
    )


def prune_title(plan: PrunePlan) -> str:
    """Return the headline of a pruning."""
    return f"prune the images of {plan.service} on {_engine_of_plan(plan)} ({', '.join(plan.environments)})"


def _engine_of_plan(plan: PrunePlan) -> str:
    return f"{plan.node}, {plan.engine}" if plan.node else plan.engine


def prune_rows(plan: PrunePlan) -> list[tuple[str, str]]:
    """Return removed objects, kept objects with the reason, and ignored objects."""
    going = (
        f"{each.version}  {Digest(each.digest).short}  {', '.join(each.names)}" for each in plan.removals
    )
    rows = [
        ("remove", inert_lines(going) or "no image"),
        ("containers", inert_lines(plan.containers)),
        ("objects", inert_lines(map(str, plan.objects))),
        ("keep", inert_lines(map(summary, plan.kept))),
        ("not changed", f"not in the ledger: {', '.join(plan.unknown)}" if plan.unknown else ""),
    ]
    return [(label, text) for label, text in rows if text]


def prune_result_line(done: PruneResult) -> str:
    """Return the result of a pruning in one line."""
    versions = f" ({', '.join(each.version for each in done.removed)})" if done.removed else ""
    containers = f", {len(done.containers)} stopped containers" if done.containers else ""
    sums = f"{done.freed / 1e6:.1f} MB freed, {len(done.pruning.kept)} kept"
    objects = f", {len(done.objects)} secrets and configs" if done.objects else ""
    where = f"{done.pruning.service} pruned {_engine_of_plan(done.pruning)}"
    return f"{where}: {len(done.removed)} images{versions}{containers}{objects}, {sums}"
