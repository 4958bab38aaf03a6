"""Reader of secrets from their sources."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from release.config import Secret
from release.errors import Cancelled, ReleaseError
from release.events import ignore_text
from release.files.regular import SECRET, read_regular
from release.programs.cancellation import Cancellation
from release.programs.environment import EVERYTHING
from release.programs.process import Command, Completed, run
from release.secrets.redact import Mask, Redacted
from release.values import Struct


class Unresolved(Struct, frozen=True, kw_only=True):
    """Name of a secret that could not be read, with the reason."""

    name: str
    reason: str


def resolve_secrets(
    sources: Mapping[str, Secret],
    *,
    root: Path,
    environ: Mapping[str, str],
    tell: Callable[[str], None] = ignore_text,
) -> tuple[dict[str, Redacted], tuple[Unresolved, ...]]:
    """Read all secrets from their sources.

    Args:
        sources: source of each secret by variable name.
        root: folder of relative paths and commands.
        environ: the operator's environment.
        tell: called with a text before a command runs, and then with its masked standard error.

    Returns:
        The values by name, and the secrets that could not be read.
    """
    values: dict[str, Redacted] = {}
    missing: list[Unresolved] = []
    for name, source in sources.items():
        if source.from_command is not None:
            value = _of_command(name, source, root, partial(_tell_masked, tell, tuple(values.values())))
        else:
            value = _read(name, source, root, environ)
        if isinstance(value, Unresolved):
            missing.append(value)
        else:
            values[name] = value
    return values, tuple(missing)


def _read(name: str, source: Secret, root: Path, environ: Mapping[str, str]) -> Redacted | Unresolved:
    if source.from_env is not None:
        return _of_variable(name, source.from_env, environ)
    return _of_file(name, root / Path(source.from_file or "").expanduser())


def _tell_masked(
    tell: Callable[[str], None], known: Sequence[Redacted], lines: Sequence[str], output: str = ""
) -> None:
    """Pass lines on with known secrets masked, and with the command's output masked, which is the secret."""
    mask = Mask([*known, Redacted(output)])
    for line in mask.lines(lines):
        tell(line)


def _of_variable(name: str, variable: str, environ: Mapping[str, str]) -> Redacted | Unresolved:
    value = environ.get(variable)
    if not value:
        return Unresolved(
            name=name, reason=f"the variable {variable} is {'not set' if value is None else 'empty'}"
        )
    return Redacted(value)


def _of_file(name: str, path: Path) -> Redacted | Unresolved:
    try:
        value = read_regular(path, SECRET).decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        return Unresolved(name=name, reason=f"the file {path} is not UTF-8 text")
    except ValueError as error:
        return Unresolved(name=name, reason=f"the file {path} cannot be read: {error}")
    except OSError as error:
        return Unresolved(name=name, reason=f"the file {path} cannot be read: {error.strerror}")
    return Redacted(value) if value else Unresolved(name=name, reason=f"the file {path} is empty")


def _of_command(name: str, source: Secret, root: Path, tell: Callable[..., None]) -> Redacted | Unresolved:
    """Return the value from the command's standard output.

    A reason holds the first word and the status alone, for what such a program writes may hold the value. Its
    standard error is told when it has ended: only then all that has to be masked in it is known.
    """
    words = source.from_command or ()
    tell([f"reading the secret {name} from `{words[0]}`"])
    output, complaints = list[str](), list[str]()
    try:
        asked = Command(argv=words, cwd=root, inherits=EVERYTHING)
        ended = _ran(asked, source.timeout, output.append, complaints)
    except Cancelled as error:
        return Unresolved(name=name, reason=f"the command `{words[0]}` {error.found}")
    except ReleaseError as error:
        return Unresolved(name=name, reason=f"the command `{words[0]}` cannot be run: {error.found}")
    finally:
        tell([f"`{words[0]}`: {line}" for line in complaints], "\n".join(output))
    value = ended.output.removesuffix("\n").removesuffix("\r")
    if ended.status != 0 or not value:
        found = (
            f"ended with status {ended.status}" if ended.status else "wrote nothing to its standard output"
        )
        return Unresolved(name=name, reason=f"the command `{words[0]}` {found}")
    return Redacted(value)


def _ran(command: Command, timeout: int, on_line: Callable[[str], None], complaints: list[str]) -> Completed:
    """Run the command without a terminal, so that it cannot ask a question.

    Raise Cancelled if the command did not end in time; it was stopped with its children.
    """
    patience = Cancellation()
    late = f"did not end within {timeout / 1000:g} s: it has no terminal for questions, so unlock it first"
    clock = threading.Timer(timeout / 1000, patience.request, (late,))
    clock.daemon = True
    clock.start()
    try:
        return run(command, check=False, apart=complaints, on_line=on_line, cancellation=patience)
    finally:
        clock.cancel()
