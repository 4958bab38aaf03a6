"""Files of a deployment: recorded whole, or refused."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from release.config import File
from release.deploy.environment.files import LARGEST, read_files
from release.ledger.release_diff import flatten_settings
from release.runspec import RunSpec

WHERE = "environments.production.files"


def test_a_file_is_recorded_with_its_content_its_hash_and_its_mode(tmp_path: Path) -> None:
    """All that a rollback needs; settings are compared by the hash."""
    (tmp_path / "a.toml").write_text("level = 1\n")
    files, problems = read_files({"/etc/a/a.toml": File(source="a.toml")}, root=tmp_path, where=WHERE)
    (file,) = files.values()
    assert problems == []
    assert (file.content, file.mode) == ("level = 1\n", 0o444)
    assert file.sha256 == hashlib.sha256(b"level = 1\n").hexdigest()
    assert flatten_settings(RunSpec(files=files))["files./etc/a/a.toml"] == f"0444 sha256:{file.sha256[:12]}"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * (LARGEST + 1), "the limit is 65536"),
        (b"url = 'postgres://ada:canary@db/x'", "it holds an address with a password"),
        (b"-----BEGIN PRIVATE KEY-----\ncanary", "it holds a private key"),
    ],
)
def test_what_a_record_should_not_keep_is_refused(tmp_path: Path, content: bytes | None, found: str) -> None:
    """At the file's own path in the settings, and without what is in it."""
    if content is not None:
        (tmp_path / "f").write_bytes(content)
    files, (problem,) = read_files({"/etc/a/f": File(source="f")}, root=tmp_path, where=WHERE)
    assert files == {}
    assert problem.path == f"{WHERE}./etc/a/f"
    assert found in problem.message
    assert "canary" not in problem.message


def test_a_false_alarm_is_allowed(tmp_path: Path) -> None:
    """By the file's own key."""
    (tmp_path / "f").write_text("https://user:placeholder@example/")
    files, problems = read_files({"/f": File(source="f", not_secret=True)}, root=tmp_path, where=WHERE)
    assert (len(files), problems) == (1, [])


def test_many_files_together_have_a_limit(tmp_path: Path) -> None:
    """The ledger keeps each version for ever."""
    sources = {}
    for number in range(5):
        (tmp_path / str(number)).write_text("x" * LARGEST)
        sources[f"/etc/a/{number}"] = File(source=str(number))
    _, (problem,) = read_files(sources, root=tmp_path, where=WHERE)
    assert "327680 bytes together" in problem.message


def source_of(root: Path, kind: str) -> str:
    """A path below the root of this kind."""
    path = root / "f"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    elif kind == "circle":
        path.symlink_to(path)
    else:
        path.symlink_to(kind)
    return "f"


@pytest.mark.parametrize(
    "kind",
    [
        "pipe",
        "folder",
        "socket",
        "circle",
        "/dev/zero",
        "/proc/self/environ",
        "/etc/passwd",
        "../outside",
        "/dev/stdin",
    ],
)
@pytest.mark.attack(
    "`files.source` is a device, a pipe, a socket, a folder, or a link to a login or to /proc/self/environ",
    "A recorded file is a regular file of the repository of at most 64 KiB, opened without waiting",
)
def test_what_is_not_a_file_of_the_repository_is_refused(tmp_path: Path, kind: str) -> None:
    """A problem at its own key; nothing is recorded, and nothing waits."""
    (tmp_path / "outside").write_text("canary")
    root = tmp_path / "root"
    root.mkdir()
    files, (problem,) = read_files({"/etc/a/f": File(source=source_of(root, kind))}, root=root, where=WHERE)
    assert files == {}
    assert "canary" not in problem.message


@pytest.mark.parametrize("source", ["/etc/passwd", "../x", "a/../../x"])
def test_a_source_is_a_path_below_the_root(source: str) -> None:
    """Refused where the configuration is read."""
    with pytest.raises(ValidationError):
        File(source=source)


@pytest.mark.parametrize(
    "source", [".git/config", ".docker/config.json", ".netrc", "a/.AWS/credentials", ".env"]
)
@pytest.mark.attack(
    "`files.source` names a file in which a program keeps logins",
    "The names of credential stores are refused, also behind a link",
)
def test_a_credential_store_is_not_recorded(tmp_path: Path, source: str) -> None:
    """By its own path, and by a link to it."""
    (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / source).write_text("plain")
    (tmp_path / "link").symlink_to(source)
    for name in (source, "link"):
        files, (problem,) = read_files({"/f": File(source=name)}, root=tmp_path, where=WHERE)
        assert files == {}
        assert "holds logins" in problem.message


def test_a_link_within_the_repository_is_followed(tmp_path: Path) -> None:
    """Also through a root that is a link itself."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("x")
    (tmp_path / "real" / "b").symlink_to("a")
    (tmp_path / "root").symlink_to("real")
    files, problems = read_files({"/f": File(source="b")}, root=tmp_path / "root", where=WHERE)
    assert (files["/f"].content, problems) == ("x", [])
