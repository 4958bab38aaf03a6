"""Reader for untrusted files: regular files only, of a limited size."""

from __future__ import annotations

import os
import stat
from pathlib import Path

SECRET: int = 1024 * 1024
"""Bytes of a secret that is read from a file."""

CREDENTIALS: int = 4 * 1024 * 1024
"""Bytes of Docker's config.json."""


def read_regular(path: Path, most: int, *, follow: bool = True) -> bytes:
    """Return the content of a regular file of at most `most` bytes.

    The file is opened without waiting, so that a pipe or a device does not block.

    Args:
        path: the file.
        most: bytes.
        follow: whether the last part of the path may be a link.

    Raises:
        OSError: the file cannot be opened or read.
        ValueError: the file is not regular, or too large; a sentence without the path.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    with os.fdopen(os.open(path, flags), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ValueError(
                f"it is {_KINDS.get(stat.S_IFMT(about.st_mode), 'something else')}, not a regular file"
            )
        if about.st_size > most:
            raise ValueError(f"it has {about.st_size} bytes; the limit is {most}")
        content = file.read(most + 1)  # a file of /proc says that it is empty
    if len(content) > most:
        raise ValueError(f"the file has more than {most} bytes")
    return content


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
