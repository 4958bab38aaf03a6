"""The library's own release: version and changelog from its commits, wheels of the same bytes."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from tests import packaging
from tests.unit.repository import Repository

ROOT = Path(__file__).resolve().parents[2]
HEAD = "# Changelog\n\nWhat changed.\n\n## Unreleased\n"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with a version, a changelog and one commit."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    made = Repository.init(tmp_path / "library")
    made.write("release/__init__.py", '__version__ = "0.1.0"\n')
    made.commit("begin", **{"CHANGELOG.md": f"{HEAD}\n### Added\n\n- A first entry.\n"})
    return made


def text(library: Repository, path: str) -> str:
    return (library.root / path).read_text(encoding="utf-8")


def test_the_first_version_takes_the_written_entries_and_those_of_commits(library: Repository) -> None:
    """Under one heading each, the written ones first; commit, tag and version belong together."""
    library.commit("report: write a page\n\nWhy.\n\nChangelog-Added: `invoke report`\n writes a page.")
    library.commit("lock: read it\n\nChangelog-Fixed: A lock is read.\nSigned-off-by: Ada <ada@example.org>")
    assert str(packaging.prepare(library.root)) == "0.1.0"
    assert text(library, "CHANGELOG.md") == (
        f"{HEAD}\n## 0.1.0 - 2026-11-20\n\n### Added\n\n- A first entry.\n- `invoke report` writes a page.\n"
        "\n### Fixed\n\n- A lock is read.\n"
    )
    assert library.git("tag", "--points-at", "HEAD") == "nox-release/v0.1.0"
    assert library.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("trailer", "version"),
    [("Breaking", "0.2.0"), ("Added", "0.2.0"), ("Changed", "0.1.1"), ("Fixed", "0.1.1")],
)
def test_the_next_version_follows_from_the_entries(library: Repository, trailer: str, version: str) -> None:
    """Only entries since the last version count; older sections stay as they are."""
    packaging.prepare(library.root)
    before = text(library, "CHANGELOG.md")
    library.commit(f"x: change\n\nChangelog-{trailer}: Something new.")
    assert str(packaging.prepare(library.root)) == version
    after = text(library, "CHANGELOG.md")
    assert after == before.replace(
        "## 0.1.0", f"## {version} - 2026-11-20\n\n### {trailer}\n\n- Something new.\n\n## 0.1.0"
    )
    assert packaging.found_version(library.root) == version


def test_a_version_that_only_the_changelog_has_is_taken(library: Repository) -> None:
    """The history may be older than the first tag."""
    old = f"{HEAD}\n### Fixed\n\n- New.\n\n## 0.3.0\n\n### Added\n\n- Old.\n"
    library.commit("docs: note it", **{"CHANGELOG.md": old})
    assert str(packaging.prepare(library.root)) == "0.3.1"


def test_nothing_for_users_is_nothing_to_release(library: Repository) -> None:
    """And a repository that differs from its commit is refused before anything is written."""
    packaging.prepare(library.root)
    library.commit("tests: move a helper")
    head = library.git("rev-parse", "HEAD")
    with pytest.raises(packaging.Refused, match="nothing to release"):
        packaging.prepare(library.root)
    library.write("new.txt")
    with pytest.raises(packaging.Refused, match=r"new\.txt is not committed"):
        packaging.prepare(library.root)
    assert library.git("rev-parse", "HEAD") == head


@pytest.mark.parametrize(
    ("body", "words"),
    [("### New\n\n- One.\n", "'### New' is not one of"), ("### Added\n\nProse.\n", "'Prose.' is no entry")],
)
def test_a_changelog_that_cannot_be_read_is_named(library: Repository, body: str, words: str) -> None:
    """No line is lost in silence."""
    library.commit("docs: note it", **{"CHANGELOG.md": f"{HEAD}\n{body}"})
    with pytest.raises(packaging.Refused, match=words):
        packaging.prepare(library.root)


def test_two_clones_build_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another folder, time zone and umask; the wheel holds the pages, and nothing of the tests."""
    built = list[dict[str, str]]()
    for name, zone, umask in (("one", "UTC", 0o022), ("another", "Asia/Tokyo", 0o077)):
        monkeypatch.setenv("TZ", zone)
        before = os.umask(umask)
        try:
            clone = Repository.clone(str(ROOT), tmp_path / name)
            files = packaging.build(clone.root, tmp_path / f"{name}-dist")
        finally:
            os.umask(before)
        built.append({file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files})
    assert built[0] == built[1]
    assert len(built[0]) == 2
    (wheel,) = (tmp_path / "one-dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "release/pages/how-to/roll-back.md" in names
    assert {name.split("/")[0] for name in names} == {
        "release",
        wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info",
    }
