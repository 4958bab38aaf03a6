"""The build context: the committed tree as an archive that is the same on every machine.

Names, order, modes, owners and times are fixed here; the user's umask, time zone, clock and checkout have no
part in it. Format: POSIX.1-1988 ustar with pax headers for long names (Python's `tarfile.PAX_FORMAT`).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from release import private
from release.chain.plan import SOURCE_DATE_EPOCH
from release.source import Entry


def write_archive(entries: Iterable[Entry], path: Path) -> None:
    """Write the archive of these files, which come sorted, with every folder before what is in it."""
    with (
        private.created(path) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        seen: set[str] = set()
        for entry in entries:
            for folder in _new_folders(entry.path, seen):
                archive.addfile(_member(folder, tarfile.DIRTYPE, 0o755))
            _add(archive, entry)


def write_folder(entries: Iterable[Entry], folder: Path) -> None:
    """Lay the files out in a folder, for tools that read files."""
    for entry in entries:
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.symlink:
            path.symlink_to(entry.content.decode())
            continue
        path.write_bytes(entry.content)
        path.chmod(0o755 if entry.executable else 0o644)


def _new_folders(path: str, seen: set[str]) -> Iterator[str]:
    for parent in reversed(PurePosixPath(path).parents[:-1]):
        if str(parent) not in seen:
            seen.add(str(parent))
            yield str(parent)


def _add(archive: tarfile.TarFile, entry: Entry) -> None:
    if entry.symlink:
        member = _member(entry.path, tarfile.SYMTYPE, 0o777)
        member.linkname = entry.content.decode()
        archive.addfile(member)
        return
    member = _member(entry.path, tarfile.REGTYPE, 0o755 if entry.executable else 0o644)
    member.size = len(entry.content)
    archive.addfile(member, io.BytesIO(entry.content))


def _member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = kind, mode, SOURCE_DATE_EPOCH
    return member
