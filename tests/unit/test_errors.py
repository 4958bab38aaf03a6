"""The tree of errors: what the drawing says is what the classes are."""

from __future__ import annotations

import inspect
import re

import pytest

from release import errors
from release.errors import (
    CommandFailed,
    ConfigError,
    GateFailed,
    Problem,
    ReleaseError,
    UsageError,
)

_LINE = re.compile(r"^ {4}(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+) +(?P<code>\d)  \S", re.MULTILINE)
_INDENT = 4  # characters of the drawing per level


def drawn() -> dict[str, tuple[str | None, int]]:
    """Each class of the drawing with its parent and its exit status."""
    tree: dict[str, tuple[str | None, int]] = {}
    above: list[str] = []
    for line in _LINE.finditer(errors.__doc__ or ""):
        depth = len(line["branch"]) // _INDENT
        tree[line["name"]] = (above[depth - 1] if depth else None, int(line["code"]))
        above[depth:] = [line["name"]]
    return tree


def real() -> dict[str, tuple[str | None, int]]:
    """Each class of the module with its parent and its exit status."""
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    return {
        kind.__name__: (None if kind is ReleaseError else kind.__bases__[0].__name__, kind.exit_code)
        for kind in classes
        if issubclass(kind, ReleaseError)
    }


def test_the_drawn_tree_is_the_real_tree_with_its_exit_statuses() -> None:
    """A reader can trust the picture at the top of the module."""
    assert drawn() == real()


def test_every_branch_of_the_drawing_is_read() -> None:
    """The test above compares all lines: the drawing has one for each class name in it."""
    lines = [line for line in (errors.__doc__ or "").splitlines() if re.search(r"──|ReleaseError", line)]
    assert len(lines) == len(drawn())


@pytest.mark.parametrize("name", real())
def test_an_error_class_says_what_it_means(name: str) -> None:
    """Each class has a docstring of its own."""
    assert vars(getattr(errors, name)).get("__doc__")


def test_exit_statuses_are_those_the_tasks_promise() -> None:
    """0 is success; 1 to 6 each mean one thing."""
    assert {code for _, code in real().values()} == {1, 2, 3, 4, 5, 6}


def test_a_message_says_what_was_attempted_found_and_is_to_be_done() -> None:
    """The hint stands on a line of its own."""
    error = ReleaseError("read the lockfile uv.lock", "it does not exist", "run `uv lock`")
    assert str(error) == "cannot read the lockfile uv.lock: it does not exist\n  → run `uv lock`"


def test_a_message_without_a_hint_is_one_line() -> None:
    """Where there is nothing to do, nothing is said."""
    assert str(ReleaseError("reach the engine", "no answer")) == "cannot reach the engine: no answer"


def test_the_parts_of_an_error_stay_apart() -> None:
    """A renderer lays them out without taking a sentence apart."""
    error = UsageError("choose a version", "two are given", "give only one of them")
    assert (error.attempted, error.found, error.hint) == (
        "choose a version",
        "two are given",
        "give only one of them",
    )


@pytest.mark.parametrize(("count", "phrase"), [(1, "1 problem\n"), (2, "2 problems\n")])
def test_a_configuration_error_lists_every_problem(count: int, phrase: str) -> None:
    """All at once, each on a line with its path."""
    problems = [Problem(path=f"tool.release.key{n}", message="is wrong") for n in range(count)]
    error = ConfigError("pyproject.toml", problems)
    assert error.problems == tuple(problems)
    assert phrase in str(error)
    assert str(error).count("\n  tool.release.key") == count


def test_a_failed_gate_keeps_its_stage_and_the_end_of_its_log() -> None:
    """The console shows the tail beneath the message."""
    error = GateFailed("lint", "1 command failed", tail=["a", "b"])
    assert (error.stage, error.tail) == ("lint", ("a", "b"))
    assert str(error) == "cannot pass the gate 'lint': 1 command failed"


def test_a_failed_command_shows_only_its_first_words() -> None:
    """Later words may be long; all of them are kept for who asks."""
    error = CommandFailed(["docker", "buildx", "build", "--build-arg", "A=1"], 17, ["boom"])
    assert str(error) == "cannot run `docker buildx build`: exit status 17"
    assert (error.status, error.tail, error.argv[-1]) == (17, ("boom",), "A=1")


@pytest.mark.attack(
    "a git server, registry or engine that answers with a line of megabytes", "each part of an error is cut"
)
def test_what_others_said_is_cut_in_an_error() -> None:
    """A terminal, an annotation and a summary show it; 30 MB would be shown three times."""
    error = ReleaseError("push " + "x" * 10**6, "y" * 10**6, "z" * 10**6)
    assert len(str(error)) < 4 * errors.LONGEST
    assert "more characters" in error.found
