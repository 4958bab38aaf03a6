"""The folder of a run, and the products of the stages."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from release.chain.products import Products
from release.chain.run_folder import KEPT_RUNS, RunFolder


@dataclass(frozen=True)
class Made:
    """A product."""

    number: int


def test_git_does_not_see_the_runs(tmp_path: Path) -> None:
    """A run leaves nothing to be committed by accident."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    RunFolder.create(tmp_path).write_json("plan.json", {"version": "0.1.0"})
    ran = subprocess.run(
        ["git", "status", "--short"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert ran.stdout == ""


def test_two_runs_of_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    """The name holds more than the time."""
    assert RunFolder.create(tmp_path).path != RunFolder.create(tmp_path).path


def test_the_oldest_runs_go(tmp_path: Path) -> None:
    """The folder does not grow for ever."""
    for number in range(KEPT_RUNS + 3):
        (tmp_path / ".release/runs" / f"20200101T0000{number:02}-00000000").mkdir(parents=True)
    newest = RunFolder.create(tmp_path)
    names = sorted(path.name for path in newest.path.parent.iterdir())
    assert len(names) == KEPT_RUNS + 1
    assert names[0] == "20200101T000003-00000000"
    assert names[-1] == newest.id


def test_archives_go_and_logs_stay(tmp_path: Path) -> None:
    """What the commit can make again needs no room."""
    folder = RunFolder.create(tmp_path)
    folder.write_json("plan.json", {"version": "0.1.0"})
    (folder.path / "context.tar").write_bytes(b"x")
    folder.log_path("build").write_text("built")
    folder.remove_temporary_files()
    assert sorted(path.name for path in folder.path.iterdir()) == ["build.log", "plan.json"]
    assert json.loads((folder.path / "plan.json").read_text()) == {"version": "0.1.0"}


def test_a_document_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    """While it is written again, a program may be reading it."""
    folder = RunFolder.create(tmp_path)
    folder.write_json("policy.json", {"rules": []})
    with (folder.path / "policy.json").open() as reader:
        folder.write_json("policy.json", {"rules": ["another"]})
        assert json.load(reader) == {"rules": []}
    assert json.loads((folder.path / "policy.json").read_text()) == {"rules": ["another"]}


def test_a_product_is_found_by_its_type() -> None:
    """Each stage makes one value of a type of its own."""
    products = Products()
    products.add(Made(1))
    assert products.get(Made) == Made(1)


def test_a_product_that_was_not_made_is_an_error_of_the_table() -> None:
    """A stage that asks for what nobody made before it."""
    with pytest.raises(KeyError):
        Products().get(Made)
