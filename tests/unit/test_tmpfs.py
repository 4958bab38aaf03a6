"""Folders in memory, with owner and mode."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from release.tmpfs import Tmpfs, options_of, texts


@pytest.mark.parametrize(
    ("text", "path", "options"),
    [
        ("/tmp", "/tmp", ""),
        ("/run/app:uid=10001,gid=10001,mode=0750", "/run/app", "uid=10001,gid=10001,mode=0750"),
        ("/cache:size=64m", "/cache", "size=64m"),
        ("/cache:mode=700", "/cache", "mode=0700"),
    ],
)
def test_a_folder_is_written_as_for_docker(text: str, path: str, options: str) -> None:
    """It reads back as it is recorded: its path, and its options."""
    found = Tmpfs.model_validate(text)
    assert (found.path, found.options) == (path, options)
    assert Tmpfs.model_validate(str(found)) == found
    (recorded,) = texts([found.path], options_of([found]))
    assert recorded == str(found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tmp",
        "/a:",
        "/a:uid=root",
        "/a:uid=1,uid=2",
        "/a:exec",
        "/a:mode=9",
        "/a:size=x",
        "/a:mode=04755",
        7,
    ],
)
def test_what_is_no_folder_in_memory_is_refused(text: object) -> None:
    """Options that the records do not know too."""
    with pytest.raises(ValidationError):
        Tmpfs.model_validate(text)
