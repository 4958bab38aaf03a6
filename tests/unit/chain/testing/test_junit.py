"""JUnit reports: what is counted, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from release.chain.testing.junit import UnreadableReport, decode_report, parse_report
from release.chain.testing.proof import JUNIT, add_report_options

CASES = """\
import unittest
import pytest

def test_well(): pass
def test_wrong(): assert False
def test_skipped(): pytest.skip("later")
@pytest.mark.xfail
def test_expected(): assert False
@pytest.mark.parametrize("x", [])
def test_none(x): pass
@pytest.fixture
def broken(): raise RuntimeError
def test_broken(broken): pass
class TestOld(unittest.TestCase):
    def test_well(self): pass
"""


def test_the_slowest_tests_are_named() -> None:
    """By their times; what is no time counts as none."""
    cases = "".join(f"<testcase name='t{number}' time='{number}.5'/>" for number in range(9))
    report = parse_report(f"<testsuite>{cases}<testcase name='odd' time='1e999'/></testsuite>")
    assert report.slowest == tuple((number + 0.5, f"t{number}") for number in (8, 7, 6, 5, 4))


def test_a_report_of_pytest_is_counted(tmp_path: Path) -> None:
    """The real program: an expected failure ran, an empty set of parameters did not."""
    (tmp_path / "test_a.py").write_text(CASES)
    words = add_report_options(
        (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.")
    )
    argv = [word.replace(JUNIT, str(tmp_path / "junit.xml")) for word in words]
    subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False)
    report = parse_report(decode_report((tmp_path / "junit.xml").read_bytes()))
    assert (report.ran, report.skipped, report.failed) == (5, 2, 2)
    assert [failure.name for failure in report.failures] == ["test_wrong", "test_broken"]


@pytest.mark.parametrize(
    ("cases", "counts"),
    [
        ("", (0, 0, 0)),
        ("<testcase/>" * 3, (3, 0, 0)),
        ("<testcase><skipped/></testcase><testcase status='notrun'/>", (0, 2, 0)),
        ("<testcase><error/><failure/></testcase>", (1, 0, 1)),
        ("<testcase><skipped/><failure/></testcase>", (1, 0, 1)),
        ("<testcase><system-out>&lt;failure/></system-out></testcase>", (1, 0, 0)),
    ],
)
def test_tests_are_counted_one_by_one(cases: str, counts: tuple[int, int, int]) -> None:
    """Ran, skipped, failed; the numbers that a suite states about itself are not believed."""
    report = parse_report(f'<testsuites><testsuite tests="99">{cases}</testsuite></testsuites>')
    assert (report.ran, report.skipped, report.failed) == counts


BOMBS = {
    "entities": '<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><testsuite>&b;</testsuite>',
    "an entity of a file": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite>&a;</testsuite>',
    "a document type": "<!DOCTYPE testsuite><testsuite/>",
    "depth": "<a>" * 100_000,
    "number": "<a>" + "<b/>" * 2_000_001 + "</a>",
    "not closed": "<testsuite>",
    "an unknown entity": "<testsuite>&x;</testsuite>",
    "a surrogate": "<testsuite>&#xD800;</testsuite>",
    "text": "no XML",
    "nothing": "",
    "zeros": "\0" * 1000,
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.attack(
    "A test leaves an XML bomb as its report: entities, depth, or millions of elements",
    "The parser has no entities and limits of depth and number; the report is refused",
)
def test_a_report_beyond_the_limits_is_refused(bomb: str) -> None:
    """With one typed error."""
    with pytest.raises(UnreadableReport):
        parse_report(BOMBS[bomb])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252", "ascii"])
def test_usual_encodings_are_read(encoding: str) -> None:
    """What comes out says that it is UTF-8."""
    name = "utf-8" if encoding == "utf-8-sig" else encoding
    letter = "u" if encoding == "ascii" else "ü"
    case = f"<testcase name='{letter}'><failure/></testcase>"
    text = f"<?xml version='1.0' encoding='{name}'?><testsuite>{case}</testsuite>"
    read = decode_report(text.encode(encoding))
    assert read.startswith('<?xml version="1.0" encoding="utf-8"?>')
    assert parse_report(read).failures[0].name == letter


def test_bytes_that_are_wrong_in_their_encoding_are_replaced() -> None:
    """The tests are counted all the same."""
    report = parse_report(
        decode_report(b"<testsuite><testcase name='\xff\xfe\xfa'><failure/></testcase></testsuite>")
    )
    assert (report.ran, report.failures[0].name) == (1, "\ufffd\ufffd\ufffd")


@pytest.mark.parametrize(
    "name", ["utf-7", "idna", "punycode", "unicode_escape", "zlib", "nonsense", "utf-32"]
)
def test_other_encodings_are_refused_by_name(name: str) -> None:
    """Some of Python's take long for little."""
    with pytest.raises(UnreadableReport, match=name):
        decode_report(f"<?xml version='1.0' encoding='{name}'?><testsuite/>".encode())


def test_many_failures_are_counted_and_the_first_are_kept() -> None:
    """With the end of their texts."""
    case = "<testcase name='t' line='1'><failure message='{}'>{}end</failure></testcase>"
    cases = case.format("m" * 10_000, "x" * 200_000) + case.format("m", "") * 100
    report = parse_report(f"<testsuite>{cases}</testsuite>")
    assert (report.failed, len(report.failures)) == (101, 50)
    first = report.failures[0]
    assert len(first.message) < 5000
    assert len(first.text) == 100_000
    assert first.text.endswith("end")
