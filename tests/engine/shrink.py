"""Runs in a build stage of the tests' small base: copies of it what the tests' services and their builds use.

The standard library without its largest parts, pip, a shell and a few programs, and the shared libraries of
all of these: less than half of the bytes to hash, send and read back in every test.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

TO = Path("/small")
PROGRAMS = (
    *("sh", "base64", "cat", "chmod", "cp", "cut", "date", "echo", "env", "false", "find", "getent", "grep"),
    *("head", "id", "ldconfig", "ls", "mkdir", "mv", "rm", "sed", "sleep", "stat", "test", "touch"),
    *("true", "wc", "python", "python3", "pip", "pip3"),
)
LEFT_OUT = {"test", "tests", "idlelib", "ensurepip", "lib2to3", "tkinter", "turtledemo", "pydoc_data"}
OPENED_LATE = "libgcc_s.so.1"
"""What a program opens when its first thread ends (pthread_exit(3)): nothing is linked with it."""
LIBRARY = re.compile(r"(/\S+) \(0x")


def keep(path: Path) -> None:
    """Copy a file; of a link, the link and what it leads to."""
    place = TO / path.parent.resolve().relative_to("/") / path.name
    place.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(place):
        shutil.copy2(path, place, follow_symlinks=False)
    if path.is_symlink():
        keep(path.parent / path.readlink())


def keep_link(path: Path) -> None:
    """Copy a link alone, as /bin where it leads to /usr/bin."""
    (TO / path.name).symlink_to(path.readlink())


def libraries(program: Path) -> Iterator[Path]:
    """The shared libraries that it is linked with (ldd(1)); none for a script."""
    told = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    return (Path(found) for found in LIBRARY.findall(told))


def left_out(folder: str, names: list[str]) -> set[str]:
    """Tests and tools; and pip's byte-code, which is needed once at most."""
    return (LEFT_OUT | ({"__pycache__"} if "site-packages" in folder else set())) & set(names)


def keep_all(folder: Path) -> None:
    """Copy what is below a folder."""
    if folder.is_dir():
        to = TO / folder.resolve().relative_to("/")
        shutil.copytree(folder, to, symlinks=True, dirs_exist_ok=True, ignore=left_out)


def main() -> None:
    """Fill the folder."""
    for name in ("tmp", "var/tmp", "root", "run", "home", "usr/bin", "usr/sbin", "usr/lib64"):
        (TO / name).mkdir(parents=True, exist_ok=True)
    for link in (path for path in Path("/").iterdir() if path.is_symlink()):
        keep_link(link)
    for folder in ("/etc", sys.prefix, *(each for each in sys.path[1:] if not each.endswith(".zip"))):
        keep_all(Path(folder))
    programs = [Path(found) for name in PROGRAMS if (found := shutil.which(name))]
    late = [path for folder in ("/lib", "/usr/lib") for path in Path(folder).glob(f"*/{OPENED_LATE}")]
    modules = [path for folder in sys.path[1:] for path in Path(folder).glob("*.so")]
    linked = [library for each in (*programs, *modules) for library in libraries(each)]
    for path in (*programs, *late, *linked):
        keep(path)
    (TO / "tmp").chmod(0o1777)


if __name__ == "__main__":
    main()
