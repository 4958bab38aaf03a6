"""An image that lacks what runs its tests is told how it gets that, from what Python and the engine say."""

from __future__ import annotations

from typing import Any

import pytest

from release.chain.testing.hints import (
    hint_for_missing_module,
    hint_for_missing_program,
    hint_for_missing_tests,
)
from release.chain.testing.known import CommittedTests
from release.chain.testing.proof import EndedTestRun
from release.chain.testing.run import FinishedTestRun, hint_for_failed_tests
from release.config import Test as Settings

PYTEST = "/usr/local/bin/python: No module named pytest"

UNFOUND = "ModuleNotFoundError: No module named"


def ended(line: str, *, status: int = 1) -> FinishedTestRun:
    """A run that failed with this last line."""
    return FinishedTestRun(
        seen=EndedTestRun(argv=("python",), status=status, report=None, counted=None),
        lacked_memory=False,
        report=None,
        tail=(line,),
        output_sha256="",
    )


def settings(**keys: Any) -> Settings:
    return Settings.model_validate(keys)


@pytest.mark.parametrize(
    ("command", "line", "module"),
    [
        (["python", "-m", "pytest", "-q"], PYTEST, "pytest"),
        (["sh", "-c", "exec python3 -m pytest"], PYTEST, "pytest"),
        (["coverage", "run", "-m", "pytest"], "No module named 'pytest'", "pytest"),
        (["python", "-m", "coverage", "run", "-m", "pytest"], "python: No module named coverage", "coverage"),
        (
            ["python", "-m", "tests.run"],
            f"python: Error while finding module specification for 'tests.run' ({UNFOUND} 'tests')",
            "tests.run",
        ),
        (
            ["python", "-m", "tests"],
            "python: No module named tests.__main__; 'tests' is a package and cannot be directly executed",
            "tests",
        ),
    ],
)
def test_a_module_that_python_did_not_find_is_named(command: list[str], line: str, module: str) -> None:
    """By the words of Python's own -m."""
    hint = hint_for_missing_module(settings(command=command), 1, ["collecting", line])
    assert hint.startswith(f"the image has no {module}: ")


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (0, PYTEST),
        (1, "E   ModuleNotFoundError: No module named 'pytest'"),
        (1, "python: No module named pytest_cov"),
        (1, "python: No module named flask"),
    ],
)
def test_other_modules_and_runs_that_passed_say_nothing(status: int, line: str) -> None:
    assert hint_for_missing_module(settings(), status, [line]) == ""


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, 'write test.install = ["pytest"] and test.copy = ["checks"]'),
        ({"target": "test"}, "has no pytest: write `RUN pip install pytest ...` there"),
        ({"copy": ["tests"]}, 'write test.install = ["pytest"]'),
        ({"install": ["-r dev.txt"]}, 'write test.install = ["-r dev.txt", "pytest"]'),
    ],
)
def test_the_hint_goes_by_the_way_that_is_configured(keys: dict[str, Any], words: str) -> None:
    commit = CommittedTests(tests=("checks",), names=frozenset({"checks"}))
    assert words in hint_for_failed_tests(ended(PYTEST), settings(**keys), commit)


def test_a_stage_of_the_dockerfile_that_is_built_on_the_released_one_is_named() -> None:
    """It was written for the tests."""
    assert 'write test.target = "qa"' in hint_for_failed_tests(
        ended(PYTEST), settings(), CommittedTests(stages=("qa",))
    )


def test_a_module_of_the_commit_is_copied_not_installed() -> None:
    """The tests' own runner, as `python -m tests.run`."""
    commit = CommittedTests(names=frozenset({"tests"}))
    line = "python: No module named tests"
    hint = hint_for_missing_module(settings(command=["python", "-m", "tests"]), 1, [line], commit)
    assert hint == 'the image has no tests: write test.copy = ["tests"]'


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, 'the commit has tests in checks: if the image lacks them, write test.copy = ["checks"]; else'),
        ({"copy": ["data"]}, 'write test.copy = ["data", "checks"]'),
        ({"target": "qa"}, "if the stage qa lacks them, write `COPY checks checks` there"),
        ({"copy": ["checks"]}, "name that path in `test.command`"),
    ],
)
def test_tests_that_the_image_lacks_are_brought_by_a_line(keys: dict[str, Any], words: str) -> None:
    """By the folder that they have in the commit; without one, by what decides."""
    assert words in hint_for_missing_tests(settings(**keys), CommittedTests(tests=("checks",)))
    assert "are the tests in the image" in hint_for_missing_tests(settings(**keys), CommittedTests())


def test_a_path_that_pytest_does_not_find_is_a_lack_of_tests() -> None:
    """It ends with status 4, and says so."""
    ran = ended("ERROR: file or directory not found: checks", status=4)
    assert 'write test.copy = ["checks"]' in hint_for_failed_tests(
        ran, settings(), CommittedTests(tests=("checks",))
    )


@pytest.mark.parametrize("line", ["db: Connection refused", "could not translate: Name or service not known"])
def test_tests_that_look_for_a_database_are_shown_companions(line: str) -> None:
    """From the words of the C library."""
    assert "[tool.release.companions.<name>]" in hint_for_failed_tests(ended(line), settings())


def test_a_program_that_is_not_there_is_named_by_its_status() -> None:
    """127, of a shell as of the engine; any other status has another cause."""
    assert hint_for_missing_program(settings(command=["pytest"]), 127).startswith("the image has no pytest")
    assert hint_for_missing_program(settings(command=["pytest"]), 126) == ""
    assert hint_for_missing_program(settings(command=["pytest"]), None) == ""
