"""What the tests of the ledger stand on: clones and servers that are real git repositories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.repository import ENVIRONMENT, Repository


@pytest.fixture(autouse=True)
def _no_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def here(tmp_path: Path) -> Repository:
    """A repository with one commit and no remote."""
    made = Repository.init(tmp_path / "here")
    made.commit("feat: start", file="1")
    return made


@pytest.fixture
def server(tmp_path: Path, here: Repository) -> Repository:
    """A bare repository with the same commit."""
    bare = Repository.init(tmp_path / "server.git", bare=True)
    here.git("push", "-q", str(bare.root), "main")
    return bare


@pytest.fixture
def ada(server: Repository, tmp_path: Path) -> Repository:
    """A clone of the server."""
    return Repository.clone(server, tmp_path / "ada")


@pytest.fixture
def bob(server: Repository, tmp_path: Path) -> Repository:
    """Another clone of the server."""
    return Repository.clone(server, tmp_path / "bob")
