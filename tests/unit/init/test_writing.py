"""Writing the files: nothing of a person is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.errors import ReleaseError
from release.init.plan import FileChange
from release.init.writing import write_changes


def change(path: str, before: str | None = None) -> FileChange:
    return FileChange(path=path, before=before, after="new\n", reason="a test")


def test_a_file_that_appeared_is_not_overwritten(tmp_path: Path) -> None:
    """And the message names what was written by then."""
    (tmp_path / "b").write_text("theirs")
    with pytest.raises(ReleaseError, match="written are a/a") as caught:
        write_changes(tmp_path, [change("a/a"), change("b"), change("c")])
    assert (tmp_path / "b").read_text() == "theirs"
    assert (tmp_path / "a/a").read_text() == "new\n"
    assert not (tmp_path / "c").exists()
    assert "run init again" in caught.value.hint


def test_a_file_that_changed_is_not_overwritten(tmp_path: Path) -> None:
    """It is compared with what the difference showed."""
    (tmp_path / "a").write_text("other")
    with pytest.raises(ReleaseError, match="changed while"):
        write_changes(tmp_path, [change("a", "old")])
    assert (tmp_path / "a").read_text() == "other"


def test_a_changed_file_keeps_its_mode(tmp_path: Path) -> None:
    """And no other file stays behind."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o600)
    write_changes(tmp_path, [change("a", "old")])
    assert (tmp_path / "a").read_text() == "new\n"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("inside", [True, False])
def test_a_link_is_not_written_through(tmp_path: Path, inside: bool) -> None:
    """Neither as the file, nor as a folder that leads out."""
    root, out = tmp_path / "root", tmp_path / "out"
    root.mkdir()
    out.mkdir()
    (out / "a").write_text("old")
    (root / "link").symlink_to(out / "a" if inside else out)
    with pytest.raises(ReleaseError, match="link"):
        write_changes(root, [change("link", "old") if inside else change("link/new")])
    assert (out / "a").read_text() == "old"
    assert not (out / "new").exists()
