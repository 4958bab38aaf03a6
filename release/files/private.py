"""Folders and files of one user: created with modes 0700 and 0600, and checked if they exist.

A folder that another user made, or may write to, can hold that user's programs and settings. Such a folder,
and a link in its place, is refused.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from release.errors import ReleaseError

_OTHERS: Final = 0o077
"""The bits of a mode that let other users in."""


HOME: Final = ".release"
"""The folder of this library in a service's repository: logs, tools, nothing that cannot be made again."""


def ensure_temporary_folder(folder: Path) -> Path:
    """Create a folder for this user alone, or accept an earlier one with mode 0700.

    For folders in a place where all users can write. A folder with another mode may have foreign content.

    Raises:
        ReleaseError: the folder is a link, belongs to another user, or has another mode.
        OSError: the folder cannot be created.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    wrong = _not_ours(found)
    if not wrong and found.st_mode & _OTHERS:
        wrong = f"other users may use it (mode {stat.S_IMODE(found.st_mode):04o})"
    if wrong:
        raise ReleaseError(
            f"use the temporary folder {folder}",
            wrong,
            f"show its owner: ls -ld {folder}; then remove it, or set TMPDIR to a folder of your own",
        )
    return folder


def ensure_owned_folder(folder: Path) -> Path:
    """Create a folder of this user with mode 0700, or set this mode for an existing folder.

    Raises:
        ReleaseError: the folder is a link, or belongs to another user.
        OSError: the folder cannot be created, or its mode cannot be changed.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if wrong := _not_ours(found):
        raise ReleaseError(
            f"use the folder {folder}",
            wrong,
            f"show its owner: ls -ld {folder}; then remove it, or run: sudo chown -R $(id -u) {folder}",
        )
    if found.st_mode & _OTHERS:
        folder.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
        _tighten(folder)
    return folder


def ensure_owned_subfolder(home: Path, *names: str) -> Path:
    """Return the folder `home/names...`; `ensure_owned_folder` creates or checks each part."""
    folder = ensure_owned_folder(home)
    for name in names:
        folder = ensure_owned_folder(folder / name)
    return folder


def opener(path: str, flags: int) -> int:
    """Open a file with access for this user only, for `open(..., opener=opener)`.

    Raise OSError, also for a link.
    """
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def create_file(path: Path) -> BinaryIO:
    """Open an empty file that only this user can read. Raise OSError."""
    return open(path, "wb", opener=opener)


def open_for_append(path: Path) -> TextIO:
    """Open a text file that only this user can read, to append text. Raise OSError."""
    return open(path, "a", encoding="utf-8", errors="backslashreplace", opener=opener)


def write(path: Path, content: str | bytes) -> None:
    """Replace a file in one step; only this user can read the new one. Raise OSError.

    A reader sees the old file or the new one.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    data = content.encode() if isinstance(content, str) else content
    try:
        with create_file(fresh) as stream:
            stream.write(data)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _not_ours(found: os.stat_result) -> str:
    """Return why this is not a folder of this user; an empty text for one that is. Raises OSError: a file."""
    if stat.S_ISLNK(found.st_mode):
        return "it is a link"
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if found.st_uid != os.geteuid():
        return f"it belongs to another user (uid {found.st_uid})"
    return ""


def _tighten(folder: Path) -> None:
    """Remove access of other users from all files of an earlier version; skip files of other users.

    A file with several hard links is not changed, because it may belong to another folder.
    """
    for path in _all_below(folder):
        with suppress(OSError):
            found = path.lstat()
            single = stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1)
            if single and found.st_uid == os.geteuid() and found.st_mode & _OTHERS:
                path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)


def _all_below(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        yield from (Path(root, name) for name in (*folders, *files))
