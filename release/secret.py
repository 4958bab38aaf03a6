"""Secrets are read where they come from, when they are needed, and shown to nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from release.config import Secret
from release.errors import ReleaseError
from release.process import Command, run
from release.redact import Redacted


@dataclass(frozen=True, kw_only=True)
class Unresolved:
    """A secret that could not be read: its name, and why, without a trace of any value."""

    name: str
    reason: str


def resolve(
    sources: Mapping[str, Secret], *, root: Path, environ: Mapping[str, str]
) -> tuple[dict[str, Redacted], tuple[Unresolved, ...]]:
    """Read every secret from where it comes from.

    Args:
        sources: by variable name.
        root: the folder that relative files and commands start from.
        environ: the operator's environment.

    Returns:
        The values by name, and every one that could not be read.
    """
    values: dict[str, Redacted] = {}
    missing: list[Unresolved] = []
    for name, source in sources.items():
        value = _read(name, source, root, environ)
        if isinstance(value, Unresolved):
            missing.append(value)
        else:
            values[name] = value
    return values, tuple(missing)


def _read(name: str, source: Secret, root: Path, environ: Mapping[str, str]) -> Redacted | Unresolved:
    if source.from_env is not None:
        return _of_variable(name, source.from_env, environ)
    if source.from_file is not None:
        return _of_file(name, root / Path(source.from_file).expanduser())
    return _of_command(name, source.from_command or (), root)


def _of_variable(name: str, variable: str, environ: Mapping[str, str]) -> Redacted | Unresolved:
    value = environ.get(variable)
    if not value:
        return Unresolved(
            name=name, reason=f"the variable {variable} is {'not set' if value is None else 'empty'}"
        )
    return Redacted(value)


def _of_file(name: str, path: Path) -> Redacted | Unresolved:
    try:
        value = path.read_text(encoding="utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        return Unresolved(name=name, reason=f"the file {path} is not UTF-8 text")
    except OSError as error:
        return Unresolved(name=name, reason=f"the file {path} cannot be read: {error.strerror}")
    return Redacted(value) if value else Unresolved(name=name, reason=f"the file {path} is empty")


def _of_command(name: str, words: tuple[str, ...], root: Path) -> Redacted | Unresolved:
    """Only the first word and the status are named: what such a program writes may hold the value."""
    try:
        ended = run(Command(argv=words, cwd=root), check=False, stderr="inherit")
    except ReleaseError as error:
        return Unresolved(name=name, reason=f"the command `{words[0]}` cannot be run: {error.found}")
    value = ended.output.removesuffix("\n").removesuffix("\r")
    if ended.status != 0 or not value:
        found = (
            f"ended with status {ended.status}" if ended.status else "wrote nothing to its standard output"
        )
        return Unresolved(name=name, reason=f"the command `{words[0]}` {found}")
    return Redacted(value)
