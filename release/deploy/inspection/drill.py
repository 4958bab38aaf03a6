"""A drill: a release really starts, with its recorded settings, beside what runs, and is removed.

Nothing of the environment is touched: see `release.deploy.core.drill_request`. What is measured is the time
that a rollback would take: from the command to verified healthy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from release.deploy.core import image_location
from release.deploy.core.drill_request import Conditions, DrillRequest
from release.deploy.core.image_location import ImageLocation
from release.deploy.core.rollout import RolloutContext
from release.deploy.core.target import Drills
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.planning.settings import read_secrets, recorded_settings
from release.errors import EngineError, NotReady, Problem, ReleaseError, TargetUnavailable
from release.events import Emit, Warned
from release.ledger.query import Event
from release.programs.cancellation import Cancellation
from release.records import ExaminedRelease, Record, Release, Verification
from release.secrets.redact import Mask
from release.values import Struct


class Drill(Struct, frozen=True, kw_only=True):
    """Plan of a drill, before anything is started."""

    request: DrillRequest
    host: str
    """Address of the target that it runs at."""
    drills: Drills
    """The part of the target that rehearses."""
    found: ImageLocation
    """Place of the image."""

    @property
    def parts(self) -> tuple[DrillRequest, ...]:
        """Return a request for each started process. Exclusive processes are left out."""
        return self.request.by_process

    @property
    def names(self) -> str:
        """Return the names of what is started."""
        return ", ".join(part.name for part in self.parts)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Return what the drill does not prove."""
        found = [_of_process(part, text) for part in self.parts for text in self._unchecked(part)]
        left = sorted(self.request.spec.exclusive)
        return (*found, *(f"{name}: it is exclusive, so a second one was not started" for name in left))

    def _unchecked(self, part: DrillRequest) -> Iterator[str]:
        yield from part.conditions.unchecked(part.spec)
        yield from self.drills.unchecked(part)


def _of_process(part: DrillRequest, text: str) -> str:
    """Return a text after the name of its process; the text alone if there is one process."""
    return f"{part.place.process}: {text}" if part.place.process else text


def prepare_drill(
    live: LiveEnvironment,
    ground: LiveEnvironment,
    target: Record[Release],
    ran: Event | None,
    conditions: Conditions,
) -> Drill:
    """Plan a drill, with all checks that need no start.

    Args:
        live: the environment whose release and settings are rehearsed.
        ground: the environment at whose target it runs: the same, or another one.
        target: the release.
        ran: the deployment whose settings are; absent: the release's last healthy one.
        conditions: what is real.

    Raises:
        TargetUnavailable: no settings are recorded, or the bytes are nowhere.
        NotReady: a secret cannot be read, a network is not there, or no node can run it.
        EngineError.
    """
    spec = recorded_settings(live, target, ran)
    secrets, missing = read_secrets(live, spec) if conditions.secrets else ({}, [])
    tell = image_location.as_progress(live.workspace.emit)
    drill_run = Drill(
        request=DrillRequest(
            place=live.place,
            target=target,
            spec=spec,
            conditions=conditions,
            secrets=secrets,
            health_timeout=live.settings.health_timeout,
        ),
        host=ground.target.name,
        drills=ground.target.drills,
        found=ground.target.images.locate(target.body.image, tell),
    )
    lacking = [problem for part in drill_run.parts for problem in drill_run.drills.problems(part)]
    _refuse(drill_run, [*missing, *lacking])
    return drill_run


def _refuse(drill_run: Drill, missing: Sequence[Problem]) -> None:
    """Raise TargetUnavailable if the image is missing, or NotReady for other problems."""
    request, found = drill_run.request, drill_run.found
    attempted = f"drill {request.target.body.version} of {request.place} {drill_run.drills.where}"
    if found.where == "nowhere":
        raise TargetUnavailable(
            attempted, found.problem, "`invoke verify` shows which releases have their image"
        )
    if missing:
        raise NotReady(
            attempted,
            "".join(f"\n  {problem}" for problem in missing),
            "correct this, or leave it out of the drill",
        )


class DrillResult(Struct, frozen=True, kw_only=True):
    """Result of a successful drill."""

    drill_run: Drill
    evidence: str
    duration_ms: int
    """From the command's start to verified healthy."""

    def verification(self) -> Verification:
        """Return the verification record of the drill."""
        return _record(self.drill_run, self.duration_ms, detail=self.evidence)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON data."""
        drill_run = self.drill_run
        return {
            "service": drill_run.request.place.service,
            "environment": drill_run.request.place.environment,
            "engine": drill_run.host,
            "version": drill_run.request.target.body.version,
            "digest": drill_run.request.target.body.image.digest,
            "bytes_from": drill_run.found.where,
            "duration_ms": self.duration_ms,
            "evidence": self.evidence,
            "unchecked": list(drill_run.unchecked),
        }


def failed(drill_run: Drill, error: ReleaseError, duration_ms: int) -> Verification:
    """Return the verification record of a failed drill."""
    mask = Mask(drill_run.request.secrets.values())
    return _record(drill_run, duration_ms, problems=(mask(error.found),))


def _record(
    drill_run: Drill, duration_ms: int, *, problems: tuple[str, ...] = (), detail: str = ""
) -> Verification:
    examined = ExaminedRelease(
        release=drill_run.request.target.id,
        digest=drill_run.request.target.body.image.digest,
        result="failed" if problems else "passed",
        problems=problems,
        unchecked=drill_run.unchecked,
    )
    return Verification(
        what="drill",
        environment=drill_run.request.place.environment,
        result="failed" if problems else "passed",
        releases=(examined,),
        duration_ms=duration_ms,
        detail=detail,
    )


def drill(
    drill_run: Drill, emit: Emit, cancellation: Cancellation, elapsed: Callable[[], int]
) -> DrillResult:
    """Start the release, check its health, and remove it; return the result.

    Args:
        drill_run: the plan of the drill.
        emit: gets the steps.
        cancellation: stops the drill. Started objects are removed.
        elapsed: milliseconds since the command began.

    Raises:
        DeploymentFailed: the release is not healthy, or runs another image; with its last lines.
        RegistryError, TargetUnavailable, EngineError, Cancelled.
    """
    request, drills = drill_run.request, drill_run.drills
    context = RolloutContext(emit=emit, cancellation=cancellation, mask=Mask(request.secrets.values()))
    for part in drill_run.parts:
        drills.remove_leftovers(part, emit)
    drills.fetch(request, drill_run.found, emit)
    cancellation.check()
    evidence = []
    with ExitStack() as stack:
        for part in drill_run.parts:
            stack.enter_context(_removed(drills, part, context))
            evidence.append(_of_process(part, drills.rehearse(part, context)))
        took = elapsed()
    return DrillResult(drill_run=drill_run, evidence="; ".join(evidence), duration_ms=took)


@contextmanager
def _removed(drills: Drills, request: DrillRequest, context: RolloutContext) -> Iterator[None]:
    """Remove the started objects when the block ends, whatever its end."""
    try:
        yield
    finally:
        try:
            drills.remove(request, context)
        except EngineError as error:
            left = (
                f"could not remove {drills.name(request)}: {error.found}. The next drill removes it. No "
                "action needed."
            )
            context.emit(Warned(text=left))
