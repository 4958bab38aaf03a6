"""pdm.lock, and pylock.toml of PDM: `pdm lock --check`, without the project's scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from release import tomltext
from release.chain.lockgate import hashed
from release.chain.lockgate.checking import Checking, pinned_tool
from release.chain.lockgate.declared import of_pdm
from release.chain.lockgate.differences import Locked, nodes
from release.chain.lockgate.results import Answer

NEWEST: Final = "pdm==2.29.4"
QUIET: Final = {"PDM_CHECK_UPDATE": "0", "PDM_USE_VENV": "0", "PDM_IGNORE_SAVED_PYTHON": "1"}


def read(content: str) -> Locked:
    """Return the content of a pdm.lock. Raises ValueError, LookupError, TypeError or AttributeError."""
    document = tomltext.read(content, tomltext.LARGEST_LOCK)
    versions: dict[str, set[str]] = {}
    needs: dict[str, list[str]] = {}
    for package in document.get("package", []):
        name = canonicalize_name(package["name"])
        versions.setdefault(name, set()).add(str(package.get("version", "")))
        for node, lines in _needs(name, package):
            needs.setdefault(node, []).extend(lines)
    targets = document["metadata"].get("targets", [{}])
    return Locked(
        versions={name: tuple(sorted(found)) for name, found in versions.items()},
        needs={node: tuple(found) for node, found in needs.items()},
        groups=frozenset(document["metadata"].get("groups", ())) or None,
        python=str(targets[0].get("requires_python", "")) if len(targets) == 1 else "",
    )


def _needs(name: str, package: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    extras = [canonicalize_name(extra) for extra in package.get("extras", ())]
    found: list[str] = []
    for line in package.get("dependencies", ()):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        found += nodes(canonicalize_name(requirement.name), map(canonicalize_name, requirement.extras))
    yield from ((node, found) for node in nodes(name, extras)[bool(extras) :])


def python(document: Mapping[str, Any]) -> str:
    """Return the Python bound that a project declares."""
    return str(document.get("project", {}).get("requires-python", ""))


KIND: Final = hashed.Hashed(
    project="pyproject.toml",
    declares=of_pdm,
    python=python,
    read=read,
    mend="pdm lock --update-reuse",
    says="out of date",
)


def check(found: Checking) -> Answer:
    """Check a pdm.lock with PDM."""
    return ask(found, KIND, {})


def ask(found: Checking, kind: hashed.Hashed, env: Mapping[str, str]) -> Answer:
    """Run PDM's check on a lockfile of one of its formats, without the project's scripts."""
    words = ("lock", "--check", "--verbose", "--skip=:all")
    tool = pinned_tool(found.config, "pdm", NEWEST)
    return hashed.check(found, kind, lambda: found.ask(tool, words, {**QUIET, **env}))
