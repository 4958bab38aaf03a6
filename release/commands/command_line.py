"""Context of every command: options, console, repository; and questions to the operator."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from release.commands.options import CommandOptions
from release.console import Console
from release.deploy.environment.environment import Workspace
from release.deploy.environment.unconfigured import choose
from release.errors import Cancelled, UsageError
from release.events import Notice
from release.ledger import query
from release.programs.interruption import Interruption
from release.values import Struct

_MOST: Final = 999_999_999


def parse_whole_number(text: str, attempted: str, hint: str, *, least: int = 1) -> int:
    """Return a whole number of the command line. Raise UsageError."""
    value = int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else -1
    if value < least:
        raise UsageError(attempted, f"it is not a number from {least} to {_MOST}", hint)
    return value


def parse_history_limit(options: CommandOptions) -> int:
    """Return the number of records that `--limit` asks for. Raise UsageError."""
    return parse_whole_number(options.limit, f"list {options.limit!r} records", "use --limit 20")


def parse_wait_seconds(options: CommandOptions) -> int:
    """Return the seconds of `--wait`, for which a command waits for the lock. Raise UsageError."""
    return parse_whole_number(options.wait, f"wait for {options.wait!r} seconds", "use --wait 60", least=0)


class CommandContext(Struct, frozen=True, kw_only=True):
    """Context of a command: its options, the console, and signals."""

    options: CommandOptions
    console: Console
    interruption: Interruption

    def __post_init__(self) -> None:
        """Raise UsageError if a release is given as an empty text, as by an unset variable."""
        named = {"--to": self.options.to, "target": self.options.target}
        named |= {"before": self.options.before, "after": self.options.after}
        for name, text in named.items():
            if text is not None and not text.strip():
                hint = (
                    f"check the variable that {name} takes its value from. Leave --to out, or give a "
                    "version: --to 1.4.2"
                )
                raise UsageError("choose a release", f"the option {name} has no value", hint)

    @property
    def names_several_services(self) -> bool:
        """Return whether several services are named. Raise UsageError if options contradict each other."""
        options = self.options
        named = {"--services": options.services, "--group": options.group, "--service": options.service}
        given = [name for name, value in named.items() if value is not None]
        if len(given) > 1:
            raise UsageError("choose the services", f"{' and '.join(given)} exclude each other", "give one")
        return bool(given) and given != ["--service"]

    @contextmanager
    def open_workspace(self, service: str | None = None) -> Iterator[Workspace]:
        """Open the workspace of the service, found from the current folder."""
        opened = Workspace.open(
            Path.cwd(), service or self.options.service, environ=os.environ, emit=self.console.emit
        )
        with opened as workspace:
            yield workspace


def words_after_dashes() -> tuple[str, ...]:
    """Return the separate words after `--`, which invoke joins into one text."""
    words = sys.argv[1:]
    return tuple(words[words.index("--") + 1 :]) if "--" in words else ()


def require_confirmation(cmd: CommandContext, title: str) -> None:
    """Ask for a yes, unless `--yes` is given. Raise UsageError without a terminal; Cancelled for a no."""
    if cmd.options.yes:
        return
    if not cmd.console.can_ask:
        raise UsageError(title, "there is no terminal to ask on; nothing was changed", "add --yes")
    if not cmd.console.confirm(f"{title}?"):
        raise Cancelled(title, "you did not say yes; nothing was changed")


def find_target(
    cmd: CommandContext, workspace: Workspace, target: str, environment: str | None
) -> query.Found:
    """Return the release or deployment that a text names, and show notes on how it was found."""
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


def refuse_option_as_target(command: str, target: str) -> str:
    """Return the target. Raise UsageError if it is an option; -2 is a target."""
    if target.startswith("-") and not query.is_steps_back(target):
        raise UsageError(
            f"{command} {target!r}",
            "it is an option, not a release",
            f"show the options: invoke --help {command}",
        )
    return target


def choose_environment(cmd: CommandContext, workspace: Workspace) -> str | None:
    """Return the named environment, or the only one; None if there are several and none is named."""
    name = cmd.options.environment
    if name is None and len(workspace.service.environments) != 1:
        return None
    return choose(workspace.service, workspace.ledger, name)[0]


def choose_environments(workspace: Workspace, named: str | None) -> list[str]:
    """Return the named environment as a list, or all environments of the service."""
    if named is None and workspace.service.environments:
        return list(workspace.service.environments)
    return [choose(workspace.service, workspace.ledger, named)[0]]


@contextmanager
def open_chosen(cmd: CommandContext) -> Iterator[Sequence[Workspace]]:
    """Yield the workspace of the chosen service, or of several services."""
    if cmd.names_several_services:
        from release.commands.group import open_workspaces

        with open_workspaces(cmd) as several:
            yield several
    else:
        with cmd.open_workspace() as workspace:
            yield [workspace]
