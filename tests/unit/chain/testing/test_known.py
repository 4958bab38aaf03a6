"""What hints about missing tests go by: files of the commit, and stages of its Dockerfile."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from release.chain.stage_context import StageContext
from release.chain.testing.known import CommittedTests, find_committed_tests
from release.config import Build
from release.git.source import Source
from tests.unit.repository import Repository

DOCKERFILE = "FROM python AS runtime\nFROM runtime AS qa\nFROM python AS other\n"


def context(folder: Path, *, target: str | None) -> StageContext:
    repository = Repository.init(folder)
    repository.write("service/Dockerfile", DOCKERFILE)
    for path in ("app/test_in_app.py", "tests/unit/check_test.py", "tests/data.txt", "run.py"):
        repository.write(f"service/{path}", "x")
    commit = repository.commit("feat: all")
    service = SimpleNamespace(context="service", build=Build(target=target))
    plan = SimpleNamespace(service=service, commit=SimpleNamespace(id=commit))
    return cast(StageContext, SimpleNamespace(plan=plan, source=Source.open(folder)))


@pytest.mark.parametrize(("target", "stages"), [("Runtime", ("qa",)), (None, ()), ("other", ())])
def test_folders_with_tests_and_stages_on_the_released_one(
    tmp_path: Path, target: str | None, stages: tuple[str, ...]
) -> None:
    """The folder that is named like tests comes first."""
    found = find_committed_tests(context(tmp_path / "here", target=target))
    assert (found.tests, found.stages) == (("tests", "app"), stages)
    assert found.names == {"Dockerfile", "app", "tests", "run"}


def test_a_commit_that_cannot_be_read_gives_no_facts(tmp_path: Path) -> None:
    """A hint without them is a hint, too."""
    made = context(tmp_path / "here", target=None)
    made.plan.commit.id = "0" * 40  # type: ignore[misc]
    assert find_committed_tests(made) == CommittedTests()
