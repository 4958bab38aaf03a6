"""What the invoke tasks do, in modules by what belongs together; a task imports its own only."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from release.commands.door import Door

MODULES: Final = {
    "deploy": "change",
    "rollback": "change",
    "converge": "converge",
    "status": "look",
    "history": "look",
    "show": "look",
    "diff": "look",
    "doctor": "look",
    "verify": "verify",
    "drill": "drill",
    "prune": "prune",
    "quarantine": "policy",
    "freeze": "policy",
    "thaw": "policy",
    "sync": "ledger",
    "ledger_rebuild": "ledger",
    "ledger_checkpoint": "ledger",
}
"""The module of each command; the command is its function of that name."""


def action(command: str) -> Callable[[Door], int]:
    """The command: from the door to the exit status. Raises KeyError for one that does not exist."""
    found: Callable[[Door], int] = getattr(import_module(f"{__name__}.{MODULES[command]}"), command)
    return found
