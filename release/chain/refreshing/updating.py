"""Update a lockfile with the tool that wrote it, in a throw-away copy of the committed files."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Final

from release.chain.lockgate import detect, pdm, pipenv, poetry
from release.chain.lockgate.checking import LockfileCopy, LockTool, choose_lock_tool
from release.chain.lockgate.compiled import compile_commands, parse_compile_header, recompile_command
from release.chain.lockgate.entries import parse_requirements_file
from release.chain.lockgate.plain import compile_advice
from release.chain.lockgate.pylock import HEADER
from release.chain.lockgate.requirements import THIS_PYTHON, find_sources
from release.chain.lockgate.results import Unchecked
from release.chain.lockgate.uv import find_allowed_interpreter, find_matching_uv
from release.chain.pythons import NO_DOWNLOADS
from release.programs.environment import PACKAGES
from release.programs.process import Command, Completed

_PIP_TOOLS: Final = "pip-tools>=7.4,<8"


class LockfileNotUpdated(Exception):
    """Raised if the tool did not update the lockfile."""

    def __init__(self, found: str, hint: str, tail: tuple[str, ...] = ()) -> None:
        """Keep the finding, the next step, and the last lines of the tool."""
        super().__init__(found, hint)
        self.found, self.hint, self.tail = found, hint, tail


def update_lockfile(lockfile: LockfileCopy, kind: str, packages: tuple[str, ...]) -> None:
    """Update all packages of a lockfile, or the named packages. Raises CannotUpdate."""
    if kind not in _UPDATES:
        raise LockfileNotUpdated(
            f"no command is known that updates a {kind}", "update it with its own tool, and commit it"
        )
    done = _UPDATES[kind](lockfile, packages)
    if isinstance(done, Unchecked):
        raise LockfileNotUpdated(done.reason, done.hint, done.tail)
    if done.status != 0:
        hint = "do what the last lines of the tool ask for, then run it again"
        raise LockfileNotUpdated(f"the tool ended with status {done.status}", hint, done.tail)


def _upgrade_options(packages: tuple[str, ...]) -> tuple[str, ...]:
    """Return the upgrade options of uv and pip-compile."""
    named = tuple(word for name in packages for word in ("--upgrade-package", name))
    return named or ("--upgrade",)


def _run_beside_lockfile(lockfile: LockfileCopy, argv: tuple[str, ...], env: Mapping[str, str]) -> Completed:
    inherits = (*PACKAGES, *lockfile.config.pass_env)
    where = (lockfile.folder / lockfile.path).parent
    return lockfile.execute(Command(argv=argv, cwd=where, env=env, inherits=inherits))


def _update_with_uv(lockfile: LockfileCopy, packages: tuple[str, ...]) -> Completed | Unchecked:
    program, interpreter = find_matching_uv(lockfile), find_allowed_interpreter(lockfile)
    if isinstance(program, Unchecked):
        return program
    env = {**NO_DOWNLOADS, **({"UV_PYTHON": str(interpreter)} if interpreter is not None else {})}
    return _run_beside_lockfile(lockfile, (program, "lock", *_upgrade_options(packages)), env)


def _update_with_poetry(lockfile: LockfileCopy, packages: tuple[str, ...]) -> Completed | Unchecked:
    words = ("update", "--lock", "--no-plugins", "--no-interaction", "--no-ansi", *packages)
    return lockfile.run_tool(poetry.matching_poetry(lockfile), words, {"POETRY_VIRTUALENVS_CREATE": "false"})


def _update_with_pdm(
    lockfile: LockfileCopy, packages: tuple[str, ...], env: Mapping[str, str] | None = None
) -> Completed | Unchecked:
    words = ("update", "--no-sync", "--skip=:all", *packages)
    tool = choose_lock_tool(lockfile.config, "pdm", pdm.NEWEST)
    return lockfile.run_tool(tool, words, {**pdm.QUIET, **(env or {})})


def _update_with_pipenv(lockfile: LockfileCopy, packages: tuple[str, ...]) -> Completed | Unchecked:
    words = ("upgrade", *packages) if packages else ("lock",)
    return lockfile.run_tool(choose_lock_tool(lockfile.config, "pipenv", pipenv.NEWEST), words, pipenv.QUIET)


def _update_pylock(lockfile: LockfileCopy, packages: tuple[str, ...]) -> Completed | Unchecked:
    if "[tool.pdm]" in lockfile.content:
        return _update_with_pdm(
            lockfile, packages, {"PDM_LOCK_FORMAT": "pylock", "PDM_LOCK__FORMAT": "pylock"}
        )
    header, program = HEADER.search(lockfile.content), find_matching_uv(lockfile)
    if isinstance(program, Unchecked):
        return program
    if header is None or not header["words"].startswith("pip "):
        reason = f"{lockfile.path} does not name the command that made it"
        return Unchecked(reason=reason, hint="update it with its own tool, and commit the result")
    return _run_beside_lockfile(
        lockfile, (program, *shlex.split(header["words"]), *_upgrade_options(packages)), THIS_PYTHON
    )


def _update_requirements(lockfile: LockfileCopy, packages: tuple[str, ...]) -> Completed | Unchecked:
    sources, program = find_sources(lockfile), find_matching_uv(lockfile)
    if isinstance(sources, Unchecked):
        return sources
    if isinstance(program, Unchecked):
        return program
    if not sources:
        entries = parse_requirements_file(
            lockfile.path, lambda name: lockfile.content.encode() if name == lockfile.path else None
        )
        reason = f"{lockfile.path} has no source that says which versions would do"
        return Unchecked(reason=reason, hint=compile_advice(lockfile, entries))
    made = parse_compile_header(lockfile.content)
    (first, *_) = compile_commands(
        program,
        lockfile.content,
        sources,
        lockfile.path,
        python=lockfile.config.python,
        image=lockfile.image_python,
    )
    words = shlex.split(recompile_command(lockfile.content, first, python=lockfile.config.python))
    if words[:1] == ["pip-compile"] and made.is_pip_compile:
        tool = lockfile.install(LockTool(program="pip-compile", requirement=_PIP_TOOLS))
        return (
            tool
            if isinstance(tool, Unchecked)
            else _run_in_service_folder(lockfile, (tool, *words[1:], *_upgrade_options(packages)))
        )
    if words[:1] != ["uv"]:
        words = [word for word in first if word != "--quiet"]
    return _run_in_service_folder(lockfile, (program, *words[1:], *_upgrade_options(packages)))


def _run_in_service_folder(lockfile: LockfileCopy, argv: tuple[str, ...]) -> Completed:
    """Run a compilation in the service's folder, where the gate runs it, so that paths match."""
    inherits = (*PACKAGES, *lockfile.config.pass_env)
    return lockfile.execute(Command(argv=argv, cwd=lockfile.folder, env=THIS_PYTHON, inherits=inherits))


_UPDATES: Final[Mapping[str, Callable[[LockfileCopy, tuple[str, ...]], Completed | Unchecked]]] = {
    detect.UV: _update_with_uv,
    detect.POETRY: _update_with_poetry,
    detect.PDM: _update_with_pdm,
    detect.PIPENV: _update_with_pipenv,
    detect.PYLOCK: _update_pylock,
    detect.REQUIREMENTS: _update_requirements,
}
