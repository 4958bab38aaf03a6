"""Commands under a CI runner, in a repository whose commits and records try to command it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from release.commands import deploy, load_task_function
from release.commands.command_line import CommandContext
from release.commands.options import CommandOptions
from release.console import Console
from release.programs.interruption import Interruption
from release.records import Actor, Deployment, Draft, Note, Quarantine
from release.values import replace
from tests.unit.deploy.scene import Scene, scene  # noqa: F401 - a fixture
from tests.unit.hostile import FRAGMENTS, commands_in
from tests.unit.ledger.samples import draft

NASTY = "".join(each for each in FRAGMENTS if not "\ud800" <= each[0] <= "\udfff")
SUBJECT = "::set-output name=version::6.6.6 ##[error]x \u202e\x1b[2J\u200b"
CI = {"GITHUB_ACTIONS": "true"}


@pytest.fixture
def hostile_scene(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:  # noqa: F811 - the fixture
    """Two releases of such commits, deployed, quarantined and frozen with such messages."""
    monkeypatch.chdir(scene.root.root)
    for version in ("1.0.0", "1.1.0"):
        commit = scene.root.commit(f"{SUBJECT}\n\n{SUBJECT}")
        scene.release(version, commit=commit)
        scene.deploy(version)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        host = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
    table = (
        f'[tool.release]\nservice = "api"\n[tool.release.smoke]\nport = 8000\n'
        f'[tool.release.environments.production]\nhost = "{host}"\n'
    )
    scene.root.commit(SUBJECT, **{"pyproject.toml": table})
    ledger = scene.live.workspace.ledger
    release = scene.releases["1.0.0"].id
    event = scene.began("1.1.0")
    event = event.of(event.body.model_copy(update={"message": NASTY, "status": "healthy"}))
    words = (event, draft(Note(text=NASTY)), draft(Quarantine(release=release, message=NASTY)))
    ledger.append([_by_nobody(each) for each in words])
    scene.freeze(NASTY)
    return scene


def _by_nobody(of: Draft[Any]) -> Draft[Any]:
    return replace(of, actor=Actor(name=NASTY, email=NASTY))


def ran(command: Callable[[CommandContext], object], **words: Any) -> None:
    with Console(environ=CI) as console:
        command(CommandContext(options=CommandOptions(**words), console=console, interruption=Interruption()))


LOOKS: dict[str, dict[str, Any]] = {
    "history": {},
    "show": {"target": "1.1.0"},
    "diff": {"before": "1.0.0", "after": "1.1.0"},
    "metrics": {},
    "status": {},
    "doctor": {},
    "verify": {"ledger": True},
}


@pytest.mark.attack(
    "commit subjects, messages and names of records that are workflow commands",
    "`history`, `show`, `diff`, `metrics`, `status`, `doctor`, `verify` print them as text on both streams",
)
@pytest.mark.parametrize("json_too", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("command", LOOKS)
def test_a_command_that_looks_prints_no_command(
    hostile_scene: Scene, capfd: pytest.CaptureFixture[str], command: str, json_too: bool
) -> None:
    """Nothing that the runner or a terminal carries out; JSON stays JSON."""
    ran(load_task_function(command), **LOOKS[command], json=json_too)
    out, err = capfd.readouterr()
    assert out
    assert commands_in(out) == []
    assert [line for line in commands_in(err) if not line.startswith("::warning::")] == []
    if json_too:
        assert out.isascii()
        json.loads(out)


@pytest.mark.attack(
    "commit subjects and messages that are workflow commands, in a plan",
    "`deploy --plan` and `rollback --plan` print them as text, each on one line",
)
@pytest.mark.parametrize("json_too", [False, True], ids=["text", "json"])
def test_a_plan_prints_no_command(
    hostile_scene: Scene, capfd: pytest.CaptureFixture[str], json_too: bool
) -> None:
    """Undone commits, the deployer's name, the message."""
    prepared = hostile_scene.prepared(
        "1.0.0", allowed=deploy.read_allowance(CommandOptions(allow_quarantined=True, thaw=True, message="x"))
    )
    ran(lambda cmd: deploy._show_plan(cmd, prepared.plan), json=json_too)
    out, err = capfd.readouterr()
    assert "set-output name=version" in out
    assert commands_in(out) == []
    assert err == ""


def test_a_message_is_one_line_of_what_is_shown(
    hostile_scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    """It adds no row that looks like one of ours."""
    event = hostile_scene.began("1.1.0")
    assert isinstance(event.body, Deployment)
    forged = "x\n  quarantine  none\n1.4.2  sha256:0  healthy"
    body = event.body.model_copy(update={"message": forged, "status": "healthy"})
    hostile_scene.live.workspace.ledger.append([event.of(body)])
    ran(load_task_function("status"))
    ran(load_task_function("show"), target=body.deployment)
    out = capfd.readouterr().out
    assert out.count("quarantine  none") == 2
    assert not any(line.strip().startswith(("quarantine  none", "1.4.2")) for line in out.split("\n"))
