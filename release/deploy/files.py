"""Files that a deployment puts into its containers: read today, recorded with their content, so restorable.

They are small texts, such as a service's configuration. What is large belongs into a volume or the image;
what is secret is a secret with `file`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from release.config import File
from release.errors import Problem
from release.runspec import RecordedFile
from release.suspicion import shape

LARGEST: Final = 64 * 1024
"""Bytes of one file: the ledger is fetched whole, and keeps each version for ever."""
LARGEST_TOGETHER: Final = 256 * 1024
"""Bytes of all files of one deployment."""


def read_files(
    sources: Mapping[str, File], *, root: Path, where: str
) -> tuple[dict[str, RecordedFile], list[Problem]]:
    """Read every file from where it comes from.

    Args:
        sources: by path in the container.
        root: the folder that relative paths start from.
        where: the path of these settings in the configuration, for problems.

    Returns:
        The files as they are recorded, and a problem for each one that cannot be.
    """
    files: dict[str, RecordedFile] = {}
    problems: list[Problem] = []
    for path, source in sources.items():
        found = _read(source, root)
        if isinstance(found, RecordedFile):
            files[path] = found
        else:
            problems.append(Problem(path=f"{where}.{path}", message=found))
    size = sum(len(file.content.encode()) for file in files.values())
    if size > LARGEST_TOGETHER:
        problems.append(
            Problem(path=where, message=f"{size} bytes together; a record keeps {LARGEST_TOGETHER}: {_ELSE}")
        )
    return files, problems


_ELSE: Final = "mount a volume, or make it part of the image"


def _read(source: File, root: Path) -> RecordedFile | str:
    """The file, or why it cannot be recorded."""
    path = root / Path(source.source).expanduser()
    try:
        size = path.stat().st_size
        if size > LARGEST:
            return f"{path} has {size} bytes; a record keeps {LARGEST} of a file: {_ELSE}"
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return f"{path} is not UTF-8 text: {_ELSE}"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    secret = None if source.not_secret else shape(content)
    if secret is not None:
        return (
            f"{path} looks like a secret (it holds {secret}), and files are recorded: make it a secret with "
            "`file`, or say `not_secret = true`"
        )
    return RecordedFile(
        content=content, sha256=hashlib.sha256(content.encode()).hexdigest(), mode=source.mode
    )
