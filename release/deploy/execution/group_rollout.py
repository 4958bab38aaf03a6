"""Rollouts of several services as one: each keeps what ran before until all are proven, or puts it back.

Each rollout runs inside of the one before it, at the moment when that one is proven. So the last one that
began is the first that is put back, and nothing is taken away before all of them serve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from release.deploy.core.place import Place
from release.deploy.core.rollout import Look, RolloutContext
from release.errors import DeploymentFailed, MixedState, ReleaseError, Restored
from release.events import Emit, Event, Failed, Finished, Progress, Started
from release.values import Struct, replace


class Part(Struct, frozen=True, kw_only=True):
    """The rollout of one service."""

    place: Place
    attempted: str
    """Attempt, as errors say it."""
    act: Callable[[RolloutContext], str]
    """Replaces or finishes; returns the evidence. Raises as `Rollouts.roll_out`."""
    context: RolloutContext


class ServiceEnd(Struct, frozen=True, kw_only=True):
    """End of the rollout of one service."""

    place: Place
    evidence: str = ""
    error: ReleaseError | None = None
    is_cause: bool = False
    """True: this service failed first."""


def run_together(parts: Sequence[Part], looks: Sequence[tuple[Place, Look]] = ()) -> list[ServiceEnd]:
    """Run the rollouts; return their ends. Either all have evidence, or all have an error.

    Args:
        parts: the parts in the order of replacement.
        looks: checks of services that are not replaced, and have to serve at the end.
    """
    run = _Run(parts=parts, looks=list(looks), ends={})
    with suppress(ReleaseError):
        run.next(0)
    return [run.ends.get(part.place.service) or _not_begun(part) for part in parts]


class _Run(Struct, kw_only=True):
    """One run of several rollouts."""

    parts: Sequence[Part]
    looks: list[tuple[Place, Look]]
    ends: dict[str, ServiceEnd]
    cause: str = ""
    """First failure, in words for the other services."""

    def next(self, index: int) -> None:
        """Run the rollout of this index and all later ones; check all again after the last."""
        if index < len(self.parts):
            self._run(index)
            return
        for place, look in self.looks:
            try:
                look()
            except ReleaseError as error:
                self.cause = f"{place.service} did not stay healthy: {error.found}"
                raise

    def _run(self, index: int) -> None:
        part = self.parts[index]
        service = part.place.service

        def others(look: Look) -> None:
            self.looks.append((part.place, look))
            try:
                self.next(index + 1)
            except ReleaseError as error:
                part.context.cancellation.check()
                found = f"{self.cause}; it is deployed together with {service}"
                raise DeploymentFailed(part.attempted, found, error.hint) from error

        try:
            evidence = part.act(replace(part.context, others=others))
        except ReleaseError as error:
            self.ends[service] = ServiceEnd(place=part.place, error=error, is_cause=not self.cause)
            self.cause = self.cause or f"{service} was not healthy"
            raise
        self.ends[service] = ServiceEnd(place=part.place, evidence=evidence)


def _not_begun(part: Part) -> ServiceEnd:
    error = DeploymentFailed(part.attempted, "an earlier service failed; nothing was changed")
    return ServiceEnd(place=part.place, error=error)


def named(service: str, emit: Emit) -> Emit:
    """Return `emit` with the service's name before each step."""

    def tell(event: Event) -> None:
        if isinstance(event, Started | Progress | Finished | Failed):
            event = replace(event, name=f"{service}: {event.name}")
        emit(event)

    return tell


def worst(attempted: str, ends: Sequence[ServiceEnd]) -> DeploymentFailed:
    """Return one error for all services: the worst, with the text of each, the cause first."""
    failed = sorted((each for each in ends if each.error is not None), key=lambda each: not each.is_cause)
    errors = [each.error for each in failed if each.error is not None]
    kinds: tuple[type[DeploymentFailed], ...] = (MixedState, Restored)
    kind = next((kind for kind in kinds if any(isinstance(each, kind) for each in errors)), DeploymentFailed)
    first = next((each for each in errors if isinstance(each, kind)), errors[0])
    tail = next((tuple(tail) for each in errors if (tail := getattr(each, "tail", ()))), ())
    found = "; ".join(f"{each.place.service}: {each.error.found}" for each in failed if each.error)
    return kind(attempted, found, first.hint, tail)
