"""The arrows of the house: which room may import which."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

import release

PACKAGE = Path(release.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = ("console", "images", "ledger", "chain", "deploy", "commands")
DOOR = {"sessions", "tasks", "commands", "recovery", "remake"}
FORBIDDEN = {
    "vocabulary": {"images", "ledger", "chain", "deploy", *DOOR},
    "console": {"images", "ledger", "chain", "deploy", *DOOR},
    "images": {"ledger", "chain", "deploy", "console", *DOOR},
    "ledger": {"images", "chain", "deploy", "console", *DOOR},
    "chain": {"deploy", "console", *DOOR},
    "deploy": {"chain", "console", *DOOR},
    "commands": {"sessions", "tasks", "chain"},
    "doors": set[str](),
}
OUTSIDE = {
    "docker": {
        "images/engine/__init__.py",
        "images/engine/address.py",
        "images/engine/connection.py",
        "images/engine/containers.py",
        "images/engine/execution.py",
        "images/engine/images.py",
        "images/swarm.py",
        "images/credentials.py",
        "images/dockerignore.py",
        "images/faults.py",
    },
    "git": {"plumbing.py"},
    "msgspec": {"frozen.py"},
    "dataclasses": {"frozen.py"},
    "subprocess": {"process.py", "plumbing.py"},
}


def name_of(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def room_of(module: Path) -> str:
    parts = module.relative_to(PACKAGE).parts
    if parts[0] in ROOMS:
        return parts[0]
    return "doors" if len(parts) == 1 and module.stem in DOOR | {"__init__"} else "vocabulary"


@functools.cache
def nodes_of(module: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(module.read_text(encoding="utf-8"))))


@functools.cache
def imports_of(module: Path) -> frozenset[str]:
    found: set[str] = set()
    for node in nodes_of(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_imports_run_one_way(module: Path) -> None:
    """Vocabulary ← images, ledger ← chain, deploy ← commands ← doors; chain and deploy never meet."""
    rooms = {name.split(".")[1] for name in imports_of(module) if name.startswith("release.")}
    assert not rooms & FORBIDDEN[room_of(module)]


@pytest.mark.parametrize("library", OUTSIDE)
def test_a_library_has_one_home(library: str) -> None:
    """docker, git, what values are made of, and processes are imported where they belong and nowhere else."""
    users = {name_of(m) for m in MODULES if any(name.split(".")[0] == library for name in imports_of(m))}
    assert users <= OUTSIDE[library]


def test_one_room_prints() -> None:
    """`print` and the standard streams are the console's alone."""
    for module in MODULES:
        calls = {
            node.func.id
            for node in nodes_of(module)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        streams = {
            node.attr
            for node in nodes_of(module)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys"
        } & {"stdin", "stdout", "stderr"}
        assert not ({"print"} & calls or streams) or room_of(module) == "console", module
