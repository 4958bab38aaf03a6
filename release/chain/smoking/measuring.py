"""Measurements of a smoke run and their limits: start time, memory, image size."""

from __future__ import annotations

from collections.abc import Iterable

from release.chain.stage_context import StageContext
from release.config import Limits
from release.config.limits import largest_allowed
from release.errors import GateFailed
from release.ledger import query
from release.records import Release, SmokeMeasurements
from release.scalars import size_text


def combine_measurements(size: int, runs: Iterable[tuple[int | None, int | None]]) -> SmokeMeasurements:
    """Return the measurements of all runs combined: the longest start and the highest peak.

    Args:
        size: the image's size in bytes.
        runs: for each run, milliseconds to the first right answer, and the memory peak in bytes, if known.
    """
    known = list(runs)
    times = [ready for ready, _ in known if ready is not None]
    peaks = [peak for _, peak in known if peak is not None]
    return SmokeMeasurements(
        image_size=size, ready_ms=max(times, default=None), peak_memory=max(peaks, default=None)
    )


def previous_measurements(ctx: StageContext) -> tuple[str, SmokeMeasurements] | None:
    """Return version and measurements of the newest release; None if its image store was of another kind."""
    service = ctx.plan.service.service
    newest = next(query.history(ctx.open_ledger(), service, kind=Release.kind), None)
    if newest is None or not isinstance(newest.body, Release):
        return None
    if newest.body.build.exporter != ctx.engine.info.image_store:
        return None
    found = next((gate.measured for gate in newest.body.gates if gate.measured is not None), None)
    return (newest.body.version, found) if found is not None else None


def check_limits(ctx: StageContext, measured: SmokeMeasurements) -> None:
    """Refuse measurements above their limits. Raises GateFailed."""
    limits = ctx.plan.service.limits
    grows = limits.max_size_growth is not None or limits.max_memory_growth is not None
    before = previous_measurements(ctx) if grows else None
    wrong = check_image_size(limits, measured) or (
        check_image_growth(limits, measured, *before) if before else ""
    )
    if wrong:
        raise GateFailed(
            "smoke",
            wrong,
            "look at its layers with docker history, or raise that limit in the settings",
        )
    wrong = check_memory_limit(limits, measured) or (
        check_memory_growth(limits, measured, *before) if before else ""
    )
    if wrong:
        raise GateFailed("smoke", wrong, "let it use less at its start, or raise that limit in the settings")


def check_memory_limit(limits: Limits, measured: SmokeMeasurements) -> str:
    """Return the problem with the memory peak; empty below the limit.

    Raises GateFailed: a limit is set, but the engine does not report the peak.
    """
    if limits.max_memory is None and limits.max_memory_growth is None:
        return ""
    peak = measured.peak_memory
    if peak is None:
        keys = "limits.max_memory and limits.max_memory_growth"
        hint = f"take {keys} out of the settings for this engine"
        raise GateFailed("smoke", "the peak of its memory is not known on this engine", hint)
    if limits.max_memory is None or peak <= limits.max_memory:
        return ""
    return f"it used {_size_in_mb(peak)} of memory; limits.max_memory is {size_text(limits.max_memory)}"


def check_memory_growth(
    limits: Limits, measured: SmokeMeasurements, version: str, before: SmokeMeasurements
) -> str:
    """Return the problem with the growth of the memory since a release; empty within the limit."""
    text, old, new = limits.max_memory_growth, before.peak_memory, measured.peak_memory
    if text is None or old is None or new is None or new <= largest_allowed(text, old):
        return ""
    used = f"it used {_size_in_mb(new)} of memory, and {version} {_size_in_mb(old)}"
    return f"{used}; limits.max_memory_growth is {text}"


def check_image_size(limits: Limits, measured: SmokeMeasurements) -> str:
    """Return the problem with the size of an image; empty below the limit."""
    if limits.max_size is None or measured.image_size <= limits.max_size:
        return ""
    return (
        f"the image has {_size_in_mb(measured.image_size)}; limits.max_size is {size_text(limits.max_size)}"
    )


def check_image_growth(
    limits: Limits, measured: SmokeMeasurements, version: str, before: SmokeMeasurements
) -> str:
    """Return the problem with the growth of an image since a release; empty within the limit."""
    text, old, new = limits.max_size_growth, before.image_size, measured.image_size
    if text is None or new <= largest_allowed(text, old):
        return ""
    sizes = f"the image has {_size_in_mb(new)}, and that of {version} {_size_in_mb(old)}"
    return f"{sizes}; limits.max_size_growth is {text}"


def _size_in_mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
