"""What gates leave for other programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from release.chain.reports import (
    ReportFolder,
    findings_from_junit,
    parse_ruff_findings,
    ruff_command_with_json,
)
from release.events import Finding, Released


@pytest.mark.parametrize(
    ("argv", "again"),
    [
        (("ruff", "check", "."), ("ruff", "check", ".")),
        (("/tools/bin/ruff", "check", "-q"), ("/tools/bin/ruff", "check", "-q")),
        (("python", "-m", "ruff", "check"), ("python", "-m", "ruff", "check")),
        (("ruff", "check", "--output-format", "concise", "a"), ("ruff", "check", "a")),
        (("ruff", "check", "--output-format=github", "a"), ("ruff", "check", "a")),
    ],
)
def test_ruff_check_can_be_asked_for_json(argv: tuple[str, ...], again: tuple[str, ...]) -> None:
    """In place of the format that the team chose."""
    assert ruff_command_with_json(argv) == (*again, "--output-format", "json")


@pytest.mark.parametrize(
    "argv", [("ruff", "format", "--check", "."), ("mypy", "check"), ("ruff",), ("make", "ruff", "check")]
)
def test_other_commands_are_not_understood(argv: tuple[str, ...]) -> None:
    """Their output is for people alone."""
    assert ruff_command_with_json(argv) is None


def test_ruff_itself_gives_file_line_and_rule(tmp_path: Path) -> None:
    """The real program: an unused import, and a file that is no Python."""
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "main.py").write_text("import json\nimport os\n\nprint(os)\n")
    (tmp_path / "api" / "wrong.py").write_text("def (\n")
    argv = ruff_command_with_json((sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache"))
    assert argv is not None
    ran = subprocess.run(argv, cwd=tmp_path / "api", stdout=subprocess.PIPE, text=True, check=False)
    found = parse_ruff_findings(f"warning: something\n{ran.stdout}", tmp_path)
    assert found[0] == Finding(
        file="api/main.py",
        line=1,
        column=8,
        title="ruff F401",
        message="`json` imported but unused",
    )
    assert {finding.file for finding in found} == {"api/main.py", "api/wrong.py"}


@pytest.mark.parametrize(
    "output",
    ["", "All checks passed!", "[", '{"a": 1}', '[{"filename": "/elsewhere/a.py"}]', "[1]", "[error] no"],
)
def test_an_output_that_is_something_else_has_no_findings(output: str, tmp_path: Path) -> None:
    """Nothing is guessed from it."""
    assert parse_ruff_findings(output, tmp_path) == ()


def test_a_finding_outside_of_the_tree_is_left_out(tmp_path: Path) -> None:
    """An annotation there would point nowhere."""
    item = {"filename": "/usr/lib/x.py", "location": {"row": 1, "column": 1}, "code": "E1", "message": "m"}
    assert parse_ruff_findings(json.dumps([item]), tmp_path) == ()


TESTS = """\
import pytest


def check(value):
    assert value == 2, "two, %s"


def test_well():
    pass


def test_wrong():
    check(1)


@pytest.fixture
def broken():
    raise RuntimeError("no service")


def test_broken(broken):
    pass


@pytest.mark.parametrize("x", [1])
class TestIt:
    def test_inside(self, x):
        assert x == 2
"""


@pytest.fixture(scope="module")
def junit(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A report of pytest's own, asked for as the gate asks for it."""
    from release.chain.testing.proof import add_report_options

    root = tmp_path_factory.mktemp("image")
    (root / "tests").mkdir()
    (root / "pytest.ini").write_text("[pytest]\n")
    (root / "tests" / "test_api.py").write_text(TESTS)
    asked = add_report_options((sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"))
    argv = [word.replace("/tmp/release-junit.xml", str(root / "junit.xml")) for word in asked]
    ran = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    return (root / "junit.xml").read_bytes()


def test_failed_tests_have_file_line_and_message(junit: bytes) -> None:
    """The line where it happened in the test's own file; broken fixtures too; passed tests not."""
    found = findings_from_junit(junit, {"api/tests/test_api.py"}.__contains__, "api")
    assert [(finding.file, finding.title) for finding in found] == [
        ("api/tests/test_api.py", "test tests/test_api.py::test_wrong"),
        ("api/tests/test_api.py", "test tests/test_api.py::test_broken"),
        ("api/tests/test_api.py", "test tests/test_api.py::test_inside[1]"),
    ]
    assert [finding.line for finding in found] == [5, 18, 28]
    assert found[0].message.startswith("AssertionError: two, %s\nassert 1 == 2")
    assert "no service" in found[1].message


@pytest.mark.parametrize(
    ("inside", "files", "expected"),
    [
        ("tests/test_api.py", {"api/tests/test_api.py", "tests/test_api.py"}, "api/tests/test_api.py"),
        ("tests/test_api.py", {"tests/test_api.py"}, "tests/test_api.py"),
        ("/srv/app/tests/test_api.py", {"api/tests/test_api.py"}, "api/tests/test_api.py"),
        ("srv/test_api.py", {"api/test_api.py"}, None),
        ("test.py", {"api/test.py"}, "api/test.py"),
        ("../tests/test_api.py", {"api/tests/test_api.py"}, None),
        ("", {"api"}, None),
    ],
)
def test_a_file_in_the_image_is_looked_for_in_the_commit(
    inside: str, files: set[str], expected: str | None
) -> None:
    """First below the service's folder; where it is not certain there is no annotation."""
    case = f'<testcase name="t" file="{inside}" line="4"><failure message="m"/></testcase>'
    report = f"<testsuites><testsuite>{case}</testsuite></testsuites>"
    found = findings_from_junit(report.encode(), files.__contains__, "api")
    assert [finding.file for finding in found] == ([expected] if expected else [])
    assert all(finding.line == 5 for finding in found)


@pytest.mark.parametrize(
    ("crash", "line"), [("test_a.py", 7), ("/tests/test_a.py", 7), ("other.py", 5), ("tests/test_b.py", 5)]
)
def test_the_line_is_where_it_happened_in_the_tests_own_file(crash: str, line: int) -> None:
    """Counted from wherever pytest was called; elsewhere it is where the test begins."""
    failure = f"<failure message='m'>\n{crash}:7: AssertionError</failure>"
    report = f"<testsuite><testcase name='t' file='tests/test_a.py' line='4'>{failure}</testcase></testsuite>"
    (found,) = findings_from_junit(report.encode(), {"tests/test_a.py"}.__contains__, ".")
    assert found.line == line


def test_a_report_of_the_stricter_family_is_read_by_its_text() -> None:
    """Without file and line in the attributes, pytest's last line names them."""
    report = b"""<testsuite><testcase classname="tests.test_a" name="test_x"><failure message="m">def f():
>       assert False

tests/test_a.py:7: AssertionError</failure></testcase></testsuite>"""
    (found,) = findings_from_junit(report, {"tests/test_a.py"}.__contains__, ".")
    assert (found.file, found.line) == ("tests/test_a.py", 7)


@pytest.mark.parametrize("report", [b"", b"<testsuite>", b"\xff\xfe", b"<testsuite/>"])
def test_a_report_that_is_broken_has_no_findings(report: bytes) -> None:
    """The gate fails for its own reason."""
    assert findings_from_junit(report, lambda path: True, ".") == ()


def test_a_release_is_left_as_variables(tmp_path: Path) -> None:
    """As dotenv reports have them: a name, a value, nothing quoted."""
    reports = ReportFolder(path=tmp_path / "reports" / "api")
    reports._write_variables(
        Released(service="api", version="1.0.0", digest="sha256:d", reference="r/api@sha256:d", tag="v1.0.0")
    )
    assert reports.variables_path.read_text() == (
        "RELEASE_VERSION=1.0.0\nRELEASE_DIGEST=sha256:d\nRELEASE_REFERENCE=r/api@sha256:d\n"
    )


def test_a_report_of_an_earlier_run_is_taken_away(tmp_path: Path) -> None:
    """A CI system must not collect it for this one."""
    reports = ReportFolder(path=tmp_path)
    reports.remove(reports.junit_path)
    reports.write(reports.junit_path, "<testsuite/>")
    reports.write(reports.junit_path, "<testsuites/>")
    assert [path.name for path in tmp_path.iterdir()] == ["junit.xml"]
    assert reports.junit_path.read_text() == "<testsuites/>"
    reports.remove(reports.junit_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "line", "expected"),
    [
        ("tests/test_a.py", "9" * 5000, None),
        ("tests/test_a.py", "٣", None),
        ("tests/test_a.py", "-1", None),
        ("tests/test_a.py", "8", 9),
        ("a/" * 5000 + "test_a.py", "8", "no finding"),
        ("a" * 100_000, "8", "no finding"),
    ],
    ids=["5,000 digits", "other digits", "negative", "usual", "deep", "long"],
)
@pytest.mark.attack(
    'A report names line="999..." of 5,000 digits, or a path of 100,000 characters',
    "A number or path that no file can have is left out",
)
def test_a_place_that_no_file_has_is_left_out(file: str, line: str, expected: object) -> None:
    """No number is converted without a limit, and no path is looked for."""
    asked: list[str] = []

    def is_file(path: str) -> bool:
        asked.append(path)
        return True

    case = f'<testcase name="t" file="{file}" line="{line}"><failure message="m"/></testcase>'
    found = findings_from_junit(f"<testsuite>{case}</testsuite>".encode(), is_file, ".")
    if expected == "no finding":
        assert (len(found), len(asked)) == (0, 0)
    else:
        assert [finding.line for finding in found] == [expected]


def test_a_deep_answer_of_ruff_has_no_findings(tmp_path: Path) -> None:
    """As of a program that only looks like it."""
    assert parse_ruff_findings("[" * 100_000, tmp_path) == ()
