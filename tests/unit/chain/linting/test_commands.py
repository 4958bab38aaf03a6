"""The lint commands: side by side, with one answer for all."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from release.chain.linting.stage import lint
from release.chain.stage_context import StageContext
from release.errors import Cancelled, GateFailed
from release.events import Found
from release.programs.cancellation import Cancellation
from release.values import replace
from tests.unit.chain.linting.test_stage import ctx
from tests.unit.repository import Repository

MEET = """
import sys
open(sys.argv[1], "w").close()
open(sys.argv[2]).close()
print("met")
"""
"""Opening a named pipe waits for its other side: two programs end only if they run at the same time."""
RUFF = """
import sys
if "--output-format" in sys.argv:
    import json, os
    place = {"row": 1, "column": 1}
    name = os.path.realpath(sys.argv[2])
    print(json.dumps([{"filename": name, "location": place, "code": "F401", "message": "unused"}]))
print("ruff looked")
sys.exit(1)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    repository = Repository.init(tmp_path / "here")
    repository.write("meet.py", MEET)
    repository.write("tools/ruff", f"#!/usr/bin/env python3{RUFF}")
    repository.write("a.py", "")
    repository.write("b.py", "")
    repository.commit()
    return repository.root


def one_by_one(made: StageContext) -> StageContext:
    service = made.plan.service.model_copy(update={"parallel": False})
    return replace(made, plan=replace(made.plan, service=service))


def say(text: str, status: int = 0) -> str:
    return f"sh -c {shlex.quote(f'echo {text}; exit {status}')}"


def test_commands_run_at_the_same_time(root: Path, tmp_path: Path) -> None:
    """Each of two waits until the other one runs. Each has its log, and one log has both, in their order."""
    one, two = (str(tmp_path / name) for name in ("one", "two"))
    for pipe in (one, two):
        os.mkfifo(pipe)
    made = ctx(root, commands=[f"timeout 60 python3 meet.py {one} {two}", f"timeout 60 cp {one} {two}"])
    lint(made)
    logs = [made.run_folder.log_path(name).read_text() for name in ("lint-1", "lint-2")]
    assert logs[0].splitlines()[1:] == ["met"]
    assert made.run_folder.log_path("lint").read_text() == "".join(logs)


def test_with_parallel_false_they_run_one_after_the_other(root: Path) -> None:
    """The second sees what the first has left."""
    made = one_by_one(ctx(root, commands=["sh -c 'sleep 0.1; touch made'", "ls made"]))
    assert lint(made).summary == "no tools"


@pytest.mark.parametrize("parallel", [True, False])
def test_the_first_failure_hides_no_other(root: Path, *, parallel: bool) -> None:
    """One error has all of them, with the last lines of each, in the configured order."""
    made = ctx(root, commands=[say("one", 3), say("two"), "no-such-linter .", say("four", 4)])
    with pytest.raises(GateFailed) as caught:
        lint(made if parallel else one_by_one(made))
    first, last = shlex.join(shlex.split(say("one", 3))), shlex.join(shlex.split(say("four", 4)))
    assert caught.value.found == (
        f"`{first}` ended with status 3; `no-such-linter` is not installed; `{last}` ended with status 4"
    )
    assert f"run `{first}`; add it to `lint.tools`" in caught.value.hint
    assert caught.value.tail == (
        f"`{first}` ended with status 3:",
        "one",
        f"`{last}` ended with status 4:",
        "four",
    )


def test_one_failure_of_several_is_told_as_it_is(root: Path) -> None:
    """Nothing is put around it."""
    with pytest.raises(GateFailed) as caught:
        lint(ctx(root, commands=[say("one"), say("two", 2)]))
    assert caught.value.found.endswith("ended with status 2")
    assert caught.value.tail == ("two",)


def test_findings_of_all_commands_are_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With file and line, in the configured order, as one event; the Dockerfile's come after them."""
    Repository(root).write("Dockerfile", "FROM scratch\nCMD run\n")
    Repository(root).commit()
    (root / "tools" / "ruff").chmod(0o755)
    monkeypatch.setenv("PATH", str(root / "tools"), prepend=os.pathsep)
    events: list[Any] = []
    commands = ["ruff check b.py", "ruff check a.py"]
    made = replace(ctx(root, commands=commands, dockerfile={"check": "fail"}), emit=events.append)
    with pytest.raises(GateFailed, match=r"b\.py` ended with status 1; `ruff check a\.py`.*shell-form"):
        lint(made)
    found = [[each.file for each in event.findings] for event in events if isinstance(event, Found)]
    assert found == [["b.py", "a.py"], ["Dockerfile", "Dockerfile"]]


def test_a_cancelled_run_ends_all_commands(root: Path) -> None:
    """It is no failure of a linter, and what they said stays in the log."""
    cancellation = Cancellation()
    made = replace(ctx(root, commands=["sleep 600", say("two"), "sleep 600"]), cancellation=cancellation)
    made = replace(made, emit=lambda event: cancellation.request("enough"))
    with pytest.raises(Cancelled, match="enough"):
        lint(made)
    assert "$ " in made.run_folder.log_path("lint").read_text()
