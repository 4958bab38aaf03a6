"""What the tests of the ledger stand on: clones and servers that are real git repositories."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.ledger.keys import sign_with_ada
from tests.unit.repository import Repository, without_own_settings


@pytest.fixture(autouse=True)
def _no_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    without_own_settings(monkeypatch)


@pytest.fixture(scope="session")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository, its server and two clones, made once; each test gets a copy."""
    root = tmp_path_factory.mktemp("world")
    here = Repository.init(root / "here")
    here.commit("feat: start", file="1")
    bare = Repository.init(root / "server.git", bare=True)
    here.git("push", "-q", str(bare.root), "main")
    for name in ("ada", "bob"):
        clone = Repository.clone(bare, root / name)
        clone.git("config", "remote.origin.url", "../server.git")
    return root


@pytest.fixture
def world(_world: Path, tmp_path: Path) -> Path:
    """The folder of this test's copy."""
    return Path(shutil.copytree(_world, tmp_path / "world"))


@pytest.fixture
def here(world: Path) -> Repository:
    """A repository with one commit and no remote."""
    return Repository(world / "here")


@pytest.fixture
def server(world: Path) -> Repository:
    """A bare repository with the same commit."""
    return Repository(world / "server.git")


@pytest.fixture
def ada(world: Path) -> Repository:
    """A clone of the server."""
    return Repository(world / "ada")


@pytest.fixture
def bob(world: Path) -> Repository:
    """Another clone of the server."""
    return Repository(world / "bob")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the ssh keys of Ada and Eve."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ada", "eve"):
        words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name))
        subprocess.run(words, check=True)
    return folder


@pytest.fixture
def signed(here: Repository, keys: Path) -> Repository:
    """A repository where git signs with Ada's key, and Ada alone may sign."""
    sign_with_ada(here, keys)
    return here
