"""requirements.txt: compiled from a source, or a lockfile by itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from release.chain.lockgate import plain
from release.chain.lockgate.checking import Checking
from release.chain.lockgate.compiled import advice, compile_commands, read_compiled, resolved_python
from release.chain.lockgate.entries import read_entries, unreadable
from release.chain.lockgate.outside import not_committed, outside_words, read_files
from release.chain.lockgate.pins import comparable, describe_difference, packages_of, pins
from release.chain.lockgate.results import Answer, Fresh, Stale, Unchecked, unreached
from release.chain.lockgate.uv import uv_program
from release.chain.pythons import NO_DOWNLOADS
from release.inherited import PACKAGES
from release.process import Command
from release.values import replace

THIS_PYTHON: Final[Mapping[str, str]] = NO_DOWNLOADS | {"UV_PYTHON": sys.executable}
"""Variables for uv: use the running Python to resolve for any Python, and download none."""


def check(found: Checking) -> Answer:
    """Check by a new compilation if there is a source, else by the entries themselves."""
    sources = sources_of(found)
    if isinstance(sources, Unchecked):
        return sources
    if sources:
        own = read_entries(found.path, lambda name: found.content.encode() if name == found.path else b"")
        refused = unreadable(own) or not_committed(found, found.path, own) or _outside(found, sources)
        return refused or _compiled(found, sources)
    answer = plain.check(found)
    named = read_compiled(found.content).sources
    if not named or not isinstance(answer, Fresh):
        return answer
    return replace(answer, remark=_without(found.path, named))


def _outside(found: Checking, sources: tuple[str, ...]) -> Unchecked | None:
    """Return the answer for sources or header options that name uncommitted files; None if there are none."""
    made = read_compiled(found.content)
    refused = outside_words((*made.options, *sources))
    for source in sources:
        if refused is None and Path(source).suffix in (".in", ".txt"):
            try:
                refused = not_committed(found, source, read_files(found, source))
            except ValueError as error:
                refused = Unchecked(reason=f"{source} is not UTF-8: {error}", hint="write it in UTF-8")
    return refused


def _without(path: str, named: tuple[str, ...]) -> str:
    return (
        f"{path} was compiled from {', '.join(named)}, which is not committed. It was checked by itself: "
        "commit the source, or set lock.source"
    )


def sources_of(found: Checking) -> tuple[str, ...] | Unchecked:
    """Return the source files: from `lock.source`, the header, or the `.in` file of the same name."""
    named = read_compiled(found.content).sources
    inside = all(not Path(name).is_absolute() and ".." not in Path(name).parts for name in named)
    if found.config.source is None and named and inside and all(map(found.has, named)):
        return named
    source = found.config.source or str(Path(found.path).with_suffix(".in"))
    if found.has(source):
        return (source,)
    if found.config.source is None:
        return ()
    return Unchecked(
        reason=f"lock.source is {source}, and the commit has no such file",
        hint=f"commit {source}, or change `lock.source`",
    )


def _compiled(found: Checking, sources: tuple[str, ...]) -> Answer:
    """Compile again from the current pins: pins that satisfy the source stay."""
    uv = uv_program(found)
    if isinstance(uv, Unchecked):
        return uv
    made = read_compiled(found.content)
    commands = compile_commands(
        uv, found.content, sources, found.path, python=found.config.python, image=found.image
    )
    python = found.config.python or resolved_python(made, found.image)
    command = advice(found.content, commands[0], python=python)
    before, differences = comparable(found.content, made), []
    for argv in commands:
        content = _recompiled(found, argv, sources, command)
        if isinstance(content, Unchecked):
            return content
        after = comparable(content, made, beside=found.content)
        if before == after:
            return Fresh(packages=packages_of(pins(found.content)))
        differences.append(describe_difference(before, after))
    other = f" with Python {python}" if made.by_pip and python != made.python else ""
    return Stale(differences=(differences[0],), mend=f"run `{command}`{other} and commit the result")


def _recompiled(
    found: Checking, argv: tuple[str, ...], sources: tuple[str, ...], again: str
) -> str | Unchecked:
    """Return the new file. `again` is the command for people that compiles it."""
    file = found.folder / found.path
    file.write_text(found.content, encoding="utf-8")
    inherits = (*PACKAGES, *found.config.pass_env)
    done = found.execute(Command(argv=argv, cwd=found.folder, env=THIS_PYTHON, inherits=inherits))
    if done.status == 0:
        return file.read_text(encoding="utf-8")
    return unreached(f"{', '.join(sources)} could not be compiled", done, again)
