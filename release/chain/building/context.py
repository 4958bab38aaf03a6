"""Committed files on disk, the same on every machine.

Names, order, modes, owners and times are fixed here; the user's umask, time zone, clock and checkout have no
part in it. Archives: POSIX.1-1988 ustar with pax headers for long names (Python's `tarfile.PAX_FORMAT`).
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

from release.chain.plan import SOURCE_DATE_EPOCH
from release.errors import ReleaseError
from release.files import private
from release.git.source import Entry

_DEFAULT_RIGHTS: Final = "system.posix_acl_default"
"""Extended attribute with the default ACL of a folder (acl(5))."""


def write_archive(entries: Iterable[Entry], path: Path) -> None:
    """Write a tar archive of these files, sorted, each folder before its content."""
    with (
        private.create_file(path) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        seen: set[str] = set()
        for entry in entries:
            for folder in _new_parent_folders(entry.path, seen):
                archive.addfile(_create_tar_member(folder, tarfile.DIRTYPE, 0o755))
            _add_entry_to_archive(archive, entry)


def write_folder(entries: Iterable[Entry], folder: Path) -> None:
    """Write the committed files into a folder, for tools that read files."""
    for entry in entries:
        _write_entry(entry, folder / entry.path)


def write_fixed_folder(entries: Iterable[Entry], folder: Path, folders: Iterable[str]) -> None:
    """Write the files into a new folder, with fixed modes and times: a builder sees nothing of this machine.

    Args:
        entries: the files and links.
        folder: the folder to create.
        folders: paths of all folders below `folder`, empty ones included.

    Raises:
        ReleaseError: the file system does not store names or modes as committed.
    """
    folder.mkdir(parents=True)
    with suppress(OSError, AttributeError):  # there are none, or this system has none
        os.removexattr(folder, _DEFAULT_RIGHTS)
    for name in sorted(folders):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for entry in entries:
        path = folder / entry.path
        if os.path.lexists(path):
            raise _changed_file_error(path, "the file system gives another committed file the same name")
        _write_entry(entry, path)
        _set_fixed_time(path, None if entry.symlink else _file_mode(entry))
    for parent, _, _ in os.walk(folder, topdown=False):
        Path(parent).chmod(0o755)
        _set_fixed_time(Path(parent), 0o755)


def _write_entry(entry: Entry, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if entry.symlink:
        path.symlink_to(os.fsdecode(entry.content))
        return
    path.write_bytes(entry.content)
    path.chmod(_file_mode(entry))


def _file_mode(entry: Entry) -> int:
    return 0o755 if entry.executable else 0o644


def _set_fixed_time(path: Path, mode: int | None) -> None:
    """Set the fixed time of a path. Compare its mode with the mode that the file system stored."""
    os.utime(path, (SOURCE_DATE_EPOCH, SOURCE_DATE_EPOCH), follow_symlinks=False)
    kept = stat.S_IMODE(path.lstat().st_mode)
    if mode is not None and kept != mode:
        raise _changed_file_error(path, f"its mode there is {kept:04o}, not {mode:04o}")


def _changed_file_error(path: Path, found: str) -> ReleaseError:
    return ReleaseError(
        f"write the build context to {path}",
        f"the file system changes committed files: {found}",
        "use a clone on a case-sensitive file system that keeps modes",
    )


def _new_parent_folders(path: str, seen: set[str]) -> Iterator[str]:
    for parent in reversed(PurePosixPath(path).parents[:-1]):
        if str(parent) not in seen:
            seen.add(str(parent))
            yield str(parent)


def _add_entry_to_archive(archive: tarfile.TarFile, entry: Entry) -> None:
    if entry.symlink:
        member = _create_tar_member(entry.path, tarfile.SYMTYPE, 0o777)
        member.linkname = os.fsdecode(entry.content)
        archive.addfile(member)
        return
    member = _create_tar_member(entry.path, tarfile.REGTYPE, _file_mode(entry))
    member.size = len(entry.content)
    archive.addfile(member, io.BytesIO(entry.content))


def _create_tar_member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = kind, mode, SOURCE_DATE_EPOCH
    return member
