"""`invoke sync --adopt`: an event that was put aside is shown, agreed to, and published."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.commands.command_line import CommandContext
from release.commands.ledger import sync
from release.commands.options import CommandOptions
from release.ledger.outbox import Outbox
from release.tasks import guarded
from tests.unit.ledger import samples
from tests.unit.repository import Repository

PYPROJECT = """
[tool.release]
service = "api"
[tool.release.ledger]
remote = "origin"
[tool.release.smoke]
port = 8000
path = "/healthz"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with an event whose seal was lost."""
    server = Repository.init(tmp_path / "server", bare=True)
    clone = Repository.clone(server, tmp_path / "here")
    clone.commit("feat: start", **{"pyproject.toml": PYPROJECT})
    (released,) = samples.ledger(clone.root, remote="origin").append([samples.release("1.0.0")])
    Outbox(clone.root / ".git").put(samples.event(released, "healthy"))
    (file,) = (clone.root / ".git" / "release" / "unsynced").iterdir()
    file.write_bytes(file.read_bytes().partition(b"\n")[2])
    monkeypatch.chdir(clone.root)
    return clone.root


def run(**words: object) -> int:
    words = {"json": True, **words}
    return guarded(
        lambda console, interruption: sync(
            CommandContext(options=CommandOptions(**words), console=console, interruption=interruption)  # type: ignore[arg-type]
        )
    )


def test_an_event_that_was_put_aside_is_published_after_a_yes(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without a yes, and for a name that is not there, nothing is published."""
    assert run() == 0
    said = capfd.readouterr()
    assert '"published": 0' in said.out
    (refused,) = (here / ".git" / "release" / "refused").iterdir()
    assert f"invoke sync --adopt {refused.name}" in said.err.replace("\n", " ")
    assert run(adopt=refused.name) == 2
    assert run(adopt="../unsynced/other.json", yes=True) == 2
    capfd.readouterr()
    assert run(adopt=refused.name, yes=True) == 0
    said = capfd.readouterr()
    assert '"published": 1' in said.out
    assert "production" in said.err
    assert list(refused.parent.iterdir()) == []
