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
from release.files.regular import read_regular
from release.runspec import RecordedFile
from release.secrets.detection import recognised_secret

LARGEST: Final = 64 * 1024
"""Bytes of one file: the ledger is fetched whole, and keeps each version for ever."""
LARGEST_TOGETHER: Final = 256 * 1024
"""Bytes of all files of one deployment."""


def read_files(
    sources: Mapping[str, File], *, root: Path, where: str
) -> tuple[dict[str, RecordedFile], list[Problem]]:
    """Return the contents of all files, from their sources.

    Args:
        sources: by path in the container.
        root: the folder that relative paths start from.
        where: the path of these settings in the configuration, for problems.

    Returns:
        The files as recorded, and a problem for each file that cannot be recorded.
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


_CREDENTIAL_STORES: Final = frozenset(
    {
        *(".git", ".ssh", ".gnupg", ".docker", ".aws", ".azure", ".kube", ".config", ".release"),
        *(
            ".netrc",
            "_netrc",
            ".pgpass",
            ".my.cnf",
            ".npmrc",
            ".pypirc",
            ".git-credentials",
            ".env",
            ".envrc",
        ),
    }
)
"""Names of folders and files in which programs keep logins."""


def _read(source: File, root: Path) -> RecordedFile | str:
    """Return the file, or why it cannot be recorded."""
    try:
        content = text_of(root, source.source, "make it a secret with `file`")
    except Unfit as error:
        return str(error)
    secret = None if source.not_secret else recognised_secret(content)
    if secret is not None:
        return (
            f"{root / source.source} looks like a secret (it holds {secret}), and files are recorded: make "
            "it a secret with `file`, or say `not_secret = true`"
        )
    return RecordedFile(
        content=content, sha256=hashlib.sha256(content.encode()).hexdigest(), mode=source.mode
    )


class Unfit(Exception):
    """A file that cannot be recorded, and why, in one sentence."""


def text_of(root: Path, source: str, instead: str) -> str:
    """Return the text of a file of the repository that may be recorded.

    Args:
        root: the folder that the path starts from.
        source: the path.
        instead: what to do with a file that usually holds logins.

    Raises:
        Unfit: the path leaves the repository, or the file holds logins, is unreadable, large or binary.
    """
    path = root / source
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(root.resolve()):
            found = (
                f"{path} leads out of the repository, to {real}: only files of the repository are recorded"
            )
            raise Unfit(found)
        inside = real.relative_to(root.resolve())
        if stores := _CREDENTIAL_STORES.intersection(part.lower() for part in inside.parts):
            raise Unfit(f"{path} is in {min(stores)}, which usually holds logins: {instead}")
        return read_regular(real, LARGEST, follow=False).decode("utf-8")
    except UnicodeDecodeError:
        raise Unfit(f"{path} is not UTF-8 text: {_ELSE}") from None
    except OSError as error:
        raise Unfit(f"{path} cannot be read: {error.strerror}") from error
    except RuntimeError:  # a circle of links, before Python 3.13
        raise Unfit(f"{path} cannot be read: its links lead in a circle") from None
    except ValueError as error:
        raise Unfit(f"{path} cannot be recorded: {error}: {_ELSE}") from error
