"""The lock gate with the real tools and the real package index: fresh, stale, and not checkable."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from release.chain.lockgate import requirements
from release.chain.lockgate.checking import LockfileCopy
from release.chain.lockgate.results import Answer, Fresh, Stale
from release.chain.tools import find_uv
from release.config import Lock
from release.programs.process import run
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


# how the file was made


@pytest.fixture(scope="session")
def pip_compile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pip-tools in an environment of its own."""
    folder = tmp_path_factory.mktemp("pip-tools")
    uv(folder, "venv", "--quiet", "--python", sys.executable, "venv")
    uv(folder, "pip", "install", "--quiet", "--python", "venv/bin/python", "pip-tools==7.*", "pip==25.*")
    return folder / "venv" / "bin" / "pip-compile"


COLOURS = "click==8.1.7\n"
"""On Windows it needs colorama."""

UV_WAYS = {
    "universal without header": ("--universal", "--no-header"),
    "universal": ("--universal",),
    "universal, annotations in the line": ("--universal", "--no-header", "--annotation-style=line"),
    "without header and annotations": ("--no-header", "--no-annotate"),
    "hashes": ("--generate-hashes", "--universal", "--no-header"),
    "another platform": ("--python-platform=windows",),
    "extras kept": ("--no-strip-extras",),
    "markers kept": ("--no-strip-markers",),
    "another Python": ("--python-version=3.13",),
    "a custom command": ("--custom-compile-command=make lock",),
}
PIP_WAYS = {
    "as it is": (),
    "without extras": ("--strip-extras",),
    "with extras": ("--no-strip-extras",),
    "hashes": ("--generate-hashes",),
    "unsafe packages": ("--allow-unsafe",),
    "without annotations": ("--no-annotate",),
    "annotations in the line": ("--annotation-style=line",),
    "without index options": ("--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host"),
    "without header": ("--no-header", "--no-emit-index-url", "--no-emit-find-links"),
}


class Folder:
    """A lockfile that a tool has just compiled, and the gate on it as `nox -s lock` runs it."""

    def __init__(self, folder: Path, compiler: tuple[str, ...], source: str) -> None:
        self.folder = folder
        self.declare(source)
        words = (*compiler, "--quiet", "--output-file=requirements.txt", "requirements.in")
        ran = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr

    @property
    def content(self) -> str:
        return (self.folder / "requirements.txt").read_text()

    def declare(self, source: str) -> None:
        (self.folder / "requirements.in").write_text(source)

    def check(self) -> Answer:
        """Check it, and leave it as it is."""
        content = self.content
        found = LockfileCopy(
            folder=self.folder,
            home=self.folder,
            path="requirements.txt",
            content=content,
            config=Lock(),
            image_python=None,
            python=None,
            requires=None,
            execute=lambda command: run(command, check=False),
            install=lambda tool: tool.program,
            read_earlier=lambda name: None,
            find_readable_version=lambda reads: None,
        )
        try:
            return requirements.check_requirements(found)
        finally:
            (self.folder / "requirements.txt").write_text(content)

    def packages(self) -> Mapping[str, str]:
        """Those of a file that is fresh."""
        answer = self.check()
        assert isinstance(answer, Fresh), answer
        return answer.packages

    def stale(self) -> Stale:
        """The answer for a file that is stale."""
        answer = self.check()
        assert isinstance(answer, Stale), answer
        return answer


def advised(answer: Stale) -> str:
    """The command that an answer advises."""
    found = re.fullmatch(r"run `(.*)` and commit the result", answer.next_step)
    assert found is not None, answer.next_step
    return found[1]


@pytest.mark.parametrize("way", UV_WAYS)
def test_a_file_of_uv_is_fresh_however_it_was_made(tmp_path: Path, way: str) -> None:
    """And when it is stale, the command that is advised keeps how it was made."""
    made = Folder(tmp_path, (find_uv(), "pip", "compile", *UV_WAYS[way]), COLOURS)
    assert "click" in made.packages()
    made.declare(COLOURS + "six==1.17.0\n")
    stale = made.stale()
    assert "six 1.17.0 is missing" in stale.differences[0]
    if way == "a custom command":
        assert advised(stale) == "make lock"
        return
    words, before = shlex.split(advised(stale)), made.content
    assert words[:3] == ["uv", "pip", "compile"]
    uv(tmp_path, *words[1:])
    lost = set(before.splitlines()) - set(made.content.splitlines())
    assert [line for line in lost if not line.startswith("#")] == []
    assert "six" in made.packages()


@pytest.mark.xdist_group("pip-compile")  # so that it is installed once
@pytest.mark.parametrize("way", PIP_WAYS)
def test_a_file_of_pip_compile_is_fresh_however_it_was_made(
    tmp_path: Path, pip_compile: Path, way: str
) -> None:
    """Extras, markers, options for the index and packages that it leaves out are its own way of writing."""
    source = (
        'pyjwt[crypto]==2.10.1\nzope.interface==7.2\nsix==1.17.0 ; python_version > "3.8"\n'
        'colorama==0.4.6 ; sys_platform == "win32"\n'
    )
    made = Folder(tmp_path, (str(pip_compile), *PIP_WAYS[way]), source)
    assert made.packages()["pyjwt"] == "2.10.1"
    made.declare(source.replace("six==1.17.0", "six==1.16.0"))
    stale = made.stale()
    assert "six 1.17.0 → 1.16.0" in stale.differences[0]
    if way != "without header":
        assert shlex.split(advised(stale))[0] == "pip-compile"
        assert all(option in advised(stale) for option in PIP_WAYS[way])


@pytest.mark.xdist_group("pip-compile")
def test_a_file_of_pip_compile_passes_in_a_release(make: Make, pip_compile: Path) -> None:
    """The whole session."""
    service = make(files={"requirements.in": "pyjwt[crypto]==2.10.1\n"})
    words = (str(pip_compile), "--quiet", "--output-file=requirements.txt", "requirements.in")
    subprocess.run(words, cwd=service.folder, check=True, capture_output=True)
    service.commit("build: lock", {})
    ran = service.nox("lock")
    assert ran.status == 0, ran.all


# which Python


def test_the_version_file_of_the_operator_does_not_decide(make: Make, tmp_path: Path) -> None:
    """`.python-version` names a Python that is not here: none is looked for, none is fetched."""
    service = with_uv_lock(make, "six==1.16.0", "six==1.16.0")
    settings = (service.folder / "pyproject.toml").read_text()
    locked = settings + '\n[tool.release.lock]\npython = "3.99"\n'
    service.commit("chore: pin", {".python-version": "3.99\n", "pyproject.toml": locked})
    ran = service.nox(
        "lock", UV_PYTHON_DOWNLOADS="automatic", UV_PYTHON_INSTALL_DIR=str(tmp_path / "pythons")
    )
    assert ran.status == 0, ran.all
    assert not (tmp_path / "pythons").exists()


@pytest.mark.parametrize(("wanted", "status"), [("six==1.16.0", 0), ("six==1.17.0", 1)])
def test_a_project_for_a_python_that_is_not_here_is_compared(make: Make, wanted: str, status: int) -> None:
    """Without an interpreter uv checks nothing; the declared packages are the locked ones, or not."""
    service = with_uv_lock(make, "six==1.16.0", wanted)
    changed = {}
    for name in ("pyproject.toml", "uv.lock"):
        text = (service.folder / name).read_text()
        changed[name] = text.replace(">=3.11", ">=3.99")
    service.commit("feat: a new Python", changed)
    ran = service.nox("lock")
    assert ran.status == status, ran.all
    assert ("no Python here is >=3.99" if status == 0 else "uv.lock is stale: six==1.17.0") in ran.err
