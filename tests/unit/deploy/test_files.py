"""Files of a deployment: recorded whole, or refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from release.config import File
from release.deploy.files import LARGEST, read_files
from release.ledger.diff import flat
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
    assert flat(RunSpec(files=files))["files./etc/a/a.toml"] == f"0444 sha256:{file.sha256[:12]}"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * (LARGEST + 1), "a record keeps 65536 of a file"),
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
