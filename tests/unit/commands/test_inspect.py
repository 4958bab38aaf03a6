"""What `invoke status` tells of an environment whose engine cannot be asked."""

from __future__ import annotations

import socket
from pathlib import Path

from release.commands import inspect
from release.commands.text import states
from release.deploy.environment.environment import Workspace
from release.errors import ReleaseError
from release.events import Event, Warned
from tests.unit.ledger import samples
from tests.unit.ledger.samples import release
from tests.unit.repository import Repository


def test_an_engine_that_does_not_answer_hides_nothing_that_the_ledger_knows(tmp_path: Path) -> None:
    """What should run is told, that nobody could look is the drift, and the error comes with its hint."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        host = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
    repository = Repository.init(tmp_path / "here")
    pyproject = f"""
[tool.release]
service = "api"
[tool.release.smoke]
port = 8000
path = "/healthz"
[tool.release.environments.production]
host = "{host}"
"""
    repository.commit("feat: start", **{"pyproject.toml": pyproject})
    ledger = samples.ledger(repository.root)
    (record,) = ledger.append([release("1.0.0")])
    ledger.append([samples.event(record, "healthy", at=samples.moment(1))])
    told: list[Event] = []
    failed: list[ReleaseError] = []
    with Workspace.open(repository.root, None, environ={}, emit=told.append) as workspace:
        found = inspect._status(workspace, "production", failed)
    rows = dict(states.status_rows(found))
    assert rows["ledger"].startswith("1.0.0  deployed ")
    assert (rows["engine"], rows["running"]) == ("could not be asked", "not known")
    assert host in rows["drift"]
    assert [error.exit_code for error in failed] == [6]
    assert [each.text for each in told if isinstance(each, Warned)] == [f"api in production: {failed[0]}"]
