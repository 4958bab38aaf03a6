"""Run the configured lint commands at the same time, and report all findings."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from release.chain.reports import parse_ruff_findings, ruff_command_with_json
from release.chain.stage_context import StageContext
from release.config import Lint
from release.errors import CommandFailed, GateFailed
from release.events import Finding, Found
from release.programs.environment import BASIC
from release.programs.process import Command, run
from release.values import Struct, replace

_AT_ONCE: Final = 4
"""Most commands that run at the same time."""


class LintEnvironment(Struct, frozen=True, kw_only=True):
    """Folders and hint that all lint commands share."""

    tree: Path
    """The committed files."""
    tools: Path | None = None
    """Folder with the programs of `lint.tools`."""
    hint: str = ""
    """Sentence for a failed command."""


class _LintResult(Struct, frozen=True, kw_only=True):
    """End of one command: its error if it failed, and its findings."""

    error: GateFailed | None = None
    findings: tuple[Finding, ...] = ()


def lint_command(line: str, config: Lint, *, cwd: Path, tools: Path | None) -> Command:
    """Return the command of one linter, with the tools' folder first on the PATH.

    Python writes no byte-code, because that would break the seal of the tools' folder.
    """
    path = os.environ.get("PATH", os.defpath)
    return Command(
        argv=tuple(shlex.split(line)),
        cwd=cwd,
        env={"PATH": f"{tools}{os.pathsep}{path}" if tools else path, "PYTHONDONTWRITEBYTECODE": "1"},
        inherits=(*BASIC, *config.pass_env),
    )


def run_lint_commands(ctx: StageContext, shared: LintEnvironment) -> tuple[GateFailed, ...]:
    """Run all commands, even after a failure; return the errors in the configured order.

    Each of several commands has a separate log, `lint-1.log` and so on. `lint.log` contains all logs in the
    configured order.

    Raises:
        ReleaseError: a command could not be started, or the run was cancelled.
    """
    service = ctx.plan.service
    folder = shared.tree / service.context
    commands = [
        lint_command(line, service.lint, cwd=folder, tools=shared.tools) for line in service.lint.commands
    ]
    logs = [f"lint-{number}" for number, _ in enumerate(commands, 1)] if len(commands) > 1 else ["lint"]
    workers = _AT_ONCE if service.parallel else 1
    try:
        with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="lint") as pool:
            started = [
                pool.submit(_run_lint_command, ctx, command, log, shared)
                for command, log in zip(commands, logs, strict=False)
            ]
        ended = [each.result() for each in started]
    finally:
        _append_command_logs(ctx, logs)
    if findings := tuple(finding for each in ended for finding in each.findings):
        ctx.emit(Found(name="lint", findings=findings))
    return tuple(each.error for each in ended if each.error is not None)


def combine_errors(errors: Sequence[GateFailed], hint: str) -> GateFailed:
    """Return one error that contains several errors.

    Args:
        errors: at least one error, in the order of the result.
        hint: a sentence at the end of each error's hint, kept once in the result.
    """
    if len(errors) == 1:
        return errors[0]
    hints = dict.fromkeys(each.hint.removesuffix(hint) for each in errors)
    shared = hint if any(each.hint.endswith(hint) for each in errors) else ""
    return GateFailed(
        "lint",
        "; ".join(each.found for each in errors),
        "; ".join(hints) + shared,
        [line for each in errors for line in _tail_with_title(each)],
    )


def _tail_with_title(error: GateFailed) -> Iterator[str]:
    """Yield the last lines of one of several errors, below a title."""
    if error.tail:
        yield f"{error.found}:"
        yield from error.tail


def _append_command_logs(ctx: StageContext, logs: Sequence[str]) -> None:
    for name in logs:
        log = ctx.run_folder.existing_log_path(name)
        if name != "lint" and log is not None:
            with log.open(encoding="utf-8", errors="replace") as lines:
                ctx.write_log("lint", (line.removesuffix("\n") for line in lines))


def _run_lint_command(ctx: StageContext, command: Command, log: str, shared: LintEnvironment) -> _LintResult:
    program = shutil.which(command.argv[0], path=command.env["PATH"])
    if program is None:
        found = f"`{command.argv[0]}` is not installed"
        return _LintResult(error=GateFailed("lint", found, "add it to `lint.tools`, with its exact version"))
    resolved = replace(command, argv=(program, *command.argv[1:]))
    try:
        ctx.execute("lint", resolved, log=log)
    except CommandFailed as error:
        line = shlex.join(command.argv)
        found, hint = f"`{line}` ended with status {error.status}", f"run `{line}`{shared.hint}"
        failed = GateFailed("lint", found, hint, error.tail)
        failed.__cause__ = error
        return _LintResult(error=failed, findings=_ruff_findings_as_json(ctx, resolved, shared.tree))
    return _LintResult()


def _ruff_findings_as_json(ctx: StageContext, command: Command, tree: Path) -> tuple[Finding, ...]:
    """Return the findings of a failed `ruff check`, from a second run with JSON output."""
    argv = ruff_command_with_json(command.argv)
    if argv is None:
        return ()
    ran = run(replace(command, argv=argv), cancellation=ctx.cancellation, check=False)
    return parse_ruff_findings(ran.output, tree.resolve())
