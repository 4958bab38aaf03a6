"""Earlier commits of this library, each with the packages that it was locked to."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from release.chain.tools import find_uv
from tests.engine import lab, warm
from tests.engine.deploy.world import Ended, World

ROOT: Final = Path(__file__).parents[2]

ONE_PROCESS: Final = "998e57b46e5e308683b5f76cced8e886246b8129"
"""The last commit before modules were moved into folders. An environment is one process."""

ONE_SERVICE: Final = "aaf14ad77d4ef9a45dac8acd850c8e90e4843c17"
"""The last commit that deploys one service at a time, on a Docker engine or in a Swarm."""


@dataclass(frozen=True)
class Earlier:
    """An earlier commit that can run: its source, and an interpreter with its packages."""

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / "venv/bin/python")

    def run(self, world: World, module: str, *words: str, cwd: Path | None = None) -> Ended:
        """Run `python -m module` of this commit in the service's repository."""
        environ = {**os.environ, **world.environ, "PYTHONPATH": str(self.folder)}
        argv = [self.python, "-m", module, *words]
        done = warm.run(argv, cwd=cwd or world.root, environ=environ)
        return Ended(status=done.returncode, out=done.stdout, err=done.stderr)


@dataclass(frozen=True)
class Turns:
    """Runs commands with the code of an earlier commit, "old", or with today's, "new"."""

    world: World
    earlier: Earlier

    def ask(self, code: str, *words: str) -> Ended:
        """Run `invoke`."""
        if code == "old":
            return self.earlier.run(self.world, "invoke", *words)
        return self.world.invoke(*words)

    def run(self, code: str, *words: str) -> Ended:
        """Run `invoke`, which must succeed and must take no file of the other code for damaged."""
        done = self.ask(code, *words)
        assert done.status == 0, done.err
        assert "refused and moved" not in done.err, done.err
        return done

    def die(self, code: str, *words: str) -> Ended:
        """Run `invoke` on a machine that dies: see `tests.engine.deploy.dying`."""
        if code == "old":
            return self.earlier.run(self.world, "tests.engine.deploy.dying", *words)
        when, call, number, *rest = words
        return self.world.dying(when, call, number, *rest)


def earlier(commit: str, cache: pytest.TempPathFactory) -> Earlier:
    """Return a commit that can run. It is prepared once for all tests that run beside each other."""
    base = cache.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"earlier-{commit[:7]}"
    ready = folder / "ready"
    with lab.alone("release-earlier"):
        if not ready.exists():
            extract(ROOT, commit, folder)
            install(folder)
            ready.touch()
    return Earlier(folder)


def extract(repository: Path, commit: str, folder: Path) -> None:
    """Write the library and its tests at a commit into a folder. Fail with the command if it is not there."""
    git = ["git", "-C", str(repository)]
    there = subprocess.run([*git, "cat-file", "-e", f"{commit}^{{commit}}"], capture_output=True, check=False)
    if there.returncode:
        pytest.fail(
            f"this clone has no commit {commit[:12]}, whose code is tested together with today's: "
            "run `git fetch --unshallow`, or `git fetch origin` in a clone that is not shallow"
        )
    paths = ("pyproject.toml", "requirements.txt", "release", "tests")
    archive = subprocess.run([*git, "archive", commit, *paths], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")


def install(folder: Path) -> None:
    """Make the environment of a commit: what it needs when it runs, in the versions of its lockfile."""
    uv, own = str(find_uv()), str(folder / "venv")
    environ = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    packages = ("-r", "pyproject.toml", "-c", "requirements.txt")
    for argv in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, own],
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", own, *packages],
        [f"{own}/bin/python", "-m", "compileall", "-q", "release", "tests/engine/deploy/dying.py"],
    ):
        done = subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
