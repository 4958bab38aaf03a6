"""Context of every command: options, console, repository; and questions to the operator."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from release.commands.options import CommandOptions
from release.console import Console
from release.deploy.environment.environment import Workspace
from release.deploy.environment.unconfigured import choose
from release.errors import Cancelled, UsageError
from release.events import Notice
from release.interruption import Interruption
from release.ledger import query
from release.values import Struct

_MOST: Final = 999_999_999


def parse_whole_number(text: str, attempted: str, hint: str, *, least: int = 1) -> int:
    """A whole number of the command line. Raises UsageError."""
    value = int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else -1
    if value < least:
        raise UsageError(attempted, f"it is not a number from {least} to {_MOST}", hint)
    return value


def history_limit(options: CommandOptions) -> int:
    """Return the limit as a number. Raise UsageError."""
    return parse_whole_number(options.limit, f"list {options.limit!r} records", "use --limit 20")


def seconds_to_wait(options: CommandOptions) -> int:
    """Return how many seconds to wait for the lock. Raise UsageError."""
    return parse_whole_number(options.wait, f"wait for {options.wait!r} seconds", "use --wait 60", least=0)


class CommandContext(Struct, frozen=True, kw_only=True):
    """Context of every command."""

    options: CommandOptions
    console: Console
    interruption: Interruption

    def __post_init__(self) -> None:
        """Raise UsageError for an empty release: a variable without a value must not choose the default."""
        named = {"--to": self.options.to, "target": self.options.target}
        named |= {"before": self.options.before, "after": self.options.after}
        for name, text in named.items():
            if text is not None and not text.strip():
                hint = (
                    f"check the variable that {name} takes its value from. Leave --to out, or give a "
                    "version: --to 1.4.2"
                )
                raise UsageError("choose a release", f"{name} is empty", hint)

    @property
    def names_several(self) -> bool:
        """Return whether the command line names several services. Raises UsageError: in two ways."""
        options = self.options
        named = {"--services": options.services, "--group": options.group, "--service": options.service}
        given = [name for name, value in named.items() if value is not None]
        if len(given) > 1:
            raise UsageError("choose the services", f"{' and '.join(given)} exclude each other", "give one")
        return bool(given) and given != ["--service"]

    @contextmanager
    def workspace(self, service: str | None = None) -> Iterator[Workspace]:
        """The service's repository, found from the folder where the command runs."""
        opened = Workspace.open(
            Path.cwd(), service or self.options.service, environ=os.environ, emit=self.console.emit
        )
        with opened as workspace:
            yield workspace


def words_after_dashes() -> tuple[str, ...]:
    """Return the words after `--`, as the shell gave them: invoke joins them to one text."""
    words = sys.argv[1:]
    return tuple(words[words.index("--") + 1 :]) if "--" in words else ()


def require_confirmation(cmd: CommandContext, title: str) -> None:
    """A person says yes, or the command line did. Raises UsageError, Cancelled."""
    if cmd.options.yes:
        return
    if not cmd.console.interactive:
        raise UsageError(title, "there is no terminal to ask on; nothing was changed", "add --yes")
    if not cmd.console.confirm(f"{title}?"):
        raise Cancelled(title, "you did not say yes; nothing was changed")


def find_target(
    cmd: CommandContext, workspace: Workspace, target: str, environment: str | None
) -> query.Found:
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


def checked_target(command: str, target: str) -> str:
    """Refuse an option that invoke took for the argument; -2 is a target."""
    if target.startswith("-") and not query.is_steps_back(target):
        raise UsageError(
            f"{command} {target!r}",
            "it is an option, not a release",
            f"show the options: invoke --help {command}",
        )
    return target


def chosen_environment(cmd: CommandContext, workspace: Workspace) -> str | None:
    """The one that is named, or the only one there is; None where neither."""
    name = cmd.options.environment
    if name is None and len(workspace.service.environments) != 1:
        return None
    return choose(workspace.service, workspace.ledger, name)[0]


def chosen_environments(workspace: Workspace, named: str | None) -> list[str]:
    """The one that is named, or all of the service."""
    if named is None and workspace.service.environments:
        return list(workspace.service.environments)
    return [choose(workspace.service, workspace.ledger, named)[0]]
