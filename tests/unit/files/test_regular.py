"""Files are read within limits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from release.config import Secret
from release.files.regular import read_regular
from release.secrets.sources import _of_file


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty", "/"])
def test_what_is_not_a_regular_file_is_refused(device: str) -> None:
    """A device, a terminal, a folder: at once."""
    with pytest.raises((ValueError, OSError)):
        read_regular(Path(device), 10)


def test_a_pipe_without_a_writer_is_refused_at_once(tmp_path: Path) -> None:
    """Opening it for reading would wait."""
    os.mkfifo(tmp_path / "p")
    with pytest.raises(ValueError, match="a pipe"):
        read_regular(tmp_path / "p", 10)


def test_a_file_has_a_size(tmp_path: Path) -> None:
    """One byte more is refused; so is a file of /proc, which says that it is empty."""
    (tmp_path / "f").write_bytes(b"x" * 10)
    assert read_regular(tmp_path / "f", 10) == b"x" * 10
    with pytest.raises(ValueError, match="the limit is 9"):
        read_regular(tmp_path / "f", 9)
    with pytest.raises(ValueError, match="more than 3 bytes"):
        read_regular(Path("/proc/self/stat"), 3)


def test_a_link_may_be_refused(tmp_path: Path) -> None:
    """Where the path was resolved before."""
    (tmp_path / "f").write_bytes(b"")
    (tmp_path / "l").symlink_to("f")
    assert read_regular(tmp_path / "l", 1) == b""
    with pytest.raises(OSError, match="symbolic links"):
        read_regular(tmp_path / "l", 1, follow=False)


@pytest.mark.attack(
    "A secret comes from a device or a pipe", "A secret file is a regular file of at most 1 MiB"
)
@pytest.mark.parametrize("path", ["/dev/zero", "/dev/urandom"])
def test_a_secret_is_not_read_from_a_device(path: str) -> None:
    """A reason, and no value."""
    assert Secret(from_file=path)
    found = _of_file("A", Path(path))
    assert "a device" in str(getattr(found, "reason", ""))
