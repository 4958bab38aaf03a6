"""Symbolic links of the commit that lead to files of this machine: nothing reads them for the lock gate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from release.chain.lockgate.gate import check_lockfile
from release.chain.stage_context import StageContext
from release.errors import ReleaseError
from tests.engine.chain.lockgate.test_tools import commit, context
from tests.unit.repository import Repository

WORDS = "topsecret-token-abcdef"
"""The content of a file of this machine that nobody should see."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return Repository.init(tmp_path / "here")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "private" / "secret.txt"
    path.parent.mkdir()
    path.write_text(f"{WORDS}==1\n")
    return path


def linked(repository: Repository, name: str, target: object, files: dict[str, str]) -> StageContext:
    """The gate on a commit of these files and a link."""
    commit(repository, files)
    path = repository.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(str(target))
    repository.commit()
    return context(repository)


def refusal(ctx: StageContext) -> str:
    """Return all that the gate says: its message, its last lines and its log."""
    with pytest.raises(ReleaseError) as caught:
        check_lockfile(ctx)
    log = ctx.run_folder.log_path("lock")
    tail = "\n".join(getattr(caught.value, "tail", ()))
    return f"{caught.value}\n{tail}\n{log.read_text() if log.exists() else ''}"


PROJECT = '[project]\nname = "api"\nversion = "1"\n'


def _absolute(secret: Path) -> Path:
    return secret


def _relative(secret: Path) -> str:
    return f"../{secret.parent.name}/{secret.name}"


@pytest.mark.parametrize("target", [_absolute, _relative])
@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("requirements.txt", {"app.py": ""}),
        ("requirements.in", {"requirements.txt": ""}),
        ("base.txt", {"requirements.txt": "-r base.txt\n"}),
        ("limits.txt", {"requirements.txt": "-c limits.txt\n"}),
        ("base.in", {"requirements.in": "-r base.in\n", "requirements.txt": ""}),
        ("uv.lock", {"pyproject.toml": PROJECT}),
        ("poetry.lock", {"pyproject.toml": PROJECT}),
        ("pyproject.toml", {"poetry.lock": ""}),
        ("pyproject.toml", {"uv.lock": "version = 1\nrevision = 3\n"}),
        ("pylock.toml", {"app.py": ""}),
        ("Pipfile.lock", {"Pipfile": ""}),
    ],
)
@pytest.mark.attack(
    "a committed lockfile, or a file that it includes, is a link to a file of the operator's machine",
    "the lock tool gets a copy without links that lead out, and the message names the link",
)
def test_a_link_to_a_file_of_this_machine_is_not_read(
    repository: Repository, secret: Path, name: str, files: dict[str, str], target: Callable[[Path], object]
) -> None:
    """Neither its words nor a trace of them: uv would ask the package index for each."""
    said = refusal(linked(repository, name, target(secret), files))
    assert WORDS not in said.lower()
    assert name in said
    assert "out of the repository" in said
    assert "check the owner" not in said


def test_a_link_to_a_folder_of_this_machine_is_not_followed(repository: Repository, secret: Path) -> None:
    """`-r reqs/secret.txt` names no committed file."""
    said = refusal(
        linked(repository, "reqs", secret.parent, {"requirements.txt": f"-r reqs/{secret.name}\n"})
    )
    assert WORDS not in said
    assert "a link leads out of the repository: reqs -> " in said


def test_links_inside_of_the_commit_are_followed(repository: Repository, secret: Path) -> None:
    """A lockfile may be one; a link that nothing reads stops nothing."""
    files = {"Dockerfile": "FROM scratch\n", "deps/all.txt": "# nothing\n", "app.py": ""}
    linked(repository, "requirements.txt", "deps/all.txt", files)
    (repository.root / "localtime").symlink_to(secret)
    repository.commit()
    made = check_lockfile(context(repository))
    assert "requirements.txt is fresh" in made.summary


@pytest.mark.parametrize("target", ["missing.txt", "deps"])
def test_a_link_to_no_file_of_the_commit_is_named(repository: Repository, target: str) -> None:
    """Without an error of the system about a folder that is gone by then."""
    said = refusal(linked(repository, "requirements.txt", target, {"deps/a.txt": ""}))
    assert "requirements.txt is a link that leads to no committed file, or to a folder" in said
