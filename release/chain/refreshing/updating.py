"""Update a lockfile with the tool that wrote it, in a throw-away copy of the committed files."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Final

from release.chain.lockgate import detect, pdm, pipenv, poetry
from release.chain.lockgate.checking import Checking, Tool, pinned_tool
from release.chain.lockgate.compiled import advice, compile_commands, read_compiled
from release.chain.lockgate.entries import read_entries
from release.chain.lockgate.plain import compile_advice
from release.chain.lockgate.pylock import HEADER
from release.chain.lockgate.requirements import THIS_PYTHON, sources_of
from release.chain.lockgate.results import Unchecked
from release.chain.lockgate.uv import interpreter_of, uv_program
from release.chain.pythons import NO_DOWNLOADS
from release.inherited import PACKAGES
from release.process import Command, Completed

_PIP_TOOLS: Final = "pip-tools>=7.4,<8"


class CannotUpdate(Exception):
    """Raised if the tool did not update the lockfile."""

    def __init__(self, found: str, hint: str, tail: tuple[str, ...] = ()) -> None:
        """Keep the finding, the next step, and the last lines of the tool."""
        super().__init__(found, hint)
        self.found, self.hint, self.tail = found, hint, tail


def update(found: Checking, kind: str, packages: tuple[str, ...]) -> None:
    """Update all packages of a lockfile, or the named packages. Raises CannotUpdate."""
    if kind not in _UPDATES:
        raise CannotUpdate(
            f"no command is known that updates a {kind}", "update it with its own tool, and commit it"
        )
    done = _UPDATES[kind](found, packages)
    if isinstance(done, Unchecked):
        raise CannotUpdate(done.reason, done.hint, done.tail)
    if done.status != 0:
        hint = "do what the last lines of the tool ask for, then run it again"
        raise CannotUpdate(f"the tool ended with status {done.status}", hint, done.tail)


def _options(packages: tuple[str, ...]) -> tuple[str, ...]:
    """Return the upgrade options of uv and pip-compile."""
    named = tuple(word for name in packages for word in ("--upgrade-package", name))
    return named or ("--upgrade",)


def _run(found: Checking, argv: tuple[str, ...], env: Mapping[str, str]) -> Completed:
    inherits = (*PACKAGES, *found.config.pass_env)
    where = (found.folder / found.path).parent
    return found.execute(Command(argv=argv, cwd=where, env=env, inherits=inherits))


def _uv(found: Checking, packages: tuple[str, ...]) -> Completed | Unchecked:
    program, interpreter = uv_program(found), interpreter_of(found)
    if isinstance(program, Unchecked):
        return program
    env = {**NO_DOWNLOADS, **({"UV_PYTHON": str(interpreter)} if interpreter is not None else {})}
    return _run(found, (program, "lock", *_options(packages)), env)


def _poetry(found: Checking, packages: tuple[str, ...]) -> Completed | Unchecked:
    words = ("update", "--lock", "--no-plugins", "--no-interaction", "--no-ansi", *packages)
    return found.ask(poetry.tool(found), words, {"POETRY_VIRTUALENVS_CREATE": "false"})


def _pdm(
    found: Checking, packages: tuple[str, ...], env: Mapping[str, str] | None = None
) -> Completed | Unchecked:
    words = ("update", "--no-sync", "--skip=:all", *packages)
    tool = pinned_tool(found.config, "pdm", pdm.NEWEST)
    return found.ask(tool, words, {**pdm.QUIET, **(env or {})})


def _pipenv(found: Checking, packages: tuple[str, ...]) -> Completed | Unchecked:
    words = ("upgrade", *packages) if packages else ("lock",)
    return found.ask(pinned_tool(found.config, "pipenv", pipenv.NEWEST), words, pipenv.QUIET)


def _pylock(found: Checking, packages: tuple[str, ...]) -> Completed | Unchecked:
    if "[tool.pdm]" in found.content:
        return _pdm(found, packages, {"PDM_LOCK_FORMAT": "pylock", "PDM_LOCK__FORMAT": "pylock"})
    header, program = HEADER.search(found.content), uv_program(found)
    if isinstance(program, Unchecked):
        return program
    if header is None or not header["words"].startswith("pip "):
        reason = f"{found.path} does not name the command that made it"
        return Unchecked(reason=reason, hint="update it with its own tool, and commit the result")
    return _run(found, (program, *shlex.split(header["words"]), *_options(packages)), THIS_PYTHON)


def _requirements(found: Checking, packages: tuple[str, ...]) -> Completed | Unchecked:
    sources, program = sources_of(found), uv_program(found)
    if isinstance(sources, Unchecked):
        return sources
    if isinstance(program, Unchecked):
        return program
    if not sources:
        entries = read_entries(
            found.path, lambda name: found.content.encode() if name == found.path else None
        )
        reason = f"{found.path} has no source that says which versions would do"
        return Unchecked(reason=reason, hint=compile_advice(found, entries))
    made = read_compiled(found.content)
    (first, *_) = compile_commands(
        program, found.content, sources, found.path, python=found.config.python, image=found.image
    )
    words = shlex.split(advice(found.content, first, python=found.config.python))
    if words[:1] == ["pip-compile"] and made.by_pip:
        tool = found.install(Tool(program="pip-compile", requirement=_PIP_TOOLS))
        return (
            tool
            if isinstance(tool, Unchecked)
            else _in_folder(found, (tool, *words[1:], *_options(packages)))
        )
    if words[:1] != ["uv"]:
        words = [word for word in first if word != "--quiet"]
    return _in_folder(found, (program, *words[1:], *_options(packages)))


def _in_folder(found: Checking, argv: tuple[str, ...]) -> Completed:
    """Run a compilation in the service's folder, where the gate runs it, so that paths match."""
    inherits = (*PACKAGES, *found.config.pass_env)
    return found.execute(Command(argv=argv, cwd=found.folder, env=THIS_PYTHON, inherits=inherits))


_UPDATES: Final[Mapping[str, Callable[[Checking, tuple[str, ...]], Completed | Unchecked]]] = {
    detect.UV: _uv,
    detect.POETRY: _poetry,
    detect.PDM: _pdm,
    detect.PIPENV: _pipenv,
    detect.PYLOCK: _pylock,
    detect.REQUIREMENTS: _requirements,
}
