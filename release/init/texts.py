"""Texts of new files: noxfile.py, tasks.py, Dockerfile, .dockerignore, and CI workflows."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from release.chain.lockgate.detect import PDM, PIPENV, POETRY, PYLOCK, UV
from release.init.application import server_command
from release.init.facts import RepositoryFacts
from release.init.packages import ProjectPackages
from release.parsing import jsontext
from release.values import Struct

NOXFILE: Final = "import release\n\nrelease.register()\n"
TASKS: Final = "import release\n\nns = release.namespace()\n"
IGNORED: Final = (".venv/", ".nox/", "__pycache__/")


class LockExport(Struct, frozen=True, kw_only=True):
    """Build stage that writes a requirements.txt from another kind of lockfile."""

    tools: str
    files: str
    command: str


@cache
def _template_environment() -> Environment:
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    return Environment(  # noqa: S701 - the results are no HTML
        loader=loader,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )


def _version_of_package(package: str) -> str:
    return importlib.metadata.version(package)


def _lock_export_stage(packages: ProjectPackages) -> LockExport | None:
    """Return the stage for this kind of lockfile; None if pip can read the lockfile."""
    out = "requirements.txt"
    match packages.kind:
        case kind if kind == UV:
            command = f"uv export --frozen --no-dev --no-emit-workspace --no-header -o {out}"
            return LockExport(
                tools=f"uv=={_version_of_package('uv')}", files="pyproject.toml uv.lock", command=command
            )
        case kind if kind == POETRY:
            tools = "poetry poetry-plugin-export"
            return LockExport(
                tools=tools, files="pyproject.toml poetry.lock", command=f"poetry export -o {out}"
            )
        case kind if kind == PDM:
            command = f"pdm export --prod -o {out}"
            return LockExport(tools="pdm", files="pyproject.toml pdm.lock", command=command)
        case kind if kind == PIPENV:
            command = f"pipenv requirements --hash > {out}"
            return LockExport(tools="pipenv", files="Pipfile Pipfile.lock", command=command)
        case kind if kind == PYLOCK:
            command = f"uv pip compile --no-header {packages.lock} -o {out}"
            return LockExport(tools=f"uv=={_version_of_package('uv')}", files=packages.lock, command=command)
    return None


def dockerfile_text(facts: RepositoryFacts, packages: ProjectPackages) -> str:
    """Return the text of a new Dockerfile."""
    export = _lock_export_stage(packages)
    command, signal = _image_command(facts)
    hashed = "--require-hashes " if packages.has_hashes and export is None else ""
    folder = packages.lock.rpartition("/")[0]
    path = f"/build/{packages.lock}" if export is None else "/build/requirements.txt"
    source = facts.application.source if facts.application is not None else "."
    return (
        _template_environment()
        .get_template("Dockerfile.j2")
        .render(
            python=packages.python,
            export=export,
            lock_files=" ".join([packages.lock, *_included_requirement_files(facts, packages)]),
            lock_folder=f"{folder}/" if folder else "",
            install=f"{hashed}-r {path}",
            source="." if source == "." else f"{source}/",
            collect=_static_command(facts),
            port_variable=facts.application is not None and facts.subfolder.first_existing("Procfile"),
            port=facts.port if facts.application is not None else None,
            stop_signal=signal,
            command=json.dumps(list(command)),
        )
    )


def _static_command(facts: RepositoryFacts) -> str | None:
    """Return the command that collects static files of Django; None if no setting says where to."""
    app = facts.application
    if app is None or app.settings is None or "STATIC_ROOT" not in facts.subfolder.read_text(app.settings):
        return None
    given = "".join(f"{name}=build " for name in facts.variables)
    return f"PYTHONDONTWRITEBYTECODE=1 {given}/venv/bin/python manage.py collectstatic --noinput"


def _included_requirement_files(facts: RepositoryFacts, packages: ProjectPackages) -> Sequence[str]:
    """Return the files that a requirements.txt includes."""
    text, folder = facts.subfolder.read_text(packages.lock), packages.lock.rpartition("/")[0]
    named = re.findall(r"^-[rc]\s*(\S+)", text, re.MULTILINE)
    paths = [f"{folder}/{name}" if folder else name for name in named]
    return [path for path in paths if path in facts.subfolder.files]


def _image_command(facts: RepositoryFacts) -> tuple[Sequence[str], str | None]:
    """Return the command of the image, and the signal that stops a server of development."""
    if facts.imported is not None and facts.imported.command:
        return facts.imported.command, None
    if facts.application is None:
        return ("python", "-m", "app"), None
    command, for_production = server_command(facts.application, facts.packages, facts.port)
    return command, None if for_production else "SIGINT"


def dockerignore_text(*, new_dockerfile: bool) -> str:
    """Return the text of a new .dockerignore."""
    return _template_environment().get_template("dockerignore.j2").render(new_dockerfile=new_dockerfile)


def workflow_text(kind: str, *, branch: str, python: str, registry: str | None) -> str:
    """Return the text of a workflow for "github" or "gitlab"."""
    host = registry.partition("/")[0] if registry else None
    return (
        _template_environment()
        .get_template(f"{kind}.yml.j2")
        .render(branch=branch, python=python, registry=host, package=_library_requirement())
    )


def _library_requirement() -> str | None:
    """Return pip's requirement of this library from its git server; None for another source."""
    try:
        text = importlib.metadata.distribution("nox-release").read_text("direct_url.json")
        document = jsontext.read_object(text or "")
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
    info, url = document.get("vcs_info"), document.get("url")
    if not isinstance(info, dict) or not isinstance(url, str) or not url.startswith(("https://", "ssh://")):
        return None
    return shlex.quote(f"nox-release @ git+{url}@{info.get('commit_id', '')}")
