"""Functions of the invoke tasks, in modules by topic."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from release.commands.command_line import CommandContext

MODULES: Final = {
    "deploy": "deploy",
    "rollback": "deploy",
    "converge": "converge",
    "adopt": "adopt",
    "status": "inspect",
    "history": "history",
    "metrics": "metrics",
    "show": "inspect",
    "diff": "inspect",
    "logs": "logs",
    **dict.fromkeys(("run", "exec", "restart", "stop", "start"), "operate"),
    "doctor": "doctor",
    "verify": "verify",
    "drill": "drill",
    "prune": "prune",
    "quarantine": "policy",
    "freeze": "policy",
    "thaw": "policy",
    "sync": "ledger",
    "init": "init",
    "report": "report",
    "ledger_rebuild": "ledger",
    "ledger_checkpoint": "ledger",
}
"""Module of each command; the function has the name of the command."""


def load_task_function(command: str) -> Callable[[CommandContext], int]:
    """Return the function of a command, from its context to its exit code.

    Raise KeyError for an unknown command.
    """
    found: Callable[[CommandContext], int] = getattr(import_module(f"{__name__}.{MODULES[command]}"), command)
    return found
