"""What every command works with: what the command line says, the console, the repository; and asking."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from release.console import Console
from release.deploy.environment.environment import Workspace
from release.deploy.environment.unconfigured import choose
from release.errors import Cancelled, UsageError
from release.events import Notice
from release.interruption import Interruption
from release.ledger import query
from release.values import Struct

_MOST: Final = 999_999_999


def number(text: str, attempted: str, hint: str, *, least: int = 1) -> int:
    """A whole number of the command line. Raises UsageError."""
    value = int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else -1
    if value < least:
        raise UsageError(attempted, f"it is not a number from {least} to {_MOST}", hint)
    return value


class CommandOptions(Struct, frozen=True, kw_only=True):
    """What the command line says."""

    to: str | None = None
    service: str | None = None
    environment: str | None = None
    message: str = ""
    yes: bool = False
    plan: bool = False
    json: bool = False
    limit: str = "20"
    ledger: bool = False
    adopt: str | None = None
    since: str | None = None
    other: str | None = None
    lift: bool = False
    allow_quarantined: bool = False
    last: str | None = None
    deep: bool = False
    record: bool = False
    no_engine: bool = False
    secrets_elsewhere: bool = False
    thaw: bool = False
    until: str | None = None
    break_lock: bool = False
    cross_migrations: bool = False
    down: str | None = None
    wait: str = "0"
    finish: bool = False
    revert: bool = False
    rebuild: str | None = None
    remake: bool = False
    """`deploy` and `rollback` with `--rebuild`."""
    again: bool = False
    repair: bool = False
    keep: bool = False
    on: str | None = None
    with_secrets: bool = False
    with_networks: bool = False
    no_record: bool = False
    last_copies: bool = False
    exit_code: bool = False
    offline: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError: `--to` says nothing. That is a variable without a value, and no wish."""
        if self.to is not None and not self.to.strip():
            hint = (
                "check the variable that --to takes its value from. Leave --to out, or give a "
                "version: --to 1.4.2"
            )
            raise UsageError("choose a release", "--to is empty", hint)

    @property
    def count(self) -> int:
        """The limit as a number. Raises UsageError."""
        return number(self.limit, f"list {self.limit!r} records", "use --limit 20")

    @property
    def patience(self) -> int:
        """Return how many seconds to wait for the lock. Raises UsageError."""
        return number(self.wait, f"wait for {self.wait!r} seconds", "use --wait 60", least=0)


class CommandContext(Struct, frozen=True, kw_only=True):
    """What every command works with."""

    words: CommandOptions
    console: Console
    interruption: Interruption

    @contextmanager
    def workspace(self, service: str | None = None) -> Iterator[Workspace]:
        """The service's repository, found from the folder where the command runs."""
        opened = Workspace.open(
            Path.cwd(), service or self.words.service, environ=os.environ, emit=self.console.emit
        )
        with opened as workspace:
            yield workspace


def agree(cmd: CommandContext, title: str) -> None:
    """A person says yes, or the command line did. Raises UsageError, Cancelled."""
    if cmd.words.yes:
        return
    if not cmd.console.interactive:
        raise UsageError(title, "there is no terminal to ask on; nothing was changed", "add --yes")
    if not cmd.console.confirm(f"{title}?"):
        raise Cancelled(title, "you did not say yes; nothing was changed")


def find(cmd: CommandContext, workspace: Workspace, target: str, environment: str | None) -> query.Found:
    """Return what a target means; how it was read is told."""
    meant = query.find(
        workspace.ledger,
        workspace.service.service,
        target,
        environment=environment,
        command=lambda words: workspace.command(words, environment),
    )
    for note in meant.notes:
        cmd.console.emit(Notice(text=note))
    return meant


def target_of(command: str, target: str) -> str:
    """Refuse an option that invoke took for the argument; -2 is a target."""
    if target.startswith("-") and not query.is_steps_back(target):
        raise UsageError(
            f"{command} {target!r}",
            "it is an option, not a release",
            f"show the options: invoke --help {command}",
        )
    return target


def environment_of(cmd: CommandContext, workspace: Workspace) -> str | None:
    """The one that is named, or the only one there is; None where neither."""
    name = cmd.words.environment
    if name is None and len(workspace.service.environments) != 1:
        return None
    return choose(workspace.service, workspace.ledger, name)[0]


def environments(workspace: Workspace, named: str | None) -> list[str]:
    """The one that is named, or all of the service."""
    if named is None and workspace.service.environments:
        return list(workspace.service.environments)
    return [choose(workspace.service, workspace.ledger, named)[0]]
