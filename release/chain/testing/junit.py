"""JUnit reports, read within limits: the number of tests that ran, and the failed tests.

A report comes from an image, so its content is not trusted. The parser reads the report as a stream, without
a tree.
"""

from __future__ import annotations

import heapq
import re
from typing import Final
from xml.parsers import expat

from release.text.shortening import shortened
from release.values import Struct

LARGEST: Final = 64 * 1024**2
"""Most bytes of a report."""
_DEEPEST: Final = 50
"""Most levels of elements; pytest writes four."""
_MOST: Final = 2_000_000
"""Most elements."""
_SLOWEST: Final = 5
"""Number of slow tests with their times."""
_NAME: Final = 200
"""Most characters of a slow test's name."""
_SECONDS: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,9})?")
_LISTED: Final = 50
"""Number of failed tests with details."""
_TEXT: Final = 100_000
"""Most characters of a failure's text, from its end."""
_BUFFER: Final = 64 * 1024
"""Characters of text that the parser passes on at once."""
_WORDS: Final = 4_000
"""Most characters of an attribute."""

_DECLARATION: Final = re.compile(r"\s*<\?xml\b[^>]{0,300}\?>")
_ENCODING: Final = re.compile(rb"\s*<\?xml\b[^>]{0,200}?encoding=[\"']([A-Za-z0-9._-]{1,40})[\"']")
_UTF_8: Final = '<?xml version="1.0" encoding="utf-8"?>'
_READABLE: Final = re.compile(
    r"utf-?8|us-ascii|ascii|utf-?16|iso-?8859-?[0-9]{1,2}|latin-?1|windows-125[0-9]"
)
"""Accepted encodings: decoding costs no more than the length of the text."""
_NOT_RUN: Final = ("notrun", "disabled")
"""Values of `status` for tests that did not run, in some runners' reports."""


class UnreadableReport(ValueError):
    """Raised for a report that is not JUnit XML, or exceeds a limit. The text is the reason."""


class FailedTest(Struct, frozen=True, kw_only=True):
    """A failed or broken test, as the report describes it."""

    name: str
    file: str
    line: str
    message: str
    text: str


class JUnitReport(Struct, frozen=True, kw_only=True):
    """Tests of a report."""

    ran: int
    """Number of tests that ran, failed ones included."""
    skipped: int
    failed: int
    failures: tuple[FailedTest, ...]
    """First failed tests."""
    slowest: tuple[tuple[float, str], ...] = ()
    """Seconds and names of the slowest tests, the slowest first."""


def decode_report(content: bytes) -> str:
    """Return a report as text that declares UTF-8; invalid bytes are replaced.

    Raises:
        BadReport: the encoding is not accepted.
    """
    declared = _ENCODING.match(content[:400])
    name = declared[1].decode().lower() if declared is not None else "utf-8"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        name = "utf-16"
    if _READABLE.fullmatch(name) is None:
        raise UnreadableReport(f"its encoding is {name}, but only UTF-8 is supported")
    try:
        text = content.decode("utf-8-sig" if name in ("utf-8", "utf8") else name, "replace")
    except LookupError:
        raise UnreadableReport(f"its encoding {name} is not known") from None
    return _DECLARATION.sub(_UTF_8, text, count=1) if _DECLARATION.match(text) else text


def parse_report(text: str) -> JUnitReport:
    """Return the tests of a report. Raises BadReport."""
    reader = _JUnitReader()
    parser = expat.ParserCreate()
    parser.buffer_text, parser.buffer_size = True, _BUFFER
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    try:
        parser.Parse(text, True)  # noqa: FBT003 - the parser takes no names
    except (expat.ExpatError, UnicodeError) as error:
        raise UnreadableReport(f"it is not XML: {error}") from error
    return JUnitReport(
        ran=reader.cases - reader.skipped,
        skipped=reader.skipped,
        failed=reader.failed,
        failures=tuple(reader.failures),
        slowest=tuple(sorted(reader.slowest, reverse=True)),
    )


class _JUnitReader:
    """Handlers for the XML parser: count tests, and keep the first failures."""

    def __init__(self) -> None:
        self.cases = self.skipped = self.failed = 0
        self.failures: list[FailedTest] = []
        self.slowest: list[tuple[float, str]] = []
        self._depth = self._elements = 0
        self._case: dict[str, str] = {}
        self._is_skipped = self._has_failed = False
        self._trouble: dict[str, str] | None = None
        self._trouble_depth = 0
        self._text = ""

    def doctype(self, *_: object) -> None:
        """Refuse a document type, because it could define entities. Raises BadReport."""
        raise UnreadableReport("it declares a document type, which JUnit reports do not have")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element. Raises BadReport: too deep, or too many."""
        self._depth, self._elements = self._depth + 1, self._elements + 1
        if self._depth > _DEEPEST:
            raise UnreadableReport(f"its elements are nested more than {_DEEPEST} deep")
        if self._elements > _MOST:
            raise UnreadableReport(f"it has more than {_MOST:,} elements")
        if name == "testcase":
            self._begin_test_case(attributes)
        elif name == "skipped":
            self._is_skipped = (
                attributes.get("type") != "pytest.xfail"
            )  # such a test ran, and failed as expected
        elif name in ("failure", "error") and self._trouble is None:
            self._has_failed = True
            self._trouble, self._trouble_depth, self._text = attributes, self._depth, ""

    def _begin_test_case(self, attributes: dict[str, str]) -> None:
        self._case = attributes
        self._is_skipped = attributes.get("status", "").lower() in _NOT_RUN
        self._has_failed = False

    def data(self, text: str) -> None:
        """Keep the end of a failure's text."""
        if self._trouble is not None and self._depth == self._trouble_depth:
            self._text = (self._text + text)[-_TEXT:] if len(self.failures) < _LISTED else ""

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        if self._trouble is not None and self._depth == self._trouble_depth:
            self._keep_failure(self._trouble)
            self._trouble = None
        self._depth -= 1
        if name == "testcase":
            self.cases += 1
            self.failed += self._has_failed
            self.skipped += self._is_skipped and not self._has_failed
            self._record_time()
            self._case = {}

    def _record_time(self) -> None:
        """Keep the time of a test if it is among the slowest; ignore a time that is not a number."""
        told = self._case.get("time", "")
        seconds = float(told) if _SECONDS.fullmatch(told) else 0.0
        heapq.heappush(self.slowest, (seconds, shortened(self._case.get("name", ""), _NAME)))
        if len(self.slowest) > _SLOWEST:
            heapq.heappop(self.slowest)

    def _keep_failure(self, trouble: dict[str, str]) -> None:
        if len(self.failures) >= _LISTED:
            return
        kept = {key: shortened(self._case.get(key, ""), _WORDS) for key in ("name", "file", "line")}
        message = shortened(trouble.get("message", ""), _WORDS)
        self.failures.append(FailedTest(message=message, text=self._text, **kept))
