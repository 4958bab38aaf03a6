"""How many tests ran, as runners state it in their output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from release.chain.testing.counts import CountedTests, OutputCounter


def counted(*lines: str, pattern: str | None = None) -> tuple[int, int] | None:
    count = OutputCounter(pattern)
    for line in lines:
        count.read_line(line)
    found = count.counts
    return (found.ran, found.skipped) if isinstance(found, CountedTests) else None


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("3 passed in 0.01s", (3, 0)),
        ("======= 3 passed, 1 skipped, 2 warnings in 61.20s (0:01:01) =======", (3, 1)),
        ("\x1b[32m\x1b[1m3 passed\x1b[0m\x1b[32m in 0.01s\x1b[0m", (3, 0)),
        ("1 failed, 2 passed, 1 error, 1 xfailed, 1 xpassed", (5, 0)),
        ("1 passed", (1, 0)),
        ("2 skipped in 0.1s", (0, 2)),
        ("5 deselected in 0.01s", (0, 0)),
        ("no tests ran in 0.01s", (0, 0)),
        ("Ran 3 tests in 0.001s", (3, 0)),
        ("Ran 1 test in 0.001s", (1, 0)),
        ("  Ran 3 tests with 0 failures, 0 errors and 0 skipped in 0.001 seconds.", (3, 0)),
        ("3 passed and 0 failed.", (3, 0)),
        ("3 passed.", (3, 0)),
        ("2 scenarios passed, 0 failed, 0 skipped", (2, 0)),
        ("OK", None),
        ("1 warning in 0.1s", None),
        ("we passed 3 of them", None),
        ("GET /3 passed", None),
        ("3 passed over", None),
        ("9" * 5000 + " passed", None),
        ("Ran 99999999999 tests in 1s", None),
        ("", None),
        ("1 passed, " * 10_000, None),
    ],
)
def test_the_words_of_runners_are_known(line: str, found: tuple[int, int] | None) -> None:
    """Other lines state nothing."""
    assert counted(line) == found


def test_skipped_tests_of_unittest_did_not_run() -> None:
    """It counts them among those that ran, and names them at the end."""
    assert counted("Ran 3 tests in 0.1s", "", "OK (skipped=1)") == (2, 1)
    assert counted("Ran 2 tests in 0.1s", "", "OK (expected failures=1, skipped=2)") == (0, 2)
    assert counted("OK (skipped=3)") is None


def test_several_statements_add_up() -> None:
    """As of `pytest a && pytest b`."""
    assert counted("no tests ran in 0.1s", "2 passed in 0.1s", "3 passed in 0.1s") == (5, 0)


def test_a_configured_pattern_is_read_and_nothing_else() -> None:
    """Its group is the number; text that is no number counts nothing."""
    assert counted("# tests 3", "# tests 4", "1 passed", pattern=r"^# tests (\S+)") == (7, 0)
    assert counted("# tests ٣", pattern=r"^# tests (\S+)") == (0, 0)
    assert counted("# tests " + "9" * 5000, pattern=r"^# tests (\S+)") == (0, 0)
    assert counted("1 passed", pattern=r"^# tests (\S+)") is None


UNITTEST = """\
import unittest

class A(unittest.TestCase):
    def test_a(self): pass
    def test_b(self): pass
    @unittest.skip("later")
    def test_c(self): pass
"""


def test_unittest_itself_is_read(tmp_path: Path) -> None:
    """The real program."""
    (tmp_path / "test_a.py").write_text(UNITTEST)
    argv = [sys.executable, "-m", "unittest", "-v"]
    ran = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert counted(*ran.stderr.splitlines()) == (2, 1)


@pytest.mark.parametrize(
    ("lines", "failed", "empty"),
    [
        (["Ran 3 tests in 0.1s", "", "FAILED (failures=1, errors=1)"], 2, 0),
        (["Ran 3 tests in 0.1s", "", "FAILED (errors=1, skipped=1)"], 1, 0),
        (["Ran 3 tests in 0.1s", "", "FAILED (unexpected successes=1)"], 1, 0),
        (["Ran 3 tests in 0.1s", "FAILED"], 1, 0),
        (["Ran 3 tests in 0.1s", "OK (expected failures=1)"], 0, 0),
        (["1 failed, 2 passed in 0.1s"], 1, 0),
        (["2 passed, 1 error in 0.1s"], 1, 0),
        (["3 passed and 2 failed."], 2, 0),
        (["2 scenarios passed, 1 failed, 0 skipped"], 1, 0),
        (["3 passed in 0.1s", "no tests ran in 0.1s"], 0, 1),
        (["Ran 3 tests in 0.1s", "OK", "Ran 0 tests in 0.0s", "OK"], 0, 1),
        (["3 passed, 1 xfailed"], 0, 0),
    ],
)
def test_failures_and_empty_runs_in_the_words_of_runners(lines: list[str], failed: int, empty: int) -> None:
    """A command may hide them behind its exit status, as `unittest | tail` does."""
    count = OutputCounter(None)
    for line in lines:
        count.read_line(line)
    assert count.counts is not None
    assert (count.counts.failed, count.counts.empty) == (failed, empty)


@pytest.mark.attack(
    "a `test.count` that never ends on a line of the output", "given up after 10 s, with a sentence"
)
def test_a_pattern_that_backtracks_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can no longer be read as a number, and no later line is tried."""
    monkeypatch.setattr("release.chain.testing.counts.PATTERN_SECONDS", 0.2)
    count = OutputCounter("(?:1+)+b([0-9])")
    for _ in range(3):
        count.read_line("1" * 2000)
    assert count.has_timed_out
    assert count.counts is None
