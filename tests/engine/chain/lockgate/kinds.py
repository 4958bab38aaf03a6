"""The six kinds of lockfile, each made by its real tool from the same declaration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class Declaration:
    """What a service asks for."""

    alpha: str = "alpha[more]==1.0"
    delta: str = "delta==1.0"
    more: str = ""
    python: str = "3.11"


PLAIN: Final = Declaration()
STALE: Final[Mapping[str, Declaration]] = {
    "added": replace(PLAIN, more="zeta>=1"),
    "removed": replace(PLAIN, delta=""),
    "changed bound": replace(PLAIN, delta="delta>=2"),
    "changed extra": replace(PLAIN, alpha="alpha==1.0"),
    "changed Python": replace(PLAIN, python="3.13"),
}


@dataclass(frozen=True)
class Kind:
    """One kind of lockfile."""

    file: str
    declare: Callable[[Declaration, str], Mapping[str, str]]
    """Files of a declaration, by the address of the index."""
    tool: str
    """Program that makes the lockfile; its requirement with version."""
    words: tuple[str, ...]
    offline: str
    """Words of the answer if the index is out of reach."""


def _lines(wanted: Declaration) -> list[str]:
    return [line for line in (wanted.alpha, wanted.delta, wanted.more) if line]


def _project(wanted: Declaration, more: str) -> dict[str, str]:
    lines = ", ".join(f'"{line}"' for line in _lines(wanted))
    about = f'[project]\nname = "hello"\nversion = "1"\nrequires-python = ">={wanted.python}"\n'
    return {"pyproject.toml": f"{about}dependencies = [{lines}]\n\n{more}"}


def _of_uv(wanted: Declaration, index: str) -> Mapping[str, str]:
    return _project(wanted, f'[[tool.uv.index]]\nurl = "{index}"\ndefault = true\n')


def _of_poetry(wanted: Declaration, index: str) -> Mapping[str, str]:
    source = f'[[tool.poetry.source]]\nname = "here"\nurl = "{index}"\npriority = "primary"\n'
    return _project(wanted, f"[tool.poetry]\npackage-mode = false\n\n{source}")


def _of_pdm(wanted: Declaration, index: str) -> Mapping[str, str]:
    traps = '[tool.pdm.scripts]\npre_lock = "touch ran"\npost_lock = "touch ran"\n'
    source = f'[[tool.pdm.source]]\nname = "pypi"\nurl = "{index}"\n'
    return _project(wanted, f"[tool.pdm]\ndistribution = false\n\n{source}\n{traps}")


def _of_pipenv(wanted: Declaration, index: str) -> Mapping[str, str]:
    lines = [f'[[source]]\nname = "here"\nurl = "{index}"\nverify_ssl = false\n\n[packages]']
    for line in _lines(wanted):
        name = line.partition("[")[0].partition("=")[0].partition(">")[0]
        bound = line[line.index("=") - (line[line.index("=") - 1] == ">") :]
        extras = ', extras = ["more"]' if "[" in line else ""
        lines.append(f'{name} = {{version = "{bound}", index = "here"{extras}}}')
    return {"Pipfile": "\n".join([*lines, "", "[requires]", f'python_version = "{wanted.python}"', ""])}


def _of_source(wanted: Declaration, index: str) -> Mapping[str, str]:
    return {"requirements.in": "\n".join([f"--index-url {index}", *_lines(wanted), ""])}


OF_THE_IMAGE: Final = ("pylock.toml", "requirements.txt")
"""Kinds whose Python is that of the service's image, or `lock.python`."""

KINDS: Final[Mapping[str, Kind]] = {
    "uv.lock": Kind("uv.lock", _of_uv, "uv", ("lock",), "is fresh"),
    "poetry.lock": Kind("poetry.lock", _of_poetry, "poetry", ("lock",), "is fresh"),
    "pdm.lock": Kind("pdm.lock", _of_pdm, "pdm", ("lock", "--skip=:all"), "is fresh"),
    "Pipfile.lock": Kind("Pipfile.lock", _of_pipenv, "pipenv", ("lock",), "is fresh"),
    "pylock.toml": Kind(
        "pylock.toml", _of_source, "uv", ("pip", "compile", "requirements.in", "-o", "pylock.toml"),
        "could not be checked",
    ),
    "requirements.txt": Kind(
        "requirements.txt", _of_source, "uv",
        ("pip", "compile", "--emit-index-url", "requirements.in", "-o", "requirements.txt"),
        "could not be checked",
    ),
}  # fmt: skip


def make(kind: Kind, program: str, folder: Path, files: Mapping[str, str]) -> str:
    """Write the files into a new folder, run the tool there as a developer would, and return its lockfile."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    environ |= {"UV_PYTHON_DOWNLOADS": "never", "PDM_USE_VENV": "0", "PDM_CHECK_UPDATE": "0"}
    environ |= {"POETRY_VIRTUALENVS_CREATE": "false", "VIRTUAL_ENV": str(Path(program).parent.parent)}
    environ |= {"HOME": str(folder), "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    ran = subprocess.run(
        (program, *kind.words), cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return (folder / kind.file).read_text()
