"""requirements.txt: compiled from a source, or a lockfile by itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from release.chain.lockgate import plain
from release.chain.lockgate.checking import LockfileCopy
from release.chain.lockgate.compiled import (
    compile_commands,
    parse_compile_header,
    python_to_resolve_for,
    recompile_command,
)
from release.chain.lockgate.entries import parse_requirements_file, refuse_unreadable_lines
from release.chain.lockgate.outside import (
    read_committed_requirements,
    refuse_machine_paths,
    refuse_uncommitted_files,
)
from release.chain.lockgate.pins import describe_pin_changes, normalized_pins, parse_pins, versions_by_name
from release.chain.lockgate.results import Answer, Fresh, Stale, Unchecked, tool_failure_answer
from release.chain.lockgate.uv import find_matching_uv
from release.chain.pythons import NO_DOWNLOADS
from release.programs.environment import PACKAGES
from release.programs.process import Command
from release.values import replace

THIS_PYTHON: Final[Mapping[str, str]] = NO_DOWNLOADS | {"UV_PYTHON": sys.executable}
"""Variables for uv: use the running Python to resolve for any Python, and download none."""


def check_requirements(lockfile: LockfileCopy) -> Answer:
    """Check by a new compilation if there is a source, else by the entries themselves."""
    sources = find_sources(lockfile)
    if isinstance(sources, Unchecked):
        return sources
    if sources:
        own = parse_requirements_file(
            lockfile.path, lambda name: lockfile.content.encode() if name == lockfile.path else b""
        )
        refused = (
            refuse_unreadable_lines(own)
            or refuse_uncommitted_files(lockfile, lockfile.path, own)
            or _refuse_uncommitted_sources(lockfile, sources)
        )
        return refused or _check_by_compiling(lockfile, sources)
    answer = plain.check_plain_requirements(lockfile)
    named = parse_compile_header(lockfile.content).sources
    if not named or not isinstance(answer, Fresh):
        return answer
    return replace(answer, remark=_missing_source_remark(lockfile.path, named))


def _refuse_uncommitted_sources(lockfile: LockfileCopy, sources: tuple[str, ...]) -> Unchecked | None:
    """Return the answer for sources or header options that name uncommitted files; None if there are none."""
    made = parse_compile_header(lockfile.content)
    refused = refuse_machine_paths((*made.options, *sources))
    for source in sources:
        if refused is None and Path(source).suffix in (".in", ".txt"):
            try:
                refused = refuse_uncommitted_files(
                    lockfile, source, read_committed_requirements(lockfile, source)
                )
            except ValueError as error:
                refused = Unchecked(reason=f"{source} is not UTF-8: {error}", hint="write it in UTF-8")
    return refused


def _missing_source_remark(path: str, named: tuple[str, ...]) -> str:
    return (
        f"{path} was compiled from {', '.join(named)}, which is not committed. It was checked by itself: "
        "commit the source, or set lock.source"
    )


def find_sources(lockfile: LockfileCopy) -> tuple[str, ...] | Unchecked:
    """Return the source files: from `lock.source`, the header, or the `.in` file of the same name."""
    named = parse_compile_header(lockfile.content).sources
    inside = all(not Path(name).is_absolute() and ".." not in Path(name).parts for name in named)
    if lockfile.config.source is None and named and inside and all(map(lockfile.has_file, named)):
        return named
    source = lockfile.config.source or str(Path(lockfile.path).with_suffix(".in"))
    if lockfile.has_file(source):
        return (source,)
    if lockfile.config.source is None:
        return ()
    return Unchecked(
        reason=f"lock.source is {source}, and the commit has no such file",
        hint=f"commit {source}, or change `lock.source`",
    )


def _check_by_compiling(lockfile: LockfileCopy, sources: tuple[str, ...]) -> Answer:
    """Compile again from the current pins: pins that satisfy the source stay."""
    uv = find_matching_uv(lockfile)
    if isinstance(uv, Unchecked):
        return uv
    made = parse_compile_header(lockfile.content)
    commands = compile_commands(
        uv,
        lockfile.content,
        sources,
        lockfile.path,
        python=lockfile.config.python,
        image=lockfile.image_python,
    )
    python = lockfile.config.python or python_to_resolve_for(made, lockfile.image_python)
    command = recompile_command(lockfile.content, commands[0], python=python)
    before, differences = normalized_pins(lockfile.content, made), []
    for argv in commands:
        content = _compile_again(lockfile, argv, sources, command)
        if isinstance(content, Unchecked):
            return content
        after = normalized_pins(content, made, beside=lockfile.content)
        if before == after:
            return Fresh(packages=versions_by_name(parse_pins(lockfile.content)))
        differences.append(describe_pin_changes(before, after))
    other = f" with Python {python}" if made.is_pip_compile and python != made.python else ""
    return Stale(differences=(differences[0],), next_step=f"run `{command}`{other} and commit the result")


def _compile_again(
    lockfile: LockfileCopy, argv: tuple[str, ...], sources: tuple[str, ...], again: str
) -> str | Unchecked:
    """Return the new file. `again` is the command for people that compiles it."""
    file = lockfile.folder / lockfile.path
    file.write_text(lockfile.content, encoding="utf-8")
    inherits = (*PACKAGES, *lockfile.config.pass_env)
    done = lockfile.execute(Command(argv=argv, cwd=lockfile.folder, env=THIS_PYTHON, inherits=inherits))
    if done.status == 0:
        return file.read_text(encoding="utf-8")
    return tool_failure_answer(f"{', '.join(sources)} could not be compiled", done, again)
