"""Pipfile.lock: `pipenv verify`, without the variables of a `.env`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from packaging.utils import canonicalize_name

from release import jsontext
from release.chain.lockgate import hashed
from release.chain.lockgate.checking import Checking, pinned_tool
from release.chain.lockgate.declared import of_pipfile
from release.chain.lockgate.differences import Locked
from release.chain.lockgate.results import Answer

NEWEST: Final = "pipenv==2026.10.3"
QUIET: Final = {"PIPENV_IGNORE_VIRTUALENVS": "1", "PIPENV_NOSPIN": "1", "PIPENV_DONT_LOAD_ENV": "1"}


def read(content: str) -> Locked:
    """Return the content of a Pipfile.lock. Raises ValueError, LookupError, TypeError or AttributeError."""
    document = jsontext.read(content)
    versions: dict[str, set[str]] = {}
    direct: set[str] = set()
    for section, packages in document.items():
        for name, about in packages.items() if section != "_meta" else ():
            key = canonicalize_name(name)
            versions.setdefault(key, set()).add(str(about.get("version") or about.get("ref", "")).lstrip("="))
            direct |= {key} if "index" in about else set()
    return Locked(
        versions={name: tuple(sorted(found)) for name, found in versions.items()},
        needs={},
        with_extras=False,
        direct=frozenset(direct),
        python=_required(document["_meta"].get("requires", {})),
    )


def _required(requires: Mapping[str, Any]) -> str:
    version = requires.get("python_full_version") or requires.get("python_version")
    return f"=={version}.*" if version else ""


def python(document: Mapping[str, Any]) -> str:
    """Return the Python bound that a Pipfile declares."""
    return _required(document.get("requires", {}))


KIND: Final = hashed.Hashed(
    project="Pipfile",
    declares=of_pipfile,
    python=python,
    read=read,
    mend="pipenv lock",
    says="out-of-date",
)


def check(found: Checking) -> Answer:
    """Check a Pipfile.lock with Pipenv."""
    tool = pinned_tool(found.config, "pipenv", NEWEST)
    return hashed.check(found, KIND, lambda: found.ask(tool, ("verify",), QUIET))
