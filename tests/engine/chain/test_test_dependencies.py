"""Tests whose dependencies come from the lockfile of the project's own tool, in a throw-away layer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from release.chain.lockgate import pdm, pipenv, poetry
from release.chain.tools import find_uv
from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.chain.lockgate.index import serving
from tests.engine.chain.lockgate.kinds import Kind, make
from tests.engine.chain.lockgate.tooling import tool_program
from tests.engine.service import Service
from tests.soak.rows import ALL

pytestmark = pytest.mark.xdist_group("lock tools")  # so that each tool is installed once

VENV: Final = f"""\
FROM {lab.SMALL_IMAGE} AS runtime
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_NO_COMPILE=1
COPY own wheels /wheels/
RUN python3 -m venv --without-pip /venv && pip --python /venv/bin/python install alpha[more]==1.0
COPY app.py /srv/app.py
USER 10001
CMD ["/venv/bin/python", "/srv/app.py"]
"""
CHECK: Final = """\
import os, sys
from importlib.metadata import distributions, version
assert sys.prefix == "/venv", sys.prefix
assert os.getuid() == 10001
found = {each.metadata["Name"]: each.version for each in distributions()}
print(found)
assert found["delta"] == "1.0"
assert found["beta"] == "2.0"
assert "zeta" not in found
print("1 passed")
"""
"""It runs in the image's environment, as its user, with the group and without other groups."""

ABOUT: Final = '[project]\nname = "hello"\nversion = "1"\nrequires-python = ">=3.11"\n'
MAIN: Final = f'{ABOUT}dependencies = ["alpha[more]==1.0"]\n'
GROUPS: Final = '[dependency-groups]\ndev = ["delta==1.0"]\nother = ["zeta"]\n'
REQUIREMENTS: Final = "-r requirements.txt\ndelta==1.0\nepsilon==1.0\n"


def uv_files(index: str) -> dict[str, str]:
    return {"pyproject.toml": f'{MAIN}{GROUPS}[[tool.uv.index]]\nurl = "{index}"\ndefault = true\n'}


def poetry_files(index: str) -> dict[str, str]:
    source = f'[[tool.poetry.source]]\nname = "here"\nurl = "{index}"\npriority = "primary"\n'
    groups = '[tool.poetry.group.dev.dependencies]\ndelta = "1.0"\n'
    groups += '[tool.poetry.group.other.dependencies]\nzeta = "*"\n'
    return {"pyproject.toml": f"{MAIN}[tool.poetry]\npackage-mode = false\n{groups}{source}"}


def pdm_files(index: str) -> dict[str, str]:
    source = f'[[tool.pdm.source]]\nname = "pypi"\nurl = "{index}"\n'
    return {"pyproject.toml": f"{MAIN}{GROUPS}[tool.pdm]\ndistribution = false\n{source}"}


def pipenv_files(index: str) -> dict[str, str]:
    source = f'[[source]]\nname = "here"\nurl = "{index}"\nverify_ssl = false\n'
    packages = '[packages]\nalpha = {version = "==1.0", extras = ["more"]}\n'
    return {"Pipfile": f'{source}{packages}[dev-packages]\ndelta = "==1.0"\n'}


KINDS: Final = {
    "uv.lock": (Kind("uv.lock", lambda *_: {}, "uv", ("lock",), ""), uv_files, "", ["dev"]),
    "poetry.lock": (
        Kind("poetry.lock", lambda *_: {}, "poetry", ("lock",), ""),
        poetry_files,
        poetry.NEWEST,
        ["dev"],
    ),
    "pdm.lock": (
        Kind("pdm.lock", lambda *_: {}, "pdm", ("lock", "--skip=:all"), ""),
        pdm_files,
        pdm.NEWEST,
        ["dev"],
    ),
    "Pipfile.lock": (
        Kind("Pipfile.lock", lambda *_: {}, "pipenv", ("lock",), ""),
        pipenv_files,
        pipenv.NEWEST,
        ["develop"],
    ),
}
"""Tool, declaration, requirement of the tool, and groups of the tests."""

ALWAYS: Final = ("uv.lock", "poetry.lock")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("groups")


@pytest.fixture(scope="module")
def index(folder: Path) -> Iterator[str]:
    with serving(folder / "index") as address:
        yield address


def locked(folder: Path, index: str, name: str) -> dict[str, str]:
    """The files of a project, with the lockfile that its tool made."""
    kind, declare, requirement, _ = KINDS[name]
    files = declare(index)
    program = tool_program(folder, requirement) if requirement else find_uv()
    return {**files, name: make(kind, program, folder / name, files)}


def service_of(make: Make, index: Path, files: dict[str, str], **test: Any) -> Service:
    """A service on a virtual environment, whose tests `.dockerignore` leaves out."""
    more = {"Dockerfile": VENV, ".dockerignore": "tests\n", "tests/check.py": CHECK}
    settings = {"copy": ["tests"], "command": ["python", "tests/check.py"], **test}
    service = make(files={**more, "requirements.in": ""}, test=settings, installed={"check": "fail"})
    (service.folder / "wheels").mkdir()
    for wheel in index.glob("*/*.whl"):
        (service.folder / "wheels" / wheel.name).write_bytes(wheel.read_bytes())
    (service.folder / "requirements.txt").unlink()
    project = files.pop("pyproject.toml", "")
    table = (service.folder / "pyproject.toml").read_text()
    service.commit("feat: lock", {**files, "pyproject.toml": f"{table}\n{project}"})
    return service


@pytest.mark.parametrize("name", [name for name in KINDS if ALL or name in ALWAYS])
def test_a_group_is_installed_from_the_lockfile(make: Make, folder: Path, index: str, name: str) -> None:
    """In its versions, with its hashes, into the environment of the image; a changed file is refused.

    The image without the group has what the lockfile locks.
    """
    files = locked(folder, index, name)
    service = service_of(make, folder / "index", dict(files), groups=KINDS[name][3])
    ran = service.nox("test")
    assert ran.status == 0, ran.all
    assert "1 passed" in ran.err
    ran = service.nox("installed")
    assert ran.status == 0, ran.all
    assert f"3 packages, as {name} locks them" in ran.err
    (wheel,) = (service.folder / "wheels").glob("delta-1.0*")
    wheel.write_bytes(wheel.read_bytes() + b"x")
    service.commit("fix: another file", {})
    ran = service.nox("test")
    assert ran.status == 1, ran.all
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in ran.all


def test_a_package_that_the_image_lacks_is_not_added_for_the_tests(
    make: Make, folder: Path, index: str
) -> None:
    """What the service needs and the image lacks fails as in production, and a version of the image stays."""
    files = {**uv_files(index)}
    files["uv.lock"] = make_lock(folder, index)
    files["Dockerfile"] = VENV.replace("alpha[more]==1.0", "beta==1.0")
    files["tests/check.py"] = (
        "from importlib.metadata import distributions\n"
        'found = {each.metadata["Name"]: each.version for each in distributions()}\n'
        'assert "alpha" not in found and found["beta"] == "1.0" and found["delta"] == "1.0", found\n'
        'print("1 passed")\n'
    )
    service = service_of(make, folder / "index", {}, groups=["dev"])
    table = (service.folder / "pyproject.toml").read_text()
    files["pyproject.toml"] = f"{table}\n{files['pyproject.toml']}"
    service.commit("feat: lack it", files)
    ran = service.nox("test")
    assert ran.status == 0, ran.all


def make_lock(folder: Path, index: str) -> str:
    return make(KINDS["uv.lock"][0], find_uv(), folder / lab.unique(), uv_files(index))


def test_a_requirements_file_replaces_nothing_of_the_image(make: Make, folder: Path) -> None:
    """It is installed with what it includes; a version other than the image's is refused, by pip's words."""
    files = {
        "requirements.txt": "alpha[more]==1.0\nbeta==2.0\ngamma==1.0\n",
        "requirements-dev.txt": REQUIREMENTS,
    }
    service = service_of(make, folder / "index", dict(files), requirements=["requirements-dev.txt"])
    ran = service.nox("test")
    assert ran.status == 0, ran.all
    service.commit("fix: older", {"requirements-dev.txt": "delta==1.0\nepsilon\nbeta==1.0\n"})
    ran = service.nox("test")
    assert ran.status == 1, ran.all
    assert "the requirements files of the tests pin no version of epsilon" in ran.err
    assert "beta==2.0" in ran.all
    service.commit("fix: a folder", {"requirements-dev.txt": "-e .\n"})
    ran = service.nox("test")
    assert "requirements-dev.txt (`test.requirements`) cannot be used: it installs ." in ran.err, ran.all


def test_pytest_of_a_real_lockfile_runs_in_the_image(make: Make) -> None:
    """From the package index, with the hashes of uv; no stage of the Dockerfile has the tests."""
    dockerfile = VENV.replace("ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_NO_COMPILE=1\n", "")
    dockerfile = dockerfile.replace("COPY own wheels /wheels/", "COPY own /")
    dockerfile = dockerfile.replace(" && pip --python /venv/bin/python install alpha[more]==1.0", "")
    project = f'{ABOUT}dependencies = []\n[dependency-groups]\ndev = ["pytest==8.4.2"]\n'
    tests = {"tests/test_it.py": "import sys\n\n\ndef test_it():\n    assert sys.prefix == '/venv'\n"}
    service = make(
        files={"Dockerfile": dockerfile, ".dockerignore": "tests\n", "requirements.in": "", **tests},
        test={"groups": ["dev"], "copy": ["tests"], "command": ["python", "-m", "pytest", "-q", "tests"]},
    )
    table = (service.folder / "pyproject.toml").read_text()
    (service.folder / "pyproject.toml").write_text(f"{table}\n{project}")
    (service.folder / "requirements.txt").unlink()
    service.run(find_uv(), "lock", "--quiet")
    service.commit("feat: lock", {})
    ran = service.nox("test")
    assert ran.status == 0, ran.all
    assert "1 passed" in ran.err
