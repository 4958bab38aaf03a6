"""Pipfile.lock: `pipenv verify`, without the variables of a `.env`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from packaging.utils import canonicalize_name

from release.chain.lockgate import hashed
from release.chain.lockgate.checking import LockfileCopy, choose_lock_tool
from release.chain.lockgate.declared import parse_pipfile_requirements
from release.chain.lockgate.differences import LockContent
from release.chain.lockgate.results import Answer
from release.parsing import jsontext

NEWEST: Final = "pipenv==2026.10.3"
QUIET: Final = {"PIPENV_IGNORE_VIRTUALENVS": "1", "PIPENV_NOSPIN": "1", "PIPENV_DONT_LOAD_ENV": "1"}


def parse_pipfile_lock(content: str) -> LockContent:
    """Return the content of a Pipfile.lock. Raises ValueError, LookupError, TypeError or AttributeError."""
    document = jsontext.read(content)
    versions: dict[str, set[str]] = {}
    direct: set[str] = set()
    for section, packages in document.items():
        for name, about in packages.items() if section != "_meta" else ():
            key = canonicalize_name(name)
            versions.setdefault(key, set()).add(str(about.get("version") or about.get("ref", "")).lstrip("="))
            direct |= {key} if "index" in about else set()
    return LockContent(
        versions={name: tuple(sorted(found)) for name, found in versions.items()},
        needs={},
        with_extras=False,
        direct_names=frozenset(direct),
        python=_python_bound(document["_meta"].get("requires", {})),
    )


def _python_bound(requires: Mapping[str, Any]) -> str:
    version = requires.get("python_full_version") or requires.get("python_version")
    return f"=={version}.*" if version else ""


def pipfile_python_bound(document: Mapping[str, Any]) -> str:
    """Return the Python bound that a Pipfile declares."""
    return _python_bound(document.get("requires", {}))


KIND: Final = hashed.HashedLockKind(
    project_file="Pipfile",
    parse_declared=parse_pipfile_requirements,
    read_python_bound=pipfile_python_bound,
    parse_lockfile=parse_pipfile_lock,
    update_command="pipenv lock",
    says="out-of-date",
)


def check_pipfile_lock(lockfile: LockfileCopy) -> Answer:
    """Check a Pipfile.lock with Pipenv."""
    tool = choose_lock_tool(lockfile.config, "pipenv", NEWEST)
    return hashed.check_hashed_lockfile(lockfile, KIND, lambda: lockfile.run_tool(tool, ("verify",), QUIET))
