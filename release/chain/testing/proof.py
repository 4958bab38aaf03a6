"""Proof that tests ran: a report or a count above zero, or the exit status if configured."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Final

from release.chain.testing.counts import PATTERN_SECONDS, CountedTests
from release.chain.testing.hints import NOTHING, hint_for_missing_tests
from release.chain.testing.junit import JUnitReport
from release.chain.testing.known import CommittedTests
from release.config import Test
from release.errors import GateFailed, UsageError
from release.records import TestsRan
from release.text.shortening import counted
from release.values import Struct

JUNIT: Final = "/tmp/release-junit.xml"  # noqa: S108 - in the container
_OPTIONS: Final = ("--override-ini=junit_family=xunit1", f"--junitxml={JUNIT}")
"""pytest's options for a report with file and line of each test (`junit_family`)."""
_NOTHING_COLLECTED: Final = 5
"""Exit status of pytest and unittest if no tests were found (pytest, "Exit codes")."""
_STATE: Final = (
    'configure how to count the tests: test.report = "/path/of/junit.xml", or test.count = '
    "'Passed: ([0-9]+)'. If there is no such number: test.evidence = \"exit-status\" and "
    'test.reason = "..."'
)


class EndedTestRun(Struct, frozen=True, kw_only=True):
    """Facts of a test run that ended."""

    argv: tuple[str, ...]
    """Program and arguments, from the engine."""
    status: int
    report: JUnitReport | None
    """JUnit report; None without one."""
    counted: CountedTests | None
    """Counts in the output; None without counts."""
    has_pattern_timed_out: bool = False
    """True: matching `test.count` exceeded its time limit."""


def is_pytest(command: Sequence[str]) -> bool:
    """Return whether the command runs pytest."""
    return any(PurePosixPath(word).name == "pytest" for word in command)


def select_tests(config: Test, expression: str) -> Test:
    """Return the settings for the tests whose names match, as `pytest -k` selects them.

    Raises UsageError: the command is not pytest's.
    """
    if not is_pytest(config.command):
        raise UsageError(
            f"run the tests that match {expression!r}",
            f"`{shlex.join(config.command)}` is not a command of pytest, which alone knows -k",
            "name the tests in `test.command`, or run all of them",
        )
    return config.model_copy(update={"command": (*config.command, "-k", expression)})


def add_report_options(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command; for pytest, with options for a JUnit report."""
    return (*command, *_OPTIONS) if is_pytest(command) else command


def command_and_report_path(config: Test) -> tuple[tuple[str, ...], str]:
    """Return the command to run, and the path of the report that it may write."""
    if config.report is not None:
        return config.command, config.report
    return add_report_options(config.command), JUNIT


def prove_tests_ran(
    config: Test, seen: EndedTestRun, commit: Callable[[], CommittedTests] = lambda: NOTHING
) -> TestsRan:
    """Return the proof that tests ran, for a run with status 0. Raises GateFailed: no proof."""
    if config.evidence == "exit-status":
        return TestsRan(argv=seen.argv, evidence="exit-status", reason=config.reason)
    if seen.report is not None and seen.report.failed:
        raise _proof_error(
            config, f"ended with status 0, but its report has {_count_tests(seen.report.failed)} that failed"
        )
    if seen.report is not None and seen.report.ran:
        report = seen.report
        return TestsRan(argv=seen.argv, evidence="junit", count=report.ran, skipped=report.skipped)
    if seen.has_pattern_timed_out:
        raise _slow_pattern_error(config)
    if seen.counted is not None and seen.counted.ran and not _was_report_requested(config, seen):
        counted = seen.counted
        _refuse_failing_output(config, counted)
        return TestsRan(argv=seen.argv, evidence="output", count=counted.ran, skipped=counted.skipped or None)
    raise no_tests_error(config, seen, commit())


def _slow_pattern_error(config: Test) -> GateFailed:
    return _proof_error(
        config,
        f"the pattern of `test.count`, {config.count!r}, takes more than {PATTERN_SECONDS:g} s",
        "write it without a repetition inside a repetition, as (a+)+: it tries every way to divide a line",
    )


def _refuse_failing_output(config: Test, counted: CountedTests) -> None:
    """Refuse output that reports a failed test or an empty part. Raises GateFailed."""
    own = (
        "If these lines are not the result of the tests, name it: test.report, or test.count with "
        "a pattern for the right line"
    )
    if counted.failed:
        found = f"ended with status 0, but its output says that {_count_tests(counted.failed)} failed"
        hint = f"let the command end with the status of the tests, without `| tail` or `|| true`. {own}"
        raise _proof_error(config, found, hint)
    if counted.empty:
        found = "ended with status 0, but a part of it found no tests"
        raise _proof_error(config, found, f"remove that part of the command, or give it tests. {own}")


def _was_report_requested(config: Test, seen: EndedTestRun) -> bool:
    """Return whether the report was requested, so that no other evidence overrules it."""
    return seen.report is not None and (config.report is not None or is_pytest(config.command))


def has_found_no_tests(config: Test, seen: EndedTestRun) -> bool:
    """Return whether a status other than 0 means that the runner found no tests."""
    states = [count.ran for count in (seen.report, seen.counted) if count is not None]
    knows = is_pytest(config.command) or bool(states)
    return seen.status == _NOTHING_COLLECTED and knows and not any(states)


def no_tests_error(config: Test, seen: EndedTestRun, commit: CommittedTests = NOTHING) -> GateFailed:
    """Return the error for a run in which no test ran, or nothing shows that one did."""
    skipped = max((count.skipped for count in (seen.report, seen.counted) if count is not None), default=0)
    if skipped:
        words = f"{_count_tests(skipped)} {'was' if skipped == 1 else 'were'} skipped"
        return _proof_error(
            config,
            f"no tests ran: {words}",
            "a gate needs a test that runs: find out why they are skipped, with the command on your machine",
        )
    if seen.report is not None or seen.counted is not None or seen.status == _NOTHING_COLLECTED:
        return _proof_error(
            config,
            f"no tests ran: the command found none (status {seen.status})",
            hint_for_missing_tests(config, commit),
        )
    if config.report is not None:
        return _proof_error(
            config, f"ended with status 0, but wrote no report at {config.report}", "correct `test.report`"
        )
    if config.count is not None:
        found = f"ended with status 0, but no line of its output matches `test.count`, {config.count!r}"
        return _proof_error(config, found, "correct `test.count`")
    return _proof_error(config, "ended with status 0, but nothing shows that a test ran", _STATE)


def _count_tests(count: int) -> str:
    return counted(count, "test")


def _proof_error(config: Test, found: str, hint: str = "") -> GateFailed:
    return GateFailed(
        "test",
        f"`{shlex.join(config.command)}`: {found}",
        hint or "correct the command, so that it fails if a test fails",
    )
