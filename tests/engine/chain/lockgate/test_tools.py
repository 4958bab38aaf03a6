"""The lock gate with the real tools, on packages of an index on this machine.

One row of each class runs on every change; with RELEASE_SOAK all of them do.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from release.chain.lockgate import pdm, pipenv, poetry
from release.chain.lockgate.checking import LockTool
from release.chain.lockgate.environment import install_lock_tool
from release.chain.lockgate.gate import LockChecked, check_lockfile
from release.chain.plan import Options, make_plan
from release.chain.run_folder import RunFolder
from release.chain.stage_context import StageContext
from release.chain.tools import find_uv
from release.errors import GateFailed
from release.git.source import Source
from release.records import Actor, Run
from release.values import replace as changed
from tests.engine.chain.lockgate.index import serving
from tests.engine.chain.lockgate.kinds import KINDS, OF_THE_IMAGE, PLAIN, STALE, make
from tests.soak.rows import ALL
from tests.unit.chain.test_pipeline import refuse
from tests.unit.chain.test_plan import configured, facts
from tests.unit.repository import Repository

pytestmark = pytest.mark.xdist_group("lock tools")  # so that each tool is installed once

NOWHERE = "http://127.0.0.1:9/simple"
"""Port 9 of this machine: nothing listens there."""

Locked = Callable[[str], dict[str, str]]
"""Gives the files of a kind, with its lockfile."""

ALWAYS = {
    *(("uv.lock", row) for row in ("fresh", *STALE, "corrupted", "offline", "tool missing")),
    *(("pylock.toml", row) for row in ("fresh", "added", "removed", "offline")),
    *(("requirements.txt", row) for row in ("fresh", "changed Python", "corrupted")),
    *(("poetry.lock", row) for row in ("fresh", "changed extra")),
    *(("pdm.lock", row) for row in ("fresh", "changed bound", "loosened", "corrupted")),
}
"""Kinds and rows of every change."""


HASHED = ("poetry.lock", "pdm.lock", "Pipfile.lock")


def rows(*names: str) -> list[Any]:
    """Every kind with each of these rows in the soak; those of ALWAYS else."""
    every = itertools.product(KINDS, names)
    return [pytest.param(kind, row) for kind, row in every if ALL or (kind, row) in ALWAYS]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("index")) as address:
        yield address


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """One clone for all: its environments of tools are made once."""
    made = Repository.init(tmp_path_factory.mktemp("lockgate") / "here")
    made.commit()
    return made


def context(repository: Repository, **settings: Any) -> StageContext:
    """The lock stage on the last commit of a repository."""
    source = Source.open(repository.root)
    plan = make_plan(configured(lock=settings).service("api"), facts(), Options(), several=False)
    return StageContext(
        plan=changed(plan, commit=source.head()),
        source=source,
        run_folder=RunFolder.create(repository.root),
        actor=Actor(name="a", email="a@b"),
        run=Run(id="run"),
        emit=lambda event: None,
        open_engine=refuse,
        open_ledger=refuse,
    )


def commit(repository: Repository, files: dict[str, str], **settings: Any) -> StageContext:
    """The same after a commit of these files alone."""
    repository.git("rm", "-rq", "--ignore-unmatch", ".")
    for name, text in files.items():
        repository.write(name, text)
    repository.commit()
    return context(repository, **settings)


TOOLS = {"poetry": poetry.NEWEST, "pdm": pdm.NEWEST, "pipenv": pipenv.NEWEST}


@pytest.fixture(scope="module")
def locked(repository: Repository, index: str, tmp_path_factory: pytest.TempPathFactory) -> Locked:
    """Each is made once, by its tool."""
    made: dict[str, dict[str, str]] = {}
    folder = tmp_path_factory.mktemp("locked")

    def one(name: str) -> dict[str, str]:
        if name not in made:
            kind = KINDS[name]
            files = dict(kind.declare(PLAIN, index))
            program = _program(context(repository), kind.tool)
            made[name] = {**files, kind.file: make(kind, program, folder / name, files)}
        return dict(made[name])

    return one


def _program(ctx: StageContext, tool: str) -> str:
    """The program as the gate installs it."""
    if tool == "uv":
        return find_uv()
    program = install_lock_tool(ctx, LockTool(program=tool, requirement=TOOLS[tool]))
    assert isinstance(program, str), program
    return program


def answer(ctx: StageContext) -> str:
    """What the gate says, with its hint and the lines that it quotes."""
    try:
        made = check_lockfile(ctx)
    except GateFailed as error:
        return "\n".join([error.found, error.hint, *error.tail])
    assert isinstance(made, LockChecked)
    return made.summary


def settings_of(name: str, python: str = PLAIN.python) -> dict[str, Any]:
    return {"python": python} if name in OF_THE_IMAGE else {}


@pytest.mark.parametrize(("name", "row"), rows("fresh"))
def test_what_the_tool_made_is_fresh(repository: Repository, locked: Locked, name: str, row: str) -> None:
    """With its packages; the working copy stays as it is, and no script of the project runs."""
    made = check_lockfile(commit(repository, locked(name), **settings_of(name)))
    packages = dict(made.file.packages)
    packages.pop("hello", None)
    assert made.file.kind == name
    assert packages == {"alpha": "1.0", "beta": "2.0", "gamma": "1.0", "delta": "1.0"} | packages
    assert repository.git("status", "--porcelain") == ""
    assert not (repository.root / "ran").exists()


NAMED = {
    "added": "zeta",
    "removed": "delta",
    "changed bound": "delta",
    "changed extra": r"gamma|alpha==1\.0",
    "changed Python": r"3\.13",
}
"""What the message names."""


@pytest.mark.parametrize(("name", "row"), rows(*STALE))
def test_a_changed_declaration_makes_it_stale(
    repository: Repository, locked: Locked, index: str, name: str, row: str
) -> None:
    """The message names the requirement, and the command that mends it."""
    wanted = STALE[row]
    commit(repository, locked(name))
    files = locked(name) | dict(KINDS[name].declare(wanted, index))
    said = answer(commit(repository, files, **settings_of(name, wanted.python)))
    assert f"{name} is stale" in said
    named = "epsilon" if row == "changed Python" and name in OF_THE_IMAGE else NAMED[row]
    assert re.search(named, said.splitlines()[0]), said
    assert "run `" in said


@pytest.mark.parametrize(("name", "row"), [each for each in rows("loosened") if each.values[0] in HASHED])
def test_a_bound_that_still_fits_is_told_from_the_history(
    repository: Repository, locked: Locked, index: str, name: str, row: str
) -> None:
    """The lockfile keeps a hash alone: what it was made for is in the commit that made it."""
    files = locked(name)
    commit(repository, files)
    for path, text in KINDS[name].declare(replace(PLAIN, delta="delta>=1"), index).items():
        repository.write(path, text)
    repository.commit()
    said = answer(context(repository)).splitlines()[0]
    assert f"{name} is stale: delta>=1 is declared, and {name} was made for delta==1.0" in said


@pytest.mark.parametrize(("name", "row"), rows("corrupted"))
def test_a_damaged_lockfile_is_not_called_stale(
    repository: Repository, locked: Locked, name: str, row: str
) -> None:
    """As one with the conflict marks of a merge."""
    files = locked(name)
    files |= {name: f"<<<<<<< HEAD\n{files[name]}=======\n>>>>>>> topic\n"}
    said = answer(commit(repository, files, **settings_of(name)))
    assert f"{name} could not be checked: it is damaged" in said
    assert "stale" not in said


@pytest.mark.parametrize(("name", "row"), rows("offline"))
def test_without_a_network_a_hash_is_enough_or_nothing_is_told(
    repository: Repository,
    locked: Locked,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    row: str,
) -> None:
    """Poetry, PDM, Pipenv and uv compare what was declared. To compile, uv asks the index."""
    files = locked(name)
    for variable in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    said = answer(commit(repository, files, **settings_of(name)))
    assert KINDS[name].offline in said
    assert "stale" not in said
    passed = answer(commit(repository, files, **settings_of(name), allow_unchecked=True))
    assert "is fresh" in passed or "was not checked" in passed


@pytest.mark.parametrize(("name", "row"), rows("tool missing"))
def test_a_tool_that_cannot_be_had_leaves_it_unchecked(
    repository: Repository,
    locked: Locked,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    row: str,
) -> None:
    """The message names the tool and its version; lock.allow_unchecked passes, and says so."""
    files = locked(name)
    for variable in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.setenv(variable, NOWHERE)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    wanted = f"{KINDS[name].tool}==0.0.1"
    said = answer(commit(repository, files, **settings_of(name), tool=wanted))
    assert f"could not be checked: {wanted} is neither installed nor installable here" in said
    assert "stale" not in said
    passed = answer(commit(repository, files, **settings_of(name), tool=wanted, allow_unchecked=True))
    assert f"{name} was not checked" in passed
