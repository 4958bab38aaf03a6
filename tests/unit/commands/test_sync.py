"""`invoke sync`: what it says of the messages that it sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.network.webhook import keep_message
from tests.unit.commands.test_adopt import PYPROJECT, run
from tests.unit.network.test_webhook import receiving
from tests.unit.repository import Repository


def test_the_messages_that_were_sent_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Beside the events; without a message there is nothing to say."""
    server = Repository.init(tmp_path / "server", bare=True)
    clone = Repository.clone(server, tmp_path / "here")
    monkeypatch.setenv("HOOK_SECRET", "a-long-secret")
    with receiving(200) as receiver:
        hook = f'[tool.release.webhooks.a]\nurl = "{receiver.url}"\nsecret = {{ from_env = "HOOK_SECRET" }}\n'
        clone.commit("feat: start", **{"pyproject.toml": PYPROJECT + hook})
        monkeypatch.chdir(clone.root)
        for number in range(2):
            keep_message(clone.root / ".git", "a", f"0123456789a{number}", {"number": number})
        assert run(json=False) == 0
        assert capfd.readouterr().out == "0 events published, 0 waiting, 2 webhook messages sent\n"
        assert len(receiver.got) == 2
        assert run(json=False) == 0
        assert capfd.readouterr().out == "0 events published, 0 waiting\n"
