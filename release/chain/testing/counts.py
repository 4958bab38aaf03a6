"""Number of tests that ran, from the output of a test runner."""

from __future__ import annotations

import re
import time
from typing import Final

from release.text.control_characters import ESCAPES
from release.values import Struct

_WORDS: Final = "passed|failed|skipped|xfailed|xpassed|errors?|deselected|warnings?|rerun|subtests passed"
_PYTEST: Final = re.compile(
    rf"(?:[0-9]{{1,9}} (?:{_WORDS}))(?:, [0-9]{{1,9}} (?:{_WORDS}))*(?: in [0-9.]+s(?: \([0-9:]+\))?)?"
)
"""Pattern of "3 passed, 1 skipped in 0.12s" (pytest's summary)."""
_PART: Final = re.compile(r"([0-9]{1,9}) ([a-z]+)")
_RAN_WORDS: Final = ("passed", "failed", "xfailed", "xpassed")
_NO_PYTEST: Final = re.compile(r"no tests ran(?: in [0-9.]+s)?|no tests collected.*")

_UNITTEST: Final = re.compile(r"Ran ([0-9]{1,9}) tests? (?:in|with) .*")
"""Pattern of "Ran 3 tests in 0.001s" (unittest, Django, Trial, nose2, zope.testrunner)."""
_UNITTEST_END: Final = re.compile(r"(OK|FAILED|PASSED|NO TESTS RAN)(?: \((.{1,200})\))?")
_UNITTEST_PART: Final = re.compile(r"([a-z ]+)=([0-9]{1,9})")
_SKIPPED_WORDS: Final = ("skipped", "skips")
_FAILED_WORDS: Final = ("failures", "errors", "unexpected successes")

_DOCTEST: Final = re.compile(r"([0-9]{1,9}) passed(?: and ([0-9]{1,9}) failed)?\.")
_BEHAVE: Final = re.compile(r"([0-9]{1,9}) scenarios? passed, ([0-9]{1,9}) failed.*")

PATTERN_SECONDS: Final = 10.0
"""Time limit for matching a configured pattern, over all lines of an output."""


class CountedTests(Struct, frozen=True, kw_only=True):
    """Counts in an output."""

    ran: int
    skipped: int
    failed: int = 0
    """Tests that the runner's output calls failed, errors included."""
    empty: int = 0
    """Number of test runs in the output without a test."""


class OutputCounter:
    """Reader of an output, line by line. Several summaries add up, as of two runs in one command."""

    def __init__(self, pattern: str | None = None) -> None:
        """Keep the configured pattern, whose one group is the number; without one, use known summaries."""
        self._pattern = _TimedPattern(pattern) if pattern is not None else None
        self._ran = self._skipped = self._failed = self._empty = 0
        self._is_stated = False

    @property
    def has_timed_out(self) -> bool:
        """Return whether the configured pattern exceeded its time limit."""
        return self._pattern is not None and self._pattern.left <= 0

    @property
    def counts(self) -> CountedTests | None:
        """Return the counts so far; None without a summary."""
        if not self._is_stated:
            return None
        ran = max(0, self._ran)
        return CountedTests(ran=ran, skipped=self._skipped, failed=self._failed, empty=self._empty)

    def read_line(self, line: str) -> None:
        """Read one line of output."""
        if self._pattern is not None:
            for number in self._pattern.matched_groups(line):
                self._add_counts(_parse_number(number))
            return
        text = ESCAPES.sub("", line).strip("= \t")
        if len(text) < _LONGEST:
            self._read_known_summary(text)

    def _read_known_summary(self, text: str) -> None:
        if _PYTEST.fullmatch(text):
            self._add_pytest_summary(text)
        elif _NO_PYTEST.fullmatch(text):
            self._add_counts(0, empty=1)
        elif match := _UNITTEST.fullmatch(text):
            ran = _parse_number(match[1])
            self._add_counts(ran, empty=int(ran == 0))
        elif match := _DOCTEST.fullmatch(text) or _BEHAVE.fullmatch(text):
            self._add_counts(_parse_number(match[1]), failed=_parse_number(match[2]))
        elif (match := _UNITTEST_END.fullmatch(text)) and self._is_stated:
            self._add_unittest_summary(match[1], match[2] or "")

    def _add_unittest_summary(self, word: str, details: str) -> None:
        parts = {name.strip(): int(number) for name, number in _UNITTEST_PART.findall(details)}
        skipped = sum(parts.get(name, 0) for name in _SKIPPED_WORDS)
        failed = sum(parts.get(name, 0) for name in _FAILED_WORDS) or int(word == "FAILED")
        self._add_counts(-skipped, skipped=skipped, failed=failed)

    def _add_pytest_summary(self, text: str) -> None:
        parts = {word: int(number) for number, word in _PART.findall(text)}
        if {*_RAN_WORDS, "skipped", "deselected"} & parts.keys():
            failed = sum(parts.get(word, 0) for word in ("failed", "error", "errors"))
            ran = sum(parts.get(word, 0) for word in _RAN_WORDS)
            self._add_counts(ran, skipped=parts.get("skipped", 0), failed=failed)

    def _add_counts(self, ran: int, *, skipped: int = 0, failed: int = 0, empty: int = 0) -> None:
        self._is_stated = True
        self._ran, self._skipped = self._ran + ran, self._skipped + skipped
        self._failed, self._empty = self._failed + failed, self._empty + empty


class _TimedPattern:
    """Configured pattern with a time limit: a pattern that backtracks may never end."""

    def __init__(self, pattern: str) -> None:
        """Compile the pattern."""
        import regex

        self._pattern = regex.compile(pattern)
        self.left = PATTERN_SECONDS
        """Seconds that it may still take."""

    def matched_groups(self, line: str) -> list[str | None]:
        """Return the texts that the group matches in a line; empty after the time limit."""
        if self.left <= 0:
            return []
        begin = time.monotonic()
        try:
            return [match[1] for match in self._pattern.finditer(line, timeout=self.left)]
        except TimeoutError:
            self.left = 0.0
            return []
        finally:
            self.left -= time.monotonic() - begin


_LONGEST: Final = 500
"""Most characters of a line that may be a summary."""
_DIGITS: Final = 9


def _parse_number(text: str | None) -> int:
    """Return the number in a text of at most nine digits; 0 for any other text."""
    return (
        int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) <= _DIGITS else 0
    )
