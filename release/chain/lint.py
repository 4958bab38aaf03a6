"""The gate that runs the configured linters, in exact versions, on the committed tree."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from release.chain.context import write_folder
from release.chain.passes import Pass, Reuse
from release.chain.reports import machine_readable, ruff_findings
from release.chain.shop import HOME, Shop, evidence
from release.errors import CommandFailed, GateFailed
from release.events import Found, Warned
from release.frozen import Struct
from release.process import Command, run


class LintPassed(Struct, frozen=True, kw_only=True):
    """Every command ended with status 0."""

    evidence: bytes
    summary: str


def lint(shop: Shop) -> LintPassed:
    """Run the commands in `context` of the committed tree. Raises GateFailed at the first that fails."""
    config = shop.plan.service.lint
    if not config.commands:
        shop.emit(Warned(text="no lint commands are configured: [tool.release.lint] commands = [...]"))
    tools = tool_environment(shop) if config.tools else None
    with shop.folder.staged("lint") as tree:
        write_folder(shop.source.entries(shop.plan.commit.id, "."), tree)
        for command in config.commands:
            _run(shop, lint_command(command, cwd=tree / shop.plan.service.context, tools=tools), tree)
    ran = {"tools": config.tools, "commands": config.commands, "tree": shop.plan.commit.tree}
    return LintPassed(evidence=evidence("lint", ran), summary=", ".join(config.tools) or "no tools")


def _inputs(shop: Shop) -> dict[str, Any]:
    """The whole committed tree, the commands, and their programs: by version, or by their file."""
    service = shop.plan.service
    return {
        "files": shop.plan.commit.tree,
        "context": service.context,
        "settings": service.lint.model_dump(mode="json"),
        "python": sys.version,
        "programs": [_program(shlex.split(command)[0]) for command in service.lint.commands],
    }


def _program(name: str) -> list[str | int] | None:
    """What tells a program on the path from another one of its name."""
    path = shutil.which(name)
    if path is None:
        return None
    about = Path(path).stat()
    return [path, about.st_size, about.st_mtime_ns]


def _restore(_shop: Shop, passed: Pass) -> LintPassed:
    return LintPassed(evidence=passed.evidence, summary=passed.summary)


LINT_REUSE: Final = Reuse(inputs=_inputs, keep=lambda _shop, _made: {}, restore=_restore)


def lint_command(line: str, *, cwd: Path, tools: Path | None) -> Command:
    """The command line of one linter, with the tools' folder first on the path."""
    path = os.environ.get("PATH", os.defpath)
    return Command(
        argv=tuple(shlex.split(line)), cwd=cwd, env={"PATH": f"{tools}{os.pathsep}{path}" if tools else path}
    )


def _run(shop: Shop, command: Command, tree: Path) -> None:
    program = shutil.which(command.argv[0], path=command.env["PATH"])
    if program is None:
        raise GateFailed(
            "lint", f"`{command.argv[0]}` is not installed", "name it in `lint.tools`, with its exact version"
        )
    resolved = Command(argv=(program, *command.argv[1:]), cwd=command.cwd, env=command.env)
    try:
        shop.execute("lint", resolved)
    except CommandFailed as error:
        line = shlex.join(command.argv)
        _tell_findings(shop, resolved, tree)
        raise GateFailed(
            "lint", f"`{line}` ended with status {error.status}", f"run `{line}`", error.tail
        ) from error


def _tell_findings(shop: Shop, command: Command, tree: Path) -> None:
    """What a failed `ruff check` found, file by file: the same command again, asked for JSON."""
    argv = machine_readable(command.argv)
    if argv is None:
        return
    again = Command(argv=argv, cwd=command.cwd, env=command.env)
    ran = run(again, cancellation=shop.cancellation, check=False)
    if findings := ruff_findings(ran.output, tree.resolve()):
        shop.emit(Found(name="lint", findings=findings))


def tool_environment(shop: Shop) -> Path:
    """The folder with the tools' programs; made once for each set of exact versions.

    It is made beside its place and then renamed, so that one that exists is complete.
    """
    tools = sorted(shop.plan.service.lint.tools)
    key = hashlib.sha256("\n".join([sys.version, *tools]).encode()).hexdigest()[:16]
    place = shop.source.root / HOME / "tools" / key
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f"{key}-{shop.folder.id}-") as folder:
            fresh = Path(folder) / "venv"
            _install(shop, fresh, tools)
            _rename(fresh, place)
    return place / "bin"


def _install(shop: Shop, folder: Path, tools: list[str]) -> None:
    uv = find_uv()
    python = str(folder / "bin" / "python")
    commands = [
        (uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(folder)),
        (uv, "pip", "install", "--python", python, *tools),
    ]
    try:
        for argv in commands:
            shop.execute("lint", Command(argv=argv))
    except CommandFailed as error:
        hint = "is the package index reachable, and do these versions exist?"
        raise GateFailed("lint", f"{', '.join(tools)} could not be installed", hint, error.tail) from error


def _rename(fresh: Path, place: Path) -> None:
    try:
        fresh.rename(place)
    except OSError:
        if not place.exists():  # another run made it at the same time: that one is as good
            raise


def find_uv() -> str:
    """The `uv` program that is installed with this library."""
    from uv import find_uv_bin

    return os.fspath(find_uv_bin())
