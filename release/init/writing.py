"""Write the changes of a set-up; never overwrite a file that changed meanwhile."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from release.errors import ReleaseError
from release.init.plan import FileChange


def write_changes(root: Path, changes: Sequence[FileChange]) -> None:
    """Write all changes. Raise ReleaseError with the names of the files written until then."""
    done: list[str] = []
    for change in changes:
        try:
            _write_change(root, change)
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            written = f"; written are {', '.join(done)}" if done else "; nothing was written"
            hint = "correct that, then run init again: it goes on with what is missing"
            raise ReleaseError(f"write {change.path}", f"{said}{written}", hint) from error
        done.append(change.path)


def _write_change(root: Path, change: FileChange) -> None:
    path = root / change.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.parent.resolve().is_relative_to(root.resolve()) or path.is_symlink():
        raise ValueError("a link leads out of the repository, or is the file itself")
    if change.before is None:
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(change.after)
        return
    if path.read_bytes().decode("utf-8", "replace") != change.before:
        raise ValueError("the file changed while the question was open")
    beside = path.with_name(f".{path.name}.init-{os.getpid()}")
    try:
        beside.write_text(change.after, encoding="utf-8", newline="")
        beside.chmod(path.stat().st_mode & 0o777)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
