"""Seals of a clone: what they prove, and which keys are refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from release.errors import ReleaseError
from release.files.hmac_key import BadSeal, ClonesKey


def key_file(git_dir: Path) -> Path:
    return git_dir / "release" / "key"


def test_sealed_content_is_opened_by_the_same_clone(tmp_path: Path) -> None:
    """Each call reads the same key; the content comes back byte for byte, also when it is empty."""
    for content in (b"", b"\x00\xff\n", b"text\n" * 100):
        assert ClonesKey.of(tmp_path).open(ClonesKey.of(tmp_path).seal(content, "a"), "a") == content


@pytest.mark.parametrize(
    "change",
    [
        lambda sealed: sealed + b" ",
        lambda sealed: sealed[:-1],
        lambda sealed: sealed[:64] + b" " + sealed[65:],
        lambda sealed: b"0" * 64 + sealed[64:],
        lambda sealed: sealed[65:],
        lambda _: b"",
        lambda _: b"\xff" * 64 + b"\n",
    ],
    ids=["longer", "shorter", "no line", "other seal", "no seal", "empty", "not ASCII"],
)
def test_changed_bytes_are_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    """Every byte of the content and of the seal counts."""
    key = ClonesKey.of(tmp_path)
    with pytest.raises(BadSeal):
        key.open(change(key.seal(b"content", "a")), "a")


def test_a_seal_of_another_clone_or_purpose_is_refused(tmp_path: Path) -> None:
    """A file of one kind cannot be put in the place of another kind."""
    key, other = ClonesKey.of(tmp_path / "one"), ClonesKey.of(tmp_path / "two")
    with pytest.raises(BadSeal):
        other.open(key.seal(b"content", "a"), "a")
    with pytest.raises(BadSeal):
        key.open(key.seal(b"content", "a"), "b")


def test_the_key_is_its_owners_alone_and_is_not_shown(tmp_path: Path) -> None:
    """Mode 0600 whatever the umask, and nothing is left beside it."""
    before = os.umask(0)
    try:
        key = ClonesKey.of(tmp_path)
    finally:
        os.umask(before)
    assert [file.name for file in (tmp_path / "release").iterdir()] == ["key"]
    assert stat.S_IMODE(key_file(tmp_path).stat().st_mode) == 0o600
    assert key_file(tmp_path).read_text() not in repr(key)


def test_processes_that_begin_together_use_one_key(tmp_path: Path) -> None:
    """The first one that is linked is everybody's."""
    with ThreadPoolExecutor(8) as pool:
        sealed = {made.seal(b"x", "a") for made in pool.map(ClonesKey.of, [tmp_path] * 32)}
    assert len(sealed) == 1


def _linked(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda file: file.chmod(0o640), "mode 0640"),
        (lambda file: file.chmod(0o602), "mode 0602"),
        (lambda file: file.write_text(""), "damaged"),
        (lambda file: file.write_text("0" * 10_000), "damaged"),
        (lambda file: file.write_bytes(b"\xff" * 64), "damaged"),
        (_linked, "symbolic links"),
        (_folder, "not a regular file"),
        (_pipe, "not a regular file"),
    ],
    ids=["readable", "writable", "empty", "long", "binary", "link", "folder", "pipe"],
)
@pytest.mark.attack(
    "The key file of a clone is replaced by a link or a pipe, or other users can read it",
    "The key must be a regular file of the user with mode 0600; nothing is sealed with another one",
)
def test_a_key_that_may_be_known_to_others_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object], found: str
) -> None:
    """The message names the file and the way out."""
    ClonesKey.of(tmp_path)
    spoil(key_file(tmp_path))
    with pytest.raises(ReleaseError, match=found) as caught:
        ClonesKey.of(tmp_path)
    assert str(key_file(tmp_path)) in str(caught.value)


def test_a_folder_that_cannot_be_written_is_a_typed_error(tmp_path: Path) -> None:
    """As when a file lies where the folder would be."""
    (tmp_path / "release").write_text("")
    with pytest.raises(ReleaseError, match="clone's key"):
        ClonesKey.of(tmp_path)
