"""Result of a look at readiness, as values."""

from __future__ import annotations

from typing import Any, Literal

from release.actor import TOOL, utc_now_text
from release.deploy.environment.environment import Workspace
from release.records import Body, Draft, ExaminedRelease, Record, Release, Verification
from release.values import Struct, plain

Result = Literal["ready", "not ready", "quarantined"]
_RECORDED: dict[Result, Literal["passed", "failed", "skipped"]] = {
    "ready": "passed",
    "not ready": "failed",
    "quarantined": "skipped",
}


class Verdict(Struct, frozen=True, kw_only=True):
    """Answer for one release: whether a rollback to it would work now."""

    version: str
    recovered: bool = False
    """True: its record was recovered from its image."""
    release: str
    """The id of its record."""
    digest: str
    result: Result
    bytes: tuple[str, ...] = ()
    """Places with the whole image: engine, registry; nodes: every node of a cluster that takes tasks."""
    problems: tuple[str, ...] = ()
    """Reasons why it is not ready, or quarantined."""
    unchecked: tuple[str, ...] = ()
    """Facts that cannot be checked from here."""
    notes: tuple[str, ...] = ()
    """Facts that do not stop a rollback, but should be known."""


class Readiness(Struct, frozen=True, kw_only=True):
    """Readiness of one environment."""

    service: str
    environment: str
    engine: str | None
    """Its address; None where it was not asked."""
    wanted: int
    verdicts: tuple[Verdict, ...]
    """The one that runs first."""
    notes: tuple[str, ...]
    duration_ms: int

    @property
    def ready(self) -> bool:
        """Return whether all releases that are not quarantined are ready. True without deployments."""
        return all(verdict.result != "not ready" for verdict in self.verdicts)

    def to_json(self) -> dict[str, Any]:
        """Return the readiness as JSON data."""
        return {"ready": self.ready, **plain(self)}


def verdict_of(release: Record[Release], result: Result, **found: Any) -> Verdict:
    """Return the verdict on a release."""
    return Verdict(
        version=release.body.version,
        recovered=release.body.is_recovered,
        release=release.id,
        digest=release.body.image.digest,
        result=result,
        **found,
    )


def verification(found: Readiness) -> Verification:
    """Return the verification record of a readiness check."""
    return Verification(
        what="readiness",
        environment=found.environment,
        result="passed" if found.ready else "failed",
        releases=tuple(
            ExaminedRelease(
                release=verdict.release,
                digest=verdict.digest,
                result=_RECORDED[verdict.result],
                problems=verdict.problems,
                unchecked=verdict.unchecked,
            )
            for verdict in found.verdicts
        ),
        duration_ms=found.duration_ms,
        detail="; ".join(found.notes),
    )


def draft_of(workspace: Workspace, body: Body, run: str) -> Draft[Body]:
    """Return a record with the current operator and time."""
    return Draft(
        service=workspace.service.service,
        recorded_at=utc_now_text(),
        actor=workspace.actor,
        run=workspace.run(run),
        tool=TOOL,
        body=body,
    )
