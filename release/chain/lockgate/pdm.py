"""pdm.lock, and pylock.toml of PDM: `pdm lock --check`, without the project's scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from release.chain.lockgate import hashed
from release.chain.lockgate.checking import LockfileCopy, choose_lock_tool
from release.chain.lockgate.declared import parse_pdm_requirements
from release.chain.lockgate.differences import LockContent, package_nodes
from release.chain.lockgate.results import Answer
from release.parsing import tomltext

NEWEST: Final = "pdm==2.29.4"
QUIET: Final = {"PDM_CHECK_UPDATE": "0", "PDM_USE_VENV": "0", "PDM_IGNORE_SAVED_PYTHON": "1"}


def parse_pdm_lock(content: str) -> LockContent:
    """Return the content of a pdm.lock. Raises ValueError, LookupError, TypeError or AttributeError."""
    document = tomltext.read(content, tomltext.LARGEST_LOCK)
    versions: dict[str, set[str]] = {}
    needs: dict[str, list[str]] = {}
    for package in document.get("package", []):
        name = canonicalize_name(package["name"])
        versions.setdefault(name, set()).add(str(package.get("version", "")))
        for node, lines in _dependency_edges(name, package):
            needs.setdefault(node, []).extend(lines)
    targets = document["metadata"].get("targets", [{}])
    return LockContent(
        versions={name: tuple(sorted(found)) for name, found in versions.items()},
        needs={node: tuple(found) for node, found in needs.items()},
        groups=frozenset(document["metadata"].get("groups", ())) or None,
        python=str(targets[0].get("requires_python", "")) if len(targets) == 1 else "",
    )


def _dependency_edges(name: str, package: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    extras = [canonicalize_name(extra) for extra in package.get("extras", ())]
    found: list[str] = []
    for line in package.get("dependencies", ()):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        found += package_nodes(
            canonicalize_name(requirement.name), map(canonicalize_name, requirement.extras)
        )
    yield from ((node, found) for node in package_nodes(name, extras)[bool(extras) :])


def pdm_python_bound(document: Mapping[str, Any]) -> str:
    """Return the Python bound that a project declares."""
    return str(document.get("project", {}).get("requires-python", ""))


KIND: Final = hashed.HashedLockKind(
    project_file="pyproject.toml",
    parse_declared=parse_pdm_requirements,
    read_python_bound=pdm_python_bound,
    parse_lockfile=parse_pdm_lock,
    update_command="pdm lock --update-reuse",
    says="out of date",
)


def check_pdm_lock(lockfile: LockfileCopy) -> Answer:
    """Check a pdm.lock with PDM."""
    return run_pdm_check(lockfile, KIND, {})


def run_pdm_check(lockfile: LockfileCopy, kind: hashed.HashedLockKind, env: Mapping[str, str]) -> Answer:
    """Run PDM's check on a lockfile of one of its formats, without the project's scripts."""
    words = ("lock", "--check", "--verbose", "--skip=:all")
    tool = choose_lock_tool(lockfile.config, "pdm", NEWEST)
    return hashed.check_hashed_lockfile(
        lockfile, kind, lambda: lockfile.run_tool(tool, words, {**QUIET, **env})
    )
