"""The gate `lint`: run the configured linters, in exact versions, on the committed tree."""

from __future__ import annotations

import hashlib
import platform
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from release.chain.building.context import write_folder
from release.chain.findings import JudgedFindings
from release.chain.linting.commands import LintEnvironment, combine_errors, run_lint_commands
from release.chain.linting.default import DEFAULT_LINT, is_default_lint
from release.chain.linting.dockerfile import lint_dockerfile
from release.chain.linting.python import LintPython, find_lint_python, wanted_lint_python
from release.chain.stage_cache import CachedResult, ReusePolicy
from release.chain.stage_context import StageContext, evidence_bytes
from release.chain.tools import Toolset, install_tool_environment
from release.config import Lint
from release.errors import GateFailed
from release.events import Notice, Warned
from release.git.commit_files import Committed
from release.programs.environment import inherited_variables
from release.values import Struct

_OFF: Final = "lint.commands = [] switches it off"
_DEFAULT: Final = (
    f"`{DEFAULT_LINT.commands[0]}` runs with {DEFAULT_LINT.tools[0]}, because the configuration has no "
    f"`lint` table: {_OFF}"
)
_SHOWN: Final = 5
"""Most links in a message."""


class LintPassed(Struct, frozen=True, kw_only=True):
    """Result of the gate: every command ended with status 0."""

    evidence: bytes
    summary: str
    findings: tuple[str, ...] = ()
    """Findings in the Dockerfile that did not stop the release."""
    waivers: Mapping[str, str] = {}


def lint(ctx: StageContext) -> LintPassed:
    """Run the commands in `context` of the committed tree. Raises GateFailed with all findings."""
    config = ctx.plan.service.lint
    if not config.commands:
        ctx.emit(Warned(text="no lint commands are configured: set `lint.commands`"))
    if is_default_lint(config):
        ctx.emit(Notice(text=_DEFAULT))
    python = find_lint_python(ctx) if config.tools and config.commands else None
    tools = _install_lint_tools(ctx, python) if python is not None else None
    hint = python.hint if python is not None else ""
    with ctx.run_folder.temporary_folder("lint") as tree:
        if config.commands or config.dockerfile.hadolint is not None:
            _write_tree(ctx, tree)
        errors = [*run_lint_commands(ctx, LintEnvironment(tree=tree, tools=tools, hint=hint))]
        judged = _lint_dockerfile_too(ctx, tree, errors)
    if errors:
        raise combine_errors(errors, hint)
    ran = {"tools": config.tools, "commands": config.commands, "tree": ctx.plan.commit.tree}
    used = [*config.tools, *([config.dockerfile.hadolint] if config.dockerfile.hadolint else [])]
    return LintPassed(
        evidence=evidence_bytes("lint", ran | ({"dockerfile": judged.open} if judged.open else {})),
        summary=", ".join(used) or "no tools",
        findings=judged.open,
        waivers=judged.waivers,
    )


def _install_lint_tools(ctx: StageContext, python: LintPython) -> Path:
    """Return the folder of the tools' programs. Raises GateFailed."""
    config = ctx.plan.service.lint
    try:
        return install_tool_environment(ctx, python.path, lint_toolset(config))
    except GateFailed as error:
        if not is_default_lint(config):
            raise
        raise GateFailed("lint", error.found, f"{error.hint}; or {_OFF}", error.tail) from error


def _lint_dockerfile_too(ctx: StageContext, tree: Path, errors: list[GateFailed]) -> JudgedFindings:
    """Check the Dockerfile, even if commands failed; add its error to theirs."""
    try:
        return lint_dockerfile(ctx, tree)
    except GateFailed as error:
        errors.append(error)
        return JudgedFindings()


def _write_tree(ctx: StageContext, tree: Path) -> None:
    """Write the committed files without links to files of this machine, which tools would read."""
    committed = Committed(ctx.source, ctx.plan.commit.id, ".")
    write_folder(committed.safe(), tree)
    if committed.astray:
        links = list(committed.astray)
        shown = ", ".join(links[:_SHOWN]) + (", …" if len(links) > _SHOWN else "")
        text = f"the lint tools do not see links that lead out of the repository: {shown}"
        ctx.emit(Notice(text=text))


def lint_toolset(config: Lint) -> Toolset:
    """Return the configured tools."""
    return Toolset(stage="lint", requirements=config.tools, pass_env=config.pass_env)


def _lint_inputs(ctx: StageContext) -> dict[str, Any]:
    """Return the committed tree, the commands, and their programs: by version, or by file."""
    service = ctx.plan.service
    return {
        "files": ctx.plan.commit.tree,
        "context": service.context,
        "settings": service.lint.model_dump(mode="json"),
        "python": [sys.version, wanted_lint_python(ctx)],
        "environment": inherited_variables(service.lint.pass_env),
        "programs": [_identify_program(shlex.split(command)[0]) for command in service.lint.commands],
    }


def _portable_inputs(ctx: StageContext) -> dict[str, Any] | None:
    """Return the inputs with programs by content; None if variables of this machine matter."""
    if ctx.plan.service.lint.pass_env:
        return None
    programs = [shlex.split(command)[0] for command in ctx.plan.service.lint.commands]
    found = [shutil.which(name) for name in programs]
    contents = [hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else None for path in found]
    python = [platform.python_version(), wanted_lint_python(ctx)]
    return {**_lint_inputs(ctx), "python": python, "environment": {}, "programs": contents}


def _identify_program(name: str) -> list[str | int] | None:
    """Return facts by which another version of a program on the PATH is noticed."""
    path = shutil.which(name)
    if path is None:
        return None
    about = Path(path).stat()
    return [path, about.st_size, about.st_mtime_ns]


def _to_cache_data(_ctx: StageContext, made: LintPassed) -> dict[str, Any]:
    return {"findings": list(made.findings), "waivers": dict(made.waivers)}


def _restore_from_cache(_ctx: StageContext, passed: CachedResult) -> LintPassed | None:
    """Return the cached result; None for a result with findings, so that they are shown again."""
    if passed.data["findings"]:
        return None
    waivers = dict(passed.data["waivers"])
    return LintPassed(evidence=passed.evidence, summary=passed.summary, waivers=waivers)


LINT_REUSE: Final = ReusePolicy(
    inputs=_lint_inputs, portable_inputs=_portable_inputs, to_data=_to_cache_data, restore=_restore_from_cache
)
