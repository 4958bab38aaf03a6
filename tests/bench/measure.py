"""Times and ratios: several runs, taken in turns, so that a busy minute hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What several runs took, in seconds."""

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """Half of the runs took less."""
        return statistics.median(self.runs)

    def __str__(self) -> str:
        """Milliseconds: the median, and between which two half of the runs lie."""
        low, _, high = statistics.quantiles(self.runs, n=4) if len(self.runs) > 1 else self.runs * 3
        return f"{_ms(self.median)} ({_ms(low)}-{_ms(high)})"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}" if seconds < 0.1 else f"{seconds * 1e3:.0f}"


def side_by_side(actions: Mapping[K, Callable[[int], float | None]], runs: int) -> dict[K, Figure]:
    """Run all actions in turns: A B A B.

    Args:
        actions: each gets the number of the run; it may give back the seconds that count, where it has
            something to prepare.
        runs: how often, after one that does not count.
    """
    took: dict[K, list[float]] = {key: [] for key in actions}
    for run in range(-1, runs):
        for key, action in actions.items():
            begin = time.perf_counter()
            given = action(run + 1)
            seconds = given if given is not None else time.perf_counter() - begin
            took[key] += [seconds] if run >= 0 else []
    return {key: Figure(runs=tuple(values)) for key, values in took.items()}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def ratio(figure: Figure, base: Figure) -> str:
    """How many times the base, by the medians."""
    return f"{figure.median / base.median:.2f}"
