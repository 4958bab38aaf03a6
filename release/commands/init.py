"""`invoke init`: show, then write the files that releases need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from release.commands.command_line import CommandContext, require_confirmation
from release.events import Notice, Warned
from release.git.source import Source

if TYPE_CHECKING:
    from release.init.plan import SetUp


def init(cmd: CommandContext) -> int:
    """Set up this repository, and return the exit code.

    The exit code is 1 if a requirement of a release is missing. With `--check`, the exit code is also 1 if
    a file would be written.
    """
    from release.init.writing import write_changes

    source = Source.open(Path.cwd())
    try:
        found = _plan_for_repository(cmd, source)
    finally:
        source.close()
    if cmd.options.json:
        cmd.console.print_json(_set_up_to_json(found))
    else:
        _show_set_up(cmd, found)
    if cmd.options.check:
        return 1 if found.changes or found.missing else 0
    if found.changes:
        files = "file" if len(found.changes) == 1 else "files"
        require_confirmation(cmd, f"write {len(found.changes)} {files} below {source.root}")
        write_changes(source.root, found.changes)
    _print_next_steps(cmd, found)
    return 1 if found.missing else 0


def _plan_for_repository(cmd: CommandContext, source: Source) -> SetUp:
    from release.commands.options import COMMANDS
    from release.init.facts import read_facts
    from release.init.plan import plan_set_up

    facts = read_facts(source, taken_from=cmd.options.from_, service=cmd.options.service)
    usual = source.git.run("symbolic-ref", "--short", "refs/remotes/origin/HEAD").text.removeprefix("origin/")
    branch = usual or source.git.run("symbolic-ref", "--short", "HEAD").text or "main"
    tasks = frozenset(name.replace("_", "-") for name in (*COMMANDS, "explain"))
    return plan_set_up(facts, tasks=tasks, branch=branch)


def _show_set_up(cmd: CommandContext, found: SetUp) -> None:
    """Print facts, differences and remaining steps to standard error."""
    cmd.console.print_fields(f"set up {found.service}", found.facts)
    if not cmd.options.check:
        for change in found.changes:
            cmd.console.print_diff(change.difference)
    else:
        rows = [(change.path, f"{_change_verb(change.before)}: {change.reason}") for change in found.changes]
        cmd.console.print_sheet(
            "missing", [*rows, *(("-", text) for text in found.missing)] or [("-", "nothing")]
        )
    for text in found.advice:
        cmd.console.emit(Notice(text=text))
    for text in found.missing if not cmd.options.check else ():
        cmd.console.emit(Warned(text=f"missing: {text}"))


def _change_verb(before: str | None) -> str:
    return "write it" if before is None else "change it"


def _print_next_steps(cmd: CommandContext, found: SetUp) -> None:
    if not found.changes and not found.missing:
        cmd.console.emit(Notice(text="everything is set up; nothing was changed"))
    elif not found.missing:
        cmd.console.emit(
            Notice(text='next: git add . && git commit -m "feat: release with nox" && nox -s release')
        )


def _set_up_to_json(found: SetUp) -> dict[str, object]:
    changes = [
        {"path": each.path, "new": each.before is None, "reason": each.reason, "diff": each.difference}
        for each in found.changes
    ]
    return {
        "service": found.service,
        "facts": dict(found.facts),
        "changes": changes,
        "missing": list(found.missing),
        "advice": list(found.advice),
    }
