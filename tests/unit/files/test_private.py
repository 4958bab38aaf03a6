"""Folders and files of one user: how they are made, and which of another user are refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from release.errors import ReleaseError
from release.files import private

STRANGER = 65534


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the path another user's: really where the tests run as root, else by another number."""
    if os.geteuid() == 0:
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    else:
        mine = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: mine + 1)


@pytest.fixture(autouse=True)
def _open_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("make", [private.ensure_temporary_folder, private.ensure_owned_folder])
def test_a_folder_is_its_owners_alone_and_is_taken_again(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    """Mode 0700 whatever the umask; the second call finds what the first one made."""
    folder = make(tmp_path / "folder")
    (folder / "file").touch()
    assert mode(folder) == 0o700
    assert (make(folder) / "file").exists()


@pytest.mark.parametrize("make", [private.ensure_temporary_folder, private.ensure_owned_folder])
@pytest.mark.attack(
    "Another local user makes the folder before this user does, or puts a link in its place",
    "A folder that is found must belong to this user and must not be a link; nothing in it is used",
)
def test_a_folder_of_another_user_and_a_link_are_refused(
    make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the owner, and a command that shows the folder."""
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("link", "dangling"):
        with pytest.raises(ReleaseError, match="it is a link") as caught:
            make(tmp_path / name)
        assert f"ls -ld {tmp_path / name}" in caught.value.hint
    (tmp_path / "foreign").mkdir(mode=0o700)
    give_away(tmp_path / "foreign", monkeypatch)
    with pytest.raises(ReleaseError, match="belongs to another user"):
        make(tmp_path / "foreign")


def test_a_temporary_folder_that_others_may_use_is_refused(tmp_path: Path) -> None:
    """Nobody knows what they put there."""
    (tmp_path / "folder").mkdir(mode=0o750)
    with pytest.raises(ReleaseError, match="mode 0750"):
        private.ensure_temporary_folder(tmp_path / "folder")


def test_a_file_in_the_place_of_a_folder_is_an_error_of_the_system(tmp_path: Path) -> None:
    """As on a full disk: the caller says what that means."""
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        private.ensure_owned_folder(tmp_path / "file")


def test_an_older_folder_is_tightened_with_all_that_is_in_it(tmp_path: Path) -> None:
    """Logs and reports of earlier versions; a program stays one; a link's target is not touched."""
    home, outside = tmp_path / "home", tmp_path / "outside"
    (home / "runs" / "one").mkdir(parents=True, mode=0o777)
    for name in ("runs/one/lint.log", "program"):
        (home / name).touch()
        (home / name).chmod(0o755 if name == "program" else 0o644)
    outside.touch()
    outside.chmod(0o644)
    (home / "link").symlink_to(outside)
    (home / "same").hardlink_to(outside)
    private.ensure_owned_folder(home)
    found = {
        path.relative_to(home).as_posix(): mode(path) for path in home.rglob("*") if not path.is_symlink()
    }
    assert found == {
        "runs": 0o700,
        "runs/one": 0o700,
        "runs/one/lint.log": 0o600,
        "program": 0o700,
        "same": 0o644,
    }
    assert mode(outside) == 0o644


def test_every_folder_on_the_way_is_checked(tmp_path: Path) -> None:
    """Also the ones that were there before."""
    (tmp_path / "home").mkdir(mode=0o755)
    assert private.ensure_owned_subfolder(tmp_path / "home", "a", "b") == tmp_path / "home" / "a" / "b"
    assert [mode(tmp_path / name) for name in ("home", "home/a", "home/a/b")] == [0o700] * 3
    (tmp_path / "home" / "link").symlink_to(tmp_path)
    with pytest.raises(ReleaseError, match="it is a link"):
        private.ensure_owned_subfolder(tmp_path / "home", "link", "c")


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    """Written whole, and added to; nothing is left beside them."""
    private.write(tmp_path / "written", "one")
    private.write(tmp_path / "written", b"two")
    for line in ("a\n", "b\n"):
        with private.open_for_append(tmp_path / "log") as stream:
            stream.write(line)
    assert (tmp_path / "written").read_text() == "two"
    assert (tmp_path / "log").read_text() == "a\nb\n"
    assert {path.name: mode(path) for path in tmp_path.iterdir()} == {"written": 0o600, "log": 0o600}


def test_a_link_in_the_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    """What it points to stays as it was."""
    (tmp_path / "target").write_text("kept")
    (tmp_path / "log").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"):
        private.open_for_append(tmp_path / "log")
    private.write(tmp_path / "log", "new")
    assert (tmp_path / "target").read_text() == "kept"
