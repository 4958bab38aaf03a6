"""An environment that is gone from the configuration and has records in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from release.commands import history as commands_history
from release.deploy.environment.environment import Workspace
from release.deploy.environment.unconfigured import unconfigured
from release.errors import UsageError
from release.events import Event, Notice
from tests.unit.ledger import samples
from tests.unit.ledger.samples import release
from tests.unit.repository import Repository

PROJECT = """
[tool.release]
service = "api"
[tool.release.smoke]
port = 8000
[tool.release.environments.production]
"""


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def workspace(tmp_path: Path, told: list[Event]) -> Iterator[Workspace]:
    """A service that ran in `old`, which has no table."""
    repository = Repository.init(tmp_path / "here")
    repository.commit("feat: start", **{"pyproject.toml": PROJECT})
    ledger = samples.ledger(repository.root)
    (record,) = ledger.append([release("1.4.0")])
    ledger.append([samples.event(record, "healthy", environment="old", at=samples.moment(1))])
    with Workspace.open(repository.root, None, environ={}, emit=told.append) as opened:
        yield opened


def test_it_is_refused_with_what_the_ledger_knows(workspace: Workspace) -> None:
    """For status, deploy and rollback: what ran there, how to read it, how to get it back."""
    with pytest.raises(UsageError, match="old is not in the configuration") as caught:
        workspace.env_ref("old")
    assert "the ledger's last deployment there is 1.4.0, of 2026-11-20" in caught.value.found
    assert "invoke history --environment old" in caught.value.hint
    assert "`environments.old`" in caught.value.hint
    with pytest.raises(UsageError, match="old is not in"), workspace.live("old"):
        raise AssertionError("an engine was opened")


def test_its_history_is_read_and_told(workspace: Workspace, told: list[Event]) -> None:
    """The records stay."""
    assert len(list(commands_history._entries(workspace, "old", None))) == 1
    assert [each.text for each in told if isinstance(each, Notice)] == [
        "old is not in the configuration: reading its records from the ledger"
    ]


@pytest.mark.parametrize("name", ["nowhere", "../record", ""])
def test_a_name_that_nothing_knows_is_refused_as_before(workspace: Workspace, name: str) -> None:
    """With those that exist."""
    for ask in (workspace.env_ref, lambda name: list(commands_history._entries(workspace, name, None))):
        with pytest.raises(UsageError, match=f"there is no environment '{name}'; there are: production"):
            ask(name)
    assert unconfigured(workspace.service, workspace.ledger) == ["old"]
