"""What is written for a builder is the same everywhere."""

from __future__ import annotations

import os
import tarfile
import time
from pathlib import Path

import pytest

from release.chain.building.context import write_archive, write_fixed_folder, write_folder
from release.chain.plan import SOURCE_DATE_EPOCH
from release.errors import ReleaseError
from release.git.source import Entry

ENTRIES = (
    Entry(path="Dockerfile", executable=False, symlink=False, content=b"FROM scratch\n"),
    Entry(path="app/deep/run.sh", executable=True, symlink=False, content=b"#!/bin/sh\n"),
    Entry(path="app/link", executable=False, symlink=True, content=b"deep/run.sh"),
    Entry(path=f"app/{'n' * 120}/ü.py", executable=False, symlink=False, content=b"x"),
)


def members(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as archive:
        return {member.name: member for member in archive}


def test_modes_owners_and_times_are_fixed(tmp_path: Path) -> None:
    """Nothing of the machine is in the archive."""
    write_archive(ENTRIES, tmp_path / "context.tar")
    found = members(tmp_path / "context.tar")
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in found.values()} == {
        (0, 0, "", SOURCE_DATE_EPOCH)
    }
    assert (found["Dockerfile"].mode, found["app/deep/run.sh"].mode, found["app"].mode) == (
        0o644,
        0o755,
        0o755,
    )
    assert found["app/link"].linkname == "deep/run.sh"


def test_every_folder_comes_once_before_what_is_in_it(tmp_path: Path) -> None:
    """A reader can create the folders as they come."""
    write_archive(ENTRIES, tmp_path / "context.tar")
    names = list(members(tmp_path / "context.tar"))
    assert names[:4] == ["Dockerfile", "app", "app/deep", "app/deep/run.sh"]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("umask", "zone"), [(0o077, "Pacific/Kiritimati"), (0o002, "America/St_Johns")])
def test_umask_and_time_zone_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int, zone: str
) -> None:
    """The archive is the same bytes under another umask and another zone."""
    write_archive(ENTRIES, tmp_path / "here.tar")
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    before = os.umask(umask)
    try:
        write_archive(ENTRIES, tmp_path / "there.tar")
    finally:
        os.umask(before)
        monkeypatch.undo()
        time.tzset()
    assert (tmp_path / "here.tar").read_bytes() == (tmp_path / "there.tar").read_bytes()


def test_a_folder_holds_the_files_with_their_modes(tmp_path: Path) -> None:
    """Tools that read files see what is committed."""
    write_folder(ENTRIES, tmp_path)
    assert (tmp_path / "app/link").readlink() == Path("deep/run.sh")
    assert (tmp_path / "app/deep/run.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "Dockerfile").read_bytes() == b"FROM scratch\n"


def facts(folder: Path) -> dict[str, tuple[int, int]]:
    """Mode and time of everything in a folder, and of itself."""
    found = ((path, path.lstat()) for path in (folder, *folder.rglob("*")))
    return {
        str(path.relative_to(folder)): (about.st_mode & 0o7777, about.st_mtime_ns) for path, about in found
    }


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_folder_for_a_builder_has_fixed_modes_and_times(tmp_path: Path, umask: int) -> None:
    """Neither the umask, nor the clock, nor the folder above is seen; folders without files stay."""
    tmp_path.chmod(0o2775)
    before = os.umask(umask)
    try:
        write_fixed_folder(ENTRIES, tmp_path / "context", ["app", "app/empty"])
    finally:
        os.umask(before)
    time_ns = SOURCE_DATE_EPOCH * 10**9
    found = facts(tmp_path / "context")
    assert {time for _, time in found.values()} == {time_ns}
    assert {name: mode for name, (mode, _) in found.items() if name != "app/link"} == {
        ".": 0o755,
        "Dockerfile": 0o644,
        "app": 0o755,
        "app/deep": 0o755,
        "app/deep/run.sh": 0o755,
        "app/empty": 0o755,
        f"app/{'n' * 120}": 0o755,
        f"app/{'n' * 120}/ü.py": 0o644,
    }


def test_two_names_that_are_one_on_this_file_system_are_refused(tmp_path: Path) -> None:
    """A file would silently take the place of the other, and the image would depend on the machine."""
    twice = [ENTRIES[0], ENTRIES[0]]
    with pytest.raises(ReleaseError, match="the file system gives another committed file the same name"):
        write_fixed_folder(twice, tmp_path / "context", [])


def test_a_file_system_without_modes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a mounted folder of another system: every file could be run."""
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    before = os.umask(0o077)
    try:
        with pytest.raises(ReleaseError, match="its mode there is 0600, not 0644"):
            write_fixed_folder(ENTRIES, tmp_path / "context", [])
    finally:
        os.umask(before)
