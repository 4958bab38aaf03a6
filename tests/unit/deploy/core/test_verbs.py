"""A rollback is called one, in whatever refuses or fails it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import release.deploy
from release.commands.deploy import read_allowance
from release.commands.options import CommandOptions
from release.deploy.core.verbs import attempt
from release.deploy.planning.policy import Allowance
from release.errors import DeploymentFailed, LockHeld, TargetUnavailable, UsageError
from release.images.engine import ContainerState
from release.records import Quarantine
from tests.unit.deploy.fakes import Kept, taken_port
from tests.unit.deploy.scene import Scene, scene  # noqa: F401 - a fixture
from tests.unit.deploy.targets.engine.test_stop_first import crashing, engine_with_old, run

DEPLOY = Path(release.deploy.__file__).parent


def test_each_reason_has_its_verb() -> None:
    """Only a rollback rolls back."""
    what = "0.1.0 of api in production"
    assert attempt("rollback", what) == f"roll back to {what}"
    assert {attempt(reason, what) for reason in ("promote", "hotfix")} == {f"deploy {what}"}


@pytest.mark.parametrize(("why", "verb"), [("rollback", "roll back to"), ("promote", "deploy")])
def test_a_refusal_has_the_verb_of_what_was_asked(scene: Scene, why: str, verb: str) -> None:  # noqa: F811
    """A quarantined release, and a lock that somebody holds."""
    scene.release("1.4.1", "1.4.2")
    scene.deploy("1.4.1")
    scene.deploy("1.4.2")
    scene.say(Quarantine(release=scene.releases["1.4.1"].id, message="bad"))
    with pytest.raises(TargetUnavailable) as refused:
        scene.prepared("1.4.1", "rollback" if why == "rollback" else "promote")
    assert refused.value.attempted == f"{verb} 1.4.1 of api in production"
    scene.locked(scene.began("1.4.2"))
    with pytest.raises(LockHeld) as locked:
        scene.prepared(
            "1.4.1", "rollback" if why == "rollback" else "promote", allowed=Allowance(quarantined=True)
        )
    assert locked.value.attempted == f"{verb.removesuffix(' to')} api in production"
    assert "--wait SECONDS" in locked.value.hint


@pytest.mark.parametrize(("reason", "verb"), [("rollback", "roll back to"), ("promote", "deploy")])
@pytest.mark.parametrize("starting", [crashing, taken_port], ids=["crashes", "port"])
def test_a_failure_has_the_verb_of_what_was_asked(
    reason: str, verb: str, starting: Callable[[Kept], ContainerState]
) -> None:
    """The rollout knows the reason."""
    with pytest.raises(DeploymentFailed) as failed:
        run(engine_with_old(starting=starting), reason=reason)
    assert failed.value.attempted == f"{verb} 0.2.0 of api in production"


def test_no_message_says_deploy_by_itself() -> None:
    """What is attempted comes from `verbs.attempt`, so that the next message has the right verb too."""
    found = [
        f"{module.relative_to(DEPLOY)}:{node.lineno}"
        for module in sorted(DEPLOY.rglob("*.py"))
        if module.name not in ("verbs.py", "doctor.py")
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.JoinedStr)
        and isinstance(node.values[0], ast.Constant)
        and str(node.values[0].value) == "deploy "
    ]
    assert found == []


@pytest.mark.parametrize("option", ["allow_quarantined", "thaw", "break_lock"])
def test_an_option_without_a_reason_is_named_by_itself(option: str) -> None:
    """The same option belongs to several commands."""
    words: dict[str, Any] = {option: True}
    with pytest.raises(UsageError) as refused:
        read_allowance(CommandOptions(**words))
    assert refused.value.attempted == f"use --{option.replace('_', '-')}"
