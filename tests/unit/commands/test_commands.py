"""The table of commands: every task has one, and no command is without a task."""

from __future__ import annotations

import pytest

from release.commands import MODULES, load_task_function
from release.tasks import namespace

ELSEWHERE = {"completion", "explain"}
"""Tasks that need no repository of a service."""


def test_every_task_has_a_command_and_every_command_a_task() -> None:
    """But for those that need no repository."""
    assert {name.replace("-", "_") for name in namespace().task_names} - ELSEWHERE == set(MODULES)


@pytest.mark.parametrize("command", MODULES)
def test_a_command_is_a_function_of_its_module(command: str) -> None:
    """That takes the door and gives the exit status."""
    found = load_task_function(command)
    assert (found.__name__, found.__module__) == (command, f"release.commands.{MODULES[command]}")
