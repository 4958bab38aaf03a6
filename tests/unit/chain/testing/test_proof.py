"""What passes the gate, and the words for what does not."""

from __future__ import annotations

from typing import Any

import pytest

from release import config
from release.chain.testing.counts import CountedTests
from release.chain.testing.junit import JUnitReport
from release.chain.testing.proof import (
    JUNIT,
    EndedTestRun,
    command_and_report_path,
    has_found_no_tests,
    no_tests_error,
    prove_tests_ran,
    select_tests,
)
from release.errors import GateFailed, UsageError

ARGV = ("python", "-m", "pytest")


def table(**keys: Any) -> config.Test:
    return config.Test.model_validate(keys)


def report(ran: int = 0, skipped: int = 0, failed: int = 0) -> JUnitReport:
    return JUnitReport(ran=ran, skipped=skipped, failed=failed, failures=())


def seen(
    junit: JUnitReport | None = None, output: tuple[int, int] | None = None, status: int = 0
) -> EndedTestRun:
    counted = CountedTests(ran=output[0], skipped=output[1]) if output is not None else None
    return EndedTestRun(argv=ARGV, status=status, report=junit, counted=counted)


MAKE = {"command": ["make", "test"]}


@pytest.mark.parametrize(
    ("keys", "ended", "evidence", "count"),
    [
        ({}, seen(report(3)), "junit", 3),
        ({}, seen(report(3), output=(99, 0)), "junit", 3),
        ({}, seen(output=(3, 0)), "output", 3),
        (MAKE, seen(output=(3, 0)), "output", 3),
        (MAKE, seen(report(0), output=(3, 0)), "output", 3),
        (MAKE, seen(report(2)), "junit", 2),
        ({**MAKE, "evidence": "exit-status", "reason": "r"}, seen(), "exit-status", None),
    ],
)
def test_a_number_above_zero_passes(
    keys: dict[str, Any], ended: EndedTestRun, evidence: str, count: int | None
) -> None:
    """The report before the output; what ran is part of it."""
    found = prove_tests_ran(table(**keys), ended)
    assert (found.evidence, found.count, found.argv) == (evidence, count, ARGV)


@pytest.mark.parametrize(
    ("keys", "ended", "words"),
    [
        ({}, seen(), "nothing shows that a test ran"),
        ({}, seen(report()), "no tests ran: the command found none"),
        ({}, seen(report(0), output=(3, 0)), "no tests ran"),
        ({}, seen(report(0, skipped=3)), "no tests ran: 3 tests were skipped"),
        ({}, seen(report(3, failed=1)), "its report has 1 test that failed"),
        (MAKE, seen(output=(0, 0)), "no tests ran: the command found none"),
        (MAKE, seen(output=(0, 1)), "no tests ran: 1 test was skipped"),
        ({**MAKE, "report": "/r.xml"}, seen(), "wrote no report at /r.xml"),
        ({**MAKE, "report": "/r.xml"}, seen(report(0), output=(3, 0)), "no tests ran"),
        ({**MAKE, "count": "ran (.+)"}, seen(), "no line of its output matches `test.count`"),
    ],
)
def test_everything_else_fails_with_its_own_words(
    keys: dict[str, Any], ended: EndedTestRun, words: str
) -> None:
    """Each has a next step."""
    with pytest.raises(GateFailed) as caught:
        prove_tests_ran(table(**keys), ended)
    assert words in caught.value.found
    assert caught.value.hint


@pytest.mark.parametrize(
    ("keys", "ended", "expected"),
    [
        ({}, seen(status=5), True),
        ({}, seen(report(), status=5), True),
        ({}, seen(report(1, failed=1), status=5), False),
        ({}, seen(status=1), False),
        (MAKE, seen(output=(0, 0), status=5), True),
        (MAKE, seen(status=5), False),
    ],
)
def test_a_runner_that_found_no_tests_is_told_as_such(
    keys: dict[str, Any], ended: EndedTestRun, expected: bool
) -> None:
    """pytest and unittest end with 5; of another program 5 may mean anything."""
    assert has_found_no_tests(table(**keys), ended) is expected
    if expected:
        assert "no tests ran: the command found none (status 5)" in no_tests_error(table(**keys), ended).found


def test_some_tests_are_chosen_by_their_names() -> None:
    """As pytest does it; another runner has no such option."""
    assert select_tests(table(), "slow and not db").command[-2:] == ("-k", "slow and not db")
    with pytest.raises(UsageError, match="not a command of pytest"):
        select_tests(table(command=["./test.sh"]), "slow")


def test_what_is_asked_of_a_command() -> None:
    """A report where it is pytest; a configured one is left to the command."""
    command, path = command_and_report_path(table())
    assert (command[-1], path) == (f"--junitxml={JUNIT}", JUNIT)
    assert command_and_report_path(table(report="out/r.xml")) == (
        ("python", "-m", "pytest", "-q"),
        "out/r.xml",
    )
    assert command_and_report_path(table(**MAKE)) == (("make", "test"), JUNIT)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"evidence": "exit-status"}, "and reason together"),
        ({"reason": "x"}, "and reason together"),
        ({"evidence": "exit-status", "reason": "x", "report": "/r"}, "leave out evidence"),
        ({"count": "("}, "not a regular expression"),
        ({"count": "x"}, "has 0 groups"),
        ({"count": "(a)(b)"}, "has 2 groups"),
        ({"memory": "1k"}, "too little"),
        ({"pids": 0}, "greater than or equal to 1"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(keys: dict[str, Any], problem: str) -> None:
    """With the key's own words."""
    with pytest.raises(ValueError, match=problem):
        table(**keys)


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        (CountedTests(ran=3, skipped=0, failed=1), "its output says that 1 test failed"),
        (CountedTests(ran=3, skipped=0, failed=2), "its output says that 2 tests failed"),
        (CountedTests(ran=3, skipped=0, empty=1), "a part of it found no tests"),
    ],
)
@pytest.mark.attack(
    "a command whose exit status hides that tests failed, as `unittest | tail`", "the runner's own words"
)
def test_the_words_of_a_runner_count_against_its_exit_status(counted: CountedTests, words: str) -> None:
    """A report that was asked for is the authority: then the output is only text."""
    with pytest.raises(GateFailed, match=words) as caught:
        prove_tests_ran(table(**MAKE), EndedTestRun(argv=ARGV, status=0, report=None, counted=counted))
    assert "test.count" in caught.value.hint
    asked_for = EndedTestRun(argv=ARGV, status=0, report=report(3), counted=counted)
    assert prove_tests_ran(table(), asked_for).evidence == "junit"


def test_a_pattern_that_took_too_long_shows_nothing() -> None:
    """The gate fails and names the key."""
    slow = EndedTestRun(argv=ARGV, status=0, report=None, counted=None, has_pattern_timed_out=True)
    with pytest.raises(GateFailed, match=r"the pattern of `test\.count`, .* takes more than 10 s"):
        prove_tests_ran(table(**MAKE, count="(?:a+)+b([0-9])"), slow)
