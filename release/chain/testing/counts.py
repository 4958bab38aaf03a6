"""Number of tests that ran, by the output of a test runner."""

from __future__ import annotations

import re
from typing import Final

from release.inert import ESCAPES
from release.values import Struct

_WORDS: Final = "passed|failed|skipped|xfailed|xpassed|errors?|deselected|warnings?|rerun|subtests passed"
_PYTEST: Final = re.compile(
    rf"(?:[0-9]{{1,9}} (?:{_WORDS}))(?:, [0-9]{{1,9}} (?:{_WORDS}))*(?: in [0-9.]+s(?: \([0-9:]+\))?)?"
)
"""As "3 passed, 1 skipped in 0.12s" (pytest's summary)."""
_PART: Final = re.compile(r"([0-9]{1,9}) ([a-z]+)")
_RAN_WORDS: Final = ("passed", "failed", "xfailed", "xpassed")
_NO_PYTEST: Final = re.compile(r"no tests ran(?: in [0-9.]+s)?|no tests collected.*")

_UNITTEST: Final = re.compile(r"Ran ([0-9]{1,9}) tests? (?:in|with) .*")
"""As "Ran 3 tests in 0.001s" (unittest, and who takes its words: Django, Trial, nose2, zope.testrunner)."""
_UNITTEST_END: Final = re.compile(
    r"(?:OK|FAILED|PASSED|NO TESTS RAN)(?: \(.*?\b(?:skipped|skips)=([0-9]{1,9}).*\))?"
)

_DOCTEST: Final = re.compile(r"([0-9]{1,9}) passed(?: and [0-9]{1,9} failed)?\.")
_BEHAVE: Final = re.compile(r"([0-9]{1,9}) scenarios? passed, [0-9]{1,9} failed.*")


class Counted(Struct, frozen=True, kw_only=True):
    """Counts in an output."""

    ran: int
    skipped: int


class OutputCount:
    """Reads an output line by line. Several statements add up, as of two runs in one command."""

    def __init__(self, pattern: str | None = None) -> None:
        """Take the configured pattern, whose one group is the number; or know the usual words."""
        self._pattern = re.compile(pattern) if pattern is not None else None
        self._ran = self._skipped = 0
        self._is_stated = False

    @property
    def counted(self) -> Counted | None:
        """Return what was stated so far; None where nothing was."""
        if not self._is_stated:
            return None
        return Counted(ran=max(0, self._ran), skipped=self._skipped)

    def read(self, line: str) -> None:
        """Read one line."""
        if self._pattern is not None:
            for match in self._pattern.finditer(line):
                self._add(_number(match[1]))
            return
        text = ESCAPES.sub("", line).strip("= \t")
        if len(text) < _LONGEST:
            self._known(text)

    def _known(self, text: str) -> None:
        if _PYTEST.fullmatch(text):
            self._pytest(text)
        elif _NO_PYTEST.fullmatch(text):
            self._add(0)
        elif match := _UNITTEST.fullmatch(text) or _DOCTEST.fullmatch(text) or _BEHAVE.fullmatch(text):
            self._add(_number(match[1]))
        elif (match := _UNITTEST_END.fullmatch(text)) and self._is_stated:
            self._add(-_number(match[1]), skipped=_number(match[1]))

    def _pytest(self, text: str) -> None:
        parts = {word: int(number) for number, word in _PART.findall(text)}
        if {*_RAN_WORDS, "skipped", "deselected"} & parts.keys():
            self._add(sum(parts.get(word, 0) for word in _RAN_WORDS), skipped=parts.get("skipped", 0))

    def _add(self, ran: int, *, skipped: int = 0) -> None:
        self._is_stated = True
        self._ran, self._skipped = self._ran + ran, self._skipped + skipped


_LONGEST: Final = 500
"""Characters of a line that may be such a statement."""
_DIGITS: Final = 9


def _number(text: str | None) -> int:
    """Return a number of at most nine digits; 0 for anything else."""
    return (
        int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) <= _DIGITS else 0
    )
