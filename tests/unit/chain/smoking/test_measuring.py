"""Measurements of smoke runs, and their limits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from release.chain.smoking.measuring import (
    check_image_growth,
    check_image_size,
    check_limits,
    check_memory_growth,
    check_memory_limit,
    combine_measurements,
)
from release.commands.text.gates import measured_text
from release.config import Limits
from release.errors import GateFailed
from release.records import SmokeMeasurements


def limits(**values: object) -> Limits:
    return Limits.model_validate(values)


def test_several_runs_are_one_measurement() -> None:
    """The longest time and the highest peak; what no run knows is missing."""
    assert combine_measurements(5, [(10, None), (30, 7), (None, 9)]) == SmokeMeasurements(
        image_size=5, ready_ms=30, peak_memory=9
    )
    assert combine_measurements(5, [(None, None)]) == SmokeMeasurements(image_size=5)


@pytest.mark.parametrize(
    ("growth", "size", "refused"),
    [
        ("20%", 120, False),
        ("20%", 121, True),
        ("0%", 100, False),
        ("0%", 101, True),
        ("10b", 110, False),
        ("10b", 111, True),
        ("20%", 50, False),
    ],
)
def test_an_image_may_grow_by_a_part_or_a_size(growth: str, size: int, refused: bool) -> None:
    """From the release before; a smaller image is always allowed."""
    found = check_image_growth(
        limits(max_size_growth=growth),
        SmokeMeasurements(image_size=size),
        "1.0.0",
        SmokeMeasurements(image_size=100),
    )
    assert bool(found) == refused
    assert not found or "that of 1.0.0" in found


def test_an_image_may_be_too_large_by_itself() -> None:
    """Without a release before it."""
    assert check_image_size(limits(max_size="1k"), SmokeMeasurements(image_size=1024)) == ""
    assert "limits.max_size is 1k" in check_image_size(
        limits(max_size="1k"), SmokeMeasurements(image_size=1025)
    )
    assert check_image_size(limits(), SmokeMeasurements(image_size=10**12)) == ""


@pytest.mark.parametrize(("peak", "refused"), [(150, False), (151, True), (None, False)])
def test_memory_may_grow_by_a_part(peak: int | None, refused: bool) -> None:
    """From the release before, if its peak is known."""
    now, before = (SmokeMeasurements(image_size=1, peak_memory=each) for each in (peak, 100))
    found = check_memory_growth(limits(max_memory_growth="50%"), now, "1.0.0", before)
    assert bool(found) == refused
    assert not check_memory_growth(
        limits(max_memory_growth="50%"), now, "1.0.0", SmokeMeasurements(image_size=1)
    )


@pytest.mark.parametrize("key", ["max_memory", "max_memory_growth"])
def test_a_limit_of_memory_needs_an_engine_that_tells_the_peak(key: str) -> None:
    """A limit that nothing holds would be no limit."""
    with pytest.raises(GateFailed, match="not known on this engine"):
        check_memory_limit(limits(**{key: "64m"}), SmokeMeasurements(image_size=1))


@pytest.mark.parametrize("text", ["much", "-5%", "20 %", "%", ""])
def test_another_growth_is_refused(text: str) -> None:
    """Neither a part nor a size."""
    with pytest.raises(ValidationError):
        limits(max_size_growth=text)


def test_measurements_are_shown() -> None:
    """By `invoke show`, as far as they are known."""
    assert measured_text(SmokeMeasurements(image_size=55_000_000)) == "image 55.0 MB"
    every = SmokeMeasurements(image_size=55_000_000, ready_ms=420, peak_memory=43_100_000)
    assert measured_text(every) == "ready after 0.4 s, 43.1 MB of memory, image 55.0 MB"


def test_the_hint_of_a_limit_names_no_table_of_one_file() -> None:
    """The table is `[limits]` in release.toml, and `[tool.release.limits]` in pyproject.toml."""
    ctx: Any = SimpleNamespace(plan=SimpleNamespace(service=SimpleNamespace(limits=limits(max_size="1k"))))
    with pytest.raises(GateFailed, match=r"limits\.max_size is 1k") as refused:
        check_limits(ctx, SmokeMeasurements(image_size=1025))
    assert "raise that limit in the settings" in refused.value.hint
    assert "tool.release" not in refused.value.hint
