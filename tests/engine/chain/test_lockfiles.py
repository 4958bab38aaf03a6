"""The lock gate with the real tool and the real package index: fresh, stale, and not checkable."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from release.chain.tools import find_uv
from tests.engine.chain.conftest import Make
from tests.engine.service import Service

PROJECT = '[project]\nname = "hello"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["{}"]\n'
NOWHERE = "http://127.0.0.1:9/simple"
"""Port 9 of this machine: nothing listens there."""


def uv(folder: Path, *words: str) -> None:
    """uv itself, as a developer would use it."""
    environ = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    subprocess.run([find_uv(), *words], cwd=folder, check=True, capture_output=True, env=environ)


def with_requirements(make: Make, locked: str, wanted: str) -> Service:
    """A service whose lockfile was compiled from `locked` and whose source now says `wanted`."""
    service = make(files={"requirements.in": f"{locked}\n"})
    options = ("--universal", "--generate-hashes", "--no-header", "--quiet")
    uv(service.folder, "pip", "compile", *options, "requirements.in", "-o", "requirements.txt")
    service.commit("feat: need it", {"requirements.in": f"{wanted}\n"})
    return service


def with_uv_lock(make: Make, locked: str, wanted: str) -> Service:
    """The same with a pyproject.toml and a uv.lock."""
    service = make(files={"requirements.in": "", "requirements.txt": ""})
    settings = (service.folder / "pyproject.toml").read_text()
    (service.folder / "pyproject.toml").write_text(f"{settings}\n{PROJECT.format(locked)}")
    uv(service.folder, "lock", "--quiet")
    service.commit("feat: need it", {"pyproject.toml": f"{settings}\n{PROJECT.format(wanted)}"})
    return service


@pytest.mark.parametrize("kind", [with_requirements, with_uv_lock])
def test_a_fresh_lockfile_passes(make: Make, kind: object) -> None:
    """What is declared is what is locked."""
    assert callable(kind)
    ran = kind(make, "six==1.16.0", "six==1.16.0").nox("lock")
    assert ran.status == 0, ran.all
    assert "is fresh, " in ran.err


@pytest.mark.parametrize(
    ("kind", "words"),
    [(with_requirements, "six 1.16.0 → 1.17.0"), (with_uv_lock, "uv.lock is stale")],
)
def test_a_stale_lockfile_is_named(make: Make, kind: object, words: str) -> None:
    """The declaration changed and the lockfile did not: rc 1, and the command that mends it."""
    assert callable(kind)
    ran = kind(make, "six==1.16.0", "six==1.17.0").nox("lock")
    assert ran.status == 1, ran.all
    assert words in ran.err
    assert "run `uv " in ran.err


@pytest.mark.parametrize("kind", [with_requirements, with_uv_lock])
def test_a_lockfile_that_cannot_be_checked_is_not_called_stale(
    make: Make, kind: object, tmp_path: Path
) -> None:
    """The index is out of reach: another failure, for other people to mend."""
    assert callable(kind)
    service = kind(make, "six==1.16.0", "six==1.17.0")
    ran = service.nox("lock", UV_INDEX_URL=NOWHERE, UV_CACHE_DIR=str(tmp_path / "cache"), UV_HTTP_RETRIES="0")
    assert ran.status == 1
    assert "could not be checked" in ran.err
    assert "stale" not in ran.err.replace("lockfile", "")
