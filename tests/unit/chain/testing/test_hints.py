"""An image that lacks what runs its tests is told how it gets that, from what Python and the engine say."""

from __future__ import annotations

from typing import Any

import pytest

from release.chain.testing.hints import lacks_module, lacks_program
from release.chain.testing.proof import Seen
from release.chain.testing.run import Ran, hint_of
from release.config import Test as Settings

PYTEST = "/usr/local/bin/python: No module named pytest"

UNFOUND = "ModuleNotFoundError: No module named"


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
    hint = lacks_module(settings(command=command), 1, ["collecting", line])
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
    assert lacks_module(settings(), status, [line]) == ""


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "`test.target`, or add it with `test.install` and the folder of the tests with `test.copy`"),
        ({"target": "test"}, "the stage test (`test.target`) has no pytest"),
        ({"copy": ["tests"]}, "add it to `test.install`"),
        ({"install": ["-r dev.txt"]}, "add it to `test.install`"),
    ],
)
def test_the_hint_goes_by_the_way_that_is_configured(keys: dict[str, Any], words: str) -> None:
    ran = Ran(
        seen=Seen(argv=("python",), status=1, report=None, counted=None),
        lacked_memory=False,
        report=None,
        tail=(PYTEST,),
        output_sha256="",
    )
    assert words in hint_of(ran, settings(**keys))


def test_a_program_that_is_not_there_is_named_by_its_status() -> None:
    """127, of a shell as of the engine; any other status has another cause."""
    assert lacks_program(settings(command=["pytest"]), 127).startswith("the image has no pytest")
    assert lacks_program(settings(command=["pytest"]), 126) == ""
    assert lacks_program(settings(command=["pytest"]), None) == ""
