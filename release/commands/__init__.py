"""The invoke tasks, in modules by topic; a task imports only its own module."""

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
    "status": "inspect",
    "history": "inspect",
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
"""The module of each command; the command is its function of that name."""


def action(command: str) -> Callable[[CommandContext], int]:
    """The command: from the command line to the exit status. Raises KeyError for one that does not exist."""
    found: Callable[[CommandContext], int] = getattr(import_module(f"{__name__}.{MODULES[command]}"), command)
    return found
