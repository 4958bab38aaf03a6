"""What a deployment does when somebody else was faster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from release.commands import deploy
from release.commands.command_line import CommandContext
from release.commands.options import CommandOptions
from release.errors import LockHeld


class Steps:
    """The parts of the command, each of which may lose the lock as often as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, preparing: int = 0, carrying_out: int = 0) -> None:
        self.left = {"prepared": preparing, "carried out": carrying_out}
        self.done: list[str] = []
        monkeypatch.setattr(deploy, "wait_for_lock", lambda *_: self.done.append("waited"))
        monkeypatch.setattr(deploy, "prepare_deployment", lambda *_: self._do("prepared"))
        monkeypatch.setattr(deploy, "_confirm_and_deploy", lambda *_: self._do("carried out"))

    def _do(self, step: str) -> int:
        self.done.append(step)
        if self.left[step]:
            self.left[step] -= 1
            raise LockHeld("deploy", "another deployment is under way")
        return 0


@contextmanager
def anywhere(*_: object) -> Iterator[Any]:
    yield SimpleNamespace(live=anywhere)


def rollback(**words: Any) -> int:
    options = CommandOptions(**words)
    given = SimpleNamespace(options=options, open_workspace=anywhere, names_several_services=False)
    return deploy.rollback(cast(CommandContext, given))


def test_a_lock_that_was_lost_before_a_plan_was_shown_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has agreed to anything yet, so it needs no `--yes`."""
    steps = Steps(monkeypatch, preparing=1)
    assert rollback(wait="60") == 0
    assert steps.done == ["waited", "prepared", "waited", "prepared", "carried out"]


def test_a_lock_that_was_lost_after_the_plan_was_shown_needs_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was agreed to holds no longer."""
    Steps(monkeypatch, carrying_out=1)
    with pytest.raises(LockHeld):
        rollback(wait="60")
    steps = Steps(monkeypatch, carrying_out=1)
    assert rollback(wait="60", yes=True) == 0
    assert steps.done[-2:] == ["prepared", "carried out"]


def test_nobody_waits_who_was_not_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `--wait` the first loss is the end."""
    Steps(monkeypatch, preparing=1)
    with pytest.raises(LockHeld):
        rollback(yes=True)
