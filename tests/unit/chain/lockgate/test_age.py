"""The age of lockfiles and base images, from the commits that changed them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from release.chain.lockgate.age import REFRESHED, check_age, parse_pinned_bases
from release.chain.plan import Options, make_plan
from release.config import Lock
from release.errors import GateFailed
from release.events import Event, Warned
from release.git.source import Source
from release.values import replace
from tests.unit.chain.test_plan import SERVICE, facts
from tests.unit.repository import Repository

DIGEST = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"


def commit(repository: Repository, days: float, message: str = "feat: x", **files: str) -> None:
    for name, text in files.items():
        (repository.root / name).write_text(text)
    repository.git("add", "--all")
    date = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    env = {"GIT_COMMITTER_DATE": date, "GIT_AUTHOR_DATE": date}
    repository.git("commit", "-q", "--allow-empty", "-m", message, env=env)


def warnings(repository: Repository, **settings: Any) -> list[str]:
    """The warnings of the gate at the newest commit."""
    source = Source.open(repository.root)
    head = source.head()
    service = SERVICE.model_copy(update={"lock": Lock.model_validate(settings), "context": "."})
    plan = make_plan(service, facts(), Options(), several=False)
    told: list[Event] = []
    ctx: Any = SimpleNamespace(source=source, plan=replace(plan, commit=head), emit=told.append)
    check_age(ctx, "uv.lock")
    source.close()
    return [each.text for each in told if isinstance(each, Warned)]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository.init(tmp_path / "here")
    commit(made, 40, **{"uv.lock": "1", "Dockerfile": f"FROM python:3.13@{DIGEST}\n"})
    return made


def test_an_old_lockfile_and_an_old_base_are_warned_of(repository: Repository) -> None:
    """Each with its age and the next step."""
    limit = "was changed 40 days ago; the limit is 14d."
    assert warnings(repository) == [
        f"uv.lock {limit} update it: nox -s refresh",
        f"the base image python:3.13 {limit} write its newer digest into Dockerfile",
    ]


def test_only_what_changed_is_young(repository: Repository) -> None:
    """Another line of the Dockerfile changes no base image."""
    commit(repository, 1, **{"uv.lock": "2", "Dockerfile": f"# more\nFROM python:3.13@{DIGEST}\n"})
    assert [text.partition(" was ")[0] for text in warnings(repository)] == ["the base image python:3.13"]
    commit(repository, 1, Dockerfile=f"FROM python:3.13@{OTHER}\n")
    assert warnings(repository) == []


def test_a_refresh_without_updates_counts(repository: Repository) -> None:
    """The file stays as it is, and its commit says that somebody looked."""
    commit(repository, 2, f"build: look for updates\n\n{REFRESHED}: uv.lock")
    assert len(warnings(repository)) == 1
    assert warnings(repository, max_base_age="50d") == []


def test_the_settings_decide(repository: Repository) -> None:
    """An error, another limit, or nothing."""
    with pytest.raises(GateFailed, match=r"uv\.lock was changed 40 days ago"):
        warnings(repository, too_old="fail")
    assert warnings(repository, max_age="60d", max_base_age="60d") == []
    assert warnings(repository, too_old="off") == []


def test_the_end_of_a_history_is_no_evidence(repository: Repository, tmp_path: Path) -> None:
    """In a shallow clone the oldest commit seems to have changed every file."""
    clone = Repository.clone(f"file://{repository.root}", tmp_path / "clone", "--depth=1")
    assert warnings(clone) == []
    with pytest.raises(GateFailed, match="only the end of the history"):
        warnings(clone, too_old="fail")


def test_a_base_without_a_digest_has_no_age() -> None:
    """It is as young as the image that its tag names."""
    text = f"FROM python:3.13\nFROM reg.example/base@{DIGEST} AS base\nFROM base\n"
    assert parse_pinned_bases(text) == {("reg.example/base", DIGEST)}
