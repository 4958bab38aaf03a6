"""The budget of durations: the seconds that the tests of each folder took, beside each other."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest

_FROM: Final = 60.0
"""Shorter runs, in seconds, print none."""
_DEPTH: Final = 3


def write(reporter: pytest.TerminalReporter) -> None:
    """Print one line for each folder, the longest first."""
    seconds, tests = _sums(reporter)
    if seconds.total() < _FROM:
        return
    reporter.section("seconds of each folder")
    for folder, sum_ in seconds.most_common():
        reporter.write_line(f"{sum_:8.0f} s {tests[folder]:6} tests  {folder}")
    reporter.write_line(f"{seconds.total():8.0f} s {tests.total():6} tests  in all")


def _sums(reporter: pytest.TerminalReporter) -> tuple[Counter[str], Counter[str]]:
    """Seconds and numbers of tests by folder."""
    seconds: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for reports in reporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                folder = "/".join(report.nodeid.split("::")[0].split("/")[:-1][:_DEPTH])
                seconds[folder] += report.duration  # type: ignore[assignment]  # a Counter of floats works
                tests[folder] += report.when == "call"
    return seconds, tests
