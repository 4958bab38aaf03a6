"""Proof that tests ran: a report or a count above zero, or the exit status if that is configured."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Final

from release.brief import counted
from release.chain.testing.counts import PATTERN_SECONDS, Counted
from release.chain.testing.hints import NOTHING, lacks_tests
from release.chain.testing.junit import Report
from release.chain.testing.known import Known
from release.config import Test
from release.errors import GateFailed, UsageError
from release.records import TestsRan
from release.values import Struct

JUNIT: Final = "/tmp/release-junit.xml"  # noqa: S108 - in the container
_OPTIONS: Final = ("--override-ini=junit_family=xunit1", f"--junitxml={JUNIT}")
"""The family with file and line of each test (pytest's documentation, `junit_family`)."""
_NOTHING_COLLECTED: Final = 5
"""pytest and unittest end with it where they find no tests (pytest's documentation, "Exit codes")."""
_STATE: Final = (
    'configure how to count the tests: test.report = "/path/of/junit.xml", or test.count = '
    "'Passed: ([0-9]+)'. If there is no such number: test.evidence = \"exit-status\" and "
    'test.reason = "..."'
)


class Seen(Struct, frozen=True, kw_only=True):
    """A test run that ended, as far as it was seen."""

    argv: tuple[str, ...]
    """The program and its words, as the engine tells them."""
    status: int
    report: Report | None
    """The JUnit report, where there is one."""
    counted: Counted | None
    """Counts in the output."""
    is_given_up: bool = False
    """True: `test.count` took too long to be matched."""


def is_pytest(command: Sequence[str]) -> bool:
    """Return whether a word of the command is pytest."""
    return any(PurePosixPath(word).name == "pytest" for word in command)


def only(config: Test, expression: str) -> Test:
    """Return the settings for the tests whose names match, as `pytest -k` takes them.

    Raises UsageError: the command is not pytest's.
    """
    if not is_pytest(config.command):
        raise UsageError(
            f"run the tests that match {expression!r}",
            f"`{shlex.join(config.command)}` is not a command of pytest, which alone knows -k",
            "name the tests in `test.command`, or run all of them",
        )
    return config.model_copy(update={"command": (*config.command, "-k", expression)})


def with_report(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command, asked for a JUnit report where it is pytest's."""
    return (*command, *_OPTIONS) if is_pytest(command) else command


def asked(config: Test) -> tuple[tuple[str, ...], str]:
    """The command to run, and the path of the report that it may write."""
    if config.report is not None:
        return config.command, config.report
    return with_report(config.command), JUNIT


def proof(config: Test, seen: Seen, commit: Callable[[], Known] = lambda: NOTHING) -> TestsRan:
    """Judge a run that ended with status 0. Raises GateFailed: nothing shows that tests ran and passed."""
    if config.evidence == "exit-status":
        return TestsRan(argv=seen.argv, evidence="exit-status", reason=config.reason)
    if seen.report is not None and seen.report.failed:
        raise _failed(
            config, f"ended with status 0, but its report has {_tests(seen.report.failed)} that failed"
        )
    if seen.report is not None and seen.report.ran:
        report = seen.report
        return TestsRan(argv=seen.argv, evidence="junit", count=report.ran, skipped=report.skipped)
    if seen.is_given_up:
        raise _slow_pattern(config)
    if seen.counted is not None and seen.counted.ran and not _is_authority(config, seen):
        counted = seen.counted
        _check_words(config, counted)
        return TestsRan(argv=seen.argv, evidence="output", count=counted.ran, skipped=counted.skipped or None)
    raise no_tests(config, seen, commit())


def _slow_pattern(config: Test) -> GateFailed:
    return _failed(
        config,
        f"the pattern of `test.count`, {config.count!r}, takes more than {PATTERN_SECONDS:g} s",
        "write it without a repetition inside a repetition, as (a+)+: it tries every way to divide a line",
    )


def _check_words(config: Test, counted: Counted) -> None:
    """Refuse a run whose own words say that a test failed, or a part found none. Raises GateFailed."""
    own = (
        "If these lines are not the result of the tests, name it: test.report, or test.count with "
        "a pattern for the right line"
    )
    if counted.failed:
        found = f"ended with status 0, but its output says that {_tests(counted.failed)} failed"
        hint = f"let the command end with the status of the tests, without `| tail` or `|| true`. {own}"
        raise _failed(config, found, hint)
    if counted.empty:
        found = "ended with status 0, but a part of it found no tests"
        raise _failed(config, found, f"remove that part of the command, or give it tests. {own}")


def _is_authority(config: Test, seen: Seen) -> bool:
    """Return whether the report was asked for: then no other statement counts against it."""
    return seen.report is not None and (config.report is not None or is_pytest(config.command))


def found_none(config: Test, seen: Seen) -> bool:
    """Return whether a status other than 0 means that the runner found no tests."""
    states = [count.ran for count in (seen.report, seen.counted) if count is not None]
    knows = is_pytest(config.command) or bool(states)
    return seen.status == _NOTHING_COLLECTED and knows and not any(states)


def no_tests(config: Test, seen: Seen, commit: Known = NOTHING) -> GateFailed:
    """Return the error for a run in which no test ran, or nothing shows that one did."""
    skipped = max((count.skipped for count in (seen.report, seen.counted) if count is not None), default=0)
    if skipped:
        words = f"{_tests(skipped)} {'was' if skipped == 1 else 'were'} skipped"
        return _failed(
            config,
            f"no tests ran: {words}",
            "a gate needs a test that runs: find out why they are skipped, with the command on your machine",
        )
    if seen.report is not None or seen.counted is not None or seen.status == _NOTHING_COLLECTED:
        return _failed(
            config,
            f"no tests ran: the command found none (status {seen.status})",
            lacks_tests(config, commit),
        )
    if config.report is not None:
        return _failed(
            config, f"ended with status 0, but wrote no report at {config.report}", "correct `test.report`"
        )
    if config.count is not None:
        found = f"ended with status 0, but no line of its output matches `test.count`, {config.count!r}"
        return _failed(config, found, "correct `test.count`")
    return _failed(config, "ended with status 0, but nothing shows that a test ran", _STATE)


def _tests(count: int) -> str:
    return counted(count, "test")


def _failed(config: Test, found: str, hint: str = "") -> GateFailed:
    return GateFailed(
        "test",
        f"`{shlex.join(config.command)}`: {found}",
        hint or "correct the command, so that it fails if a test fails",
    )
