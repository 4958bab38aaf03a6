"""Secrets are read where they come from, when they are needed, and shown to nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from release.config import Secret
from release.errors import Cancelled, ReleaseError
from release.frozen import Struct
from release.inherited import EVERYTHING
from release.process import Cancellation, Command, Completed, run
from release.redact import Redacted


class Unresolved(Struct, frozen=True, kw_only=True):
    """A secret that could not be read: its name, and why, without a trace of any value."""

    name: str
    reason: str


def _unheard(_text: str) -> None:
    """Nobody is told."""


def resolve(
    sources: Mapping[str, Secret],
    *,
    root: Path,
    environ: Mapping[str, str],
    tell: Callable[[str], None] = _unheard,
) -> tuple[dict[str, Redacted], tuple[Unresolved, ...]]:
    """Read every secret from where it comes from.

    Args:
        sources: by variable name.
        root: the folder that relative files and commands start from.
        environ: the operator's environment.
        tell: called with a phrase before a command is run, which may take its time.

    Returns:
        The values by name, and every one that could not be read.
    """
    values: dict[str, Redacted] = {}
    missing: list[Unresolved] = []
    for name, source in sources.items():
        if source.from_command is not None:
            tell(f"reading the secret {name} from `{source.from_command[0]}`")
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
    return _of_command(name, source, root)


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


def _of_command(name: str, source: Secret, root: Path) -> Redacted | Unresolved:
    """Only the first word and the status are named: what such a program writes may hold the value."""
    words = source.from_command or ()
    try:
        ended = _ran(Command(argv=words, cwd=root, inherits=EVERYTHING), source.timeout)
    except Cancelled as error:
        return Unresolved(name=name, reason=f"the command `{words[0]}` {error.found}")
    except ReleaseError as error:
        return Unresolved(name=name, reason=f"the command `{words[0]}` cannot be run: {error.found}")
    value = ended.output.removesuffix("\n").removesuffix("\r")
    if ended.status != 0 or not value:
        found = (
            f"ended with status {ended.status}" if ended.status else "wrote nothing to its standard output"
        )
        return Unresolved(name=name, reason=f"the command `{words[0]}` {found}")
    return Redacted(value)


def _ran(command: Command, timeout: int) -> Completed:
    """It has no terminal: a question would stand between the lines that are shown, and in CI for ever.

    Raises Cancelled: it did not end in time, and was stopped with its children.
    """
    patience = Cancellation()
    late = f"did not end within {timeout / 1000:g} s: it has no terminal to ask on, so unlock it before"
    clock = threading.Timer(timeout / 1000, patience.request, (late,))
    clock.daemon = True
    clock.start()
    try:
        return run(command, check=False, stderr="inherit", cancellation=patience)
    finally:
        clock.cancel()
