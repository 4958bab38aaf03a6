"""Plan of `init`: changes of files, and steps that are left to a person."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from release import config
from release.chain.lockgate.detect import REQUIREMENTS
from release.config.kinds import FILE, OWN_FILE
from release.errors import ConfigError, ReleaseError
from release.init import doors, texts
from release.init.application import server_command
from release.init.facts import RepositoryFacts
from release.init.migrations import keeps_data_in_the_image
from release.init.packages import open_requirements
from release.init.table import add_table, choose_service_name, proposed_table
from release.values import Struct

GITHUB: Final = ".github/workflows/release.yml"
GITLAB: Final = ".gitlab-ci.yml"


class FileChange(Struct, frozen=True, kw_only=True):
    """Change of one file."""

    path: str
    """Path below the repository's root."""
    before: str | None
    """Text before the change; None for a new file."""
    after: str
    reason: str

    @property
    def difference(self) -> list[str]:
        """Return the lines of a unified diff."""
        old = (self.before or "").splitlines()
        source = f"a/{self.path}" if self.before is not None else "/dev/null"
        return list(difflib.unified_diff(old, self.after.splitlines(), source, f"b/{self.path}", lineterm=""))


class SetUp(Struct, frozen=True, kw_only=True):
    """Result of `init`: facts, changes, and steps that are left to a person."""

    service: str
    facts: tuple[tuple[str, str], ...]
    changes: tuple[FileChange, ...]
    missing: tuple[str, ...]
    """Requirements of a release that `init` cannot write."""
    advice: tuple[str, ...]
    """Recommendations; a release works without them."""


def plan_set_up(facts: RepositoryFacts, *, tasks: frozenset[str], branch: str) -> SetUp:
    """Return the plan to set up a repository; write nothing.

    Args:
        facts: the repository, as it was read.
        tasks: names of this library's invoke tasks.
        branch: the branch that CI releases from.
    """
    missing: list[str] = []
    advice: list[str] = [
        *(facts.imported.notes if facts.imported is not None else ()),
        *_recommendations(facts),
    ]
    changes = [*_change_task_files(facts, tasks, missing), *_add_image_files(facts, missing)]
    table = _change_configuration(facts, missing, advice)
    changes += [] if table is None else [table]
    changes += [*_ignore_virtual_environment(facts), *_add_workflow(facts, branch, advice)]
    return SetUp(
        service=choose_service_name(facts),
        facts=tuple(_fact_rows(facts)),
        changes=tuple(changes),
        missing=tuple(missing),
        advice=tuple(advice),
    )


def _fact_rows(facts: RepositoryFacts) -> Iterator[tuple[str, str]]:
    app, packages, image = facts.application, facts.packages, facts.image
    yield "framework", f"{app.framework}: {app.place}" if app else "none found"
    yield "lockfile", packages.lock if packages else "none found"
    stages = ", ".join(each.name for each in image.stages if each.name) if image else ""
    yield (
        "Dockerfile",
        f"{image.path}{f' with the stages {stages}' if stages else ''}" if image else "none: a new one",
    )
    yield "port", f"{facts.port}, path {facts.path}" if facts.path else f"{facts.port}, path unknown"
    yield "tests", facts.test_suite.runner or "none found"
    processes = ", ".join(facts.imported.processes) if facts.imported is not None else ""
    if processes:
        yield "processes", processes
    yield "git server", facts.host or "none"


def _change_task_files(
    facts: RepositoryFacts, tasks: frozenset[str], missing: list[str]
) -> Iterator[FileChange]:
    made = {
        "noxfile.py": (doors.proposed_noxfile(facts.folder.read_text("noxfile.py")), "the nox sessions"),
        "tasks.py": (
            doors.proposed_tasks_file(facts.folder.read_text("tasks.py"), tasks),
            "the invoke tasks",
        ),
    }
    for path, (door, reason) in made.items():
        if door.problem:
            missing.append(door.problem)
        else:
            yield from _change_if_different(facts, path, door.text, reason)


def _change_if_different(facts: RepositoryFacts, path: str, after: str, reason: str) -> Iterator[FileChange]:
    before = facts.folder.read_text(path) if facts.folder.has_file(path) else None
    if after != before:
        yield FileChange(path=path, before=before, after=after, reason=reason)


def _add_image_files(facts: RepositoryFacts, missing: list[str]) -> Iterator[FileChange]:
    """Yield new files Dockerfile and .dockerignore, if they are missing."""
    prefix = "" if facts.context == "." else f"{facts.context}/"
    if facts.packages is None:
        hint = "`invoke explain lockfiles` shows how to make one"
        missing.append(f"a lockfile, as uv.lock or requirements.txt with versions: {hint}")
    missing.extend(_not_locked(facts))
    runs = facts.application is not None or (facts.imported is not None and facts.imported.command)
    if facts.image is None and facts.packages is not None and runs:
        text = texts.dockerfile_text(facts, facts.packages)
        yield from _change_if_different(facts, f"{prefix}Dockerfile", text, "the image, reproducible")
    elif facts.image is None and not runs:
        missing.append(
            "a Dockerfile: no FastAPI, Starlette, Flask or Django application was found. Write one"
        )
    if not facts.folder.has_file(f"{prefix}.dockerignore") and (
        facts.image is not None or facts.packages is not None
    ):
        text = texts.dockerignore_text(new_dockerfile=facts.image is None)
        yield from _change_if_different(
            facts, f"{prefix}.dockerignore", text, "keeps files of development out of the build"
        )


def _not_locked(facts: RepositoryFacts) -> Iterator[str]:
    """Yield the command that makes a lockfile of a requirements.txt whose versions are open."""
    packages = facts.packages
    if packages is None or packages.kind != REQUIREMENTS:
        return
    entries = open_requirements(facts.subfolder.read_text(packages.lock))
    if entries:
        source = str(PurePosixPath(packages.lock).with_suffix(".in"))
        compiled = f"uv pip compile --python-version {packages.python} {source} -o {packages.lock}"
        cd = "" if facts.context == "." else f"cd {facts.context} && "
        yield (
            f"exact versions in {packages.lock}, which has {_first_entries(entries)}: "
            f"{cd}git mv {packages.lock} {source} && {compiled}"
        )


def _first_entries(entries: Sequence[str]) -> str:
    """Return the first entries, and the number of the others."""
    return ", ".join(entries[:3]) + (f" and {len(entries) - 3} more" if len(entries) > 3 else "")


def _change_configuration(facts: RepositoryFacts, missing: list[str], advice: list[str]) -> FileChange | None:
    """Return the change of the configuration file; None if the table exists."""
    folder = facts.folder
    try:
        config.load(folder.root)
    except ConfigError as error:
        if folder.has_file(OWN_FILE) or _has_release_table(folder.project_file):
            missing.extend(map(str, error.problems))
            return None
    else:
        return None
    if not folder.is_missing_or_toml(FILE):
        missing.append(f"{FILE} that can be read: correct its TOML, then run init again")
        return None
    own_file = not folder.has_file(FILE)
    table = remove_refused_keys(proposed_table(facts), folder.project_file, advice)
    file = OWN_FILE if own_file else FILE
    after = add_table(folder.read_text(file), table, own_file=own_file)
    return FileChange(
        path=file, before=None if own_file else folder.read_text(FILE), after=after, reason="the settings"
    )


def _has_release_table(document: Mapping[str, Any]) -> bool:
    tool = document.get("tool")
    return isinstance(tool, dict) and "release" in tool


_STEP: Final = re.compile(r"[^.\[\]]+")


def remove_refused_keys(
    table: dict[str, Any], project: Mapping[str, Any], advice: list[str]
) -> dict[str, Any]:
    """Return the table without keys that the configuration refuses, each with a line of advice.

    Raise ConfigError if the configuration refuses the remaining table.
    """
    for _ in range(20):
        tool = {**project.get("tool", {}), "release": table}
        try:
            config.parse({**project, "tool": tool})
        except ConfigError as error:
            problem = error.problems[0]
            keys = _STEP.findall(problem.path.removeprefix("tool.release").lstrip("."))
            if not _remove_key(table, keys):
                raise
            advice.append(f"{'.'.join(keys)} was left out: {problem.message}")
        else:
            return table
    raise ReleaseError(
        "write the table", "it has more than 20 problems", "write it by hand: invoke explain adopt"
    )


def _remove_key(table: dict[str, Any], keys: list[str]) -> bool:
    """Remove the key at this path, or its nearest existing parent. Return whether a key was removed."""
    while len(keys) > 1:
        inner: Any = table
        for key in keys[:-1]:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict) and keys[-1] in inner:
            del inner[keys[-1]]
            return True
        keys.pop()
    return False


def _ignore_virtual_environment(facts: RepositoryFacts) -> Iterator[FileChange]:
    """Yield a .gitignore if `git add .` would commit the virtual environment."""
    text, virtual = facts.folder.read_text(".gitignore"), facts.folder.environments
    wanted = [line for line in texts.IGNORED if not text] + [f"{path}/" for path in virtual]
    missing = [line for line in dict.fromkeys(wanted) if line not in text.splitlines()]
    after = (
        text + ("" if text.endswith("\n") or not text else "\n") + "".join(f"{line}\n" for line in missing)
    )
    if missing:
        yield from _change_if_different(
            facts, ".gitignore", after, "keeps the virtual environment out of commits"
        )


def _add_workflow(facts: RepositoryFacts, branch: str, advice: list[str]) -> Iterator[FileChange]:
    """Yield a release workflow for the repository's CI system, if there is none."""
    python = facts.packages.python if facts.packages is not None else "3.13"
    registry = facts.imported.tables.get("registry") if facts.imported is not None else None
    given: dict[str, Any] = {"branch": branch, "python": python, "registry": registry}
    on_github = facts.host == "github.com" or bool(facts.folder.paths_below(".github/workflows"))
    on_gitlab = "gitlab" in facts.host or facts.folder.has_file(GITLAB)
    if on_github and not _has_release_workflow(facts, facts.folder.paths_below(".github/workflows")):
        yield from _change_if_different(
            facts, GITHUB, texts.workflow_text("github", **given), "releases on GitHub Actions"
        )
    if on_gitlab and not facts.folder.has_file(GITLAB):
        text = texts.workflow_text("gitlab", **given)
        yield from _change_if_different(facts, GITLAB, text, "releases on GitLab CI")
    elif on_gitlab and not _has_release_workflow(facts, [GITLAB]):
        advice.append(f"{GITLAB} is left as it is: add a job that runs `nox -s release`")


def _has_release_workflow(facts: RepositoryFacts, files: list[str]) -> bool:
    return any("nox -s" in facts.folder.read_text(path) for path in files)


def _recommendations(facts: RepositoryFacts) -> Iterator[str]:
    """Yield recommendations as sentences."""
    app = facts.application
    yield from _recommend_server(facts)
    if app is not None and app.framework == "Django" and keeps_data_in_the_image(facts.subfolder, app):
        yield f"{app.settings} keeps SQLite beside the code: each deployment begins with an empty database"
    if facts.path is None and app is not None:
        yield "no path for a health check was found: the smoke run only connects to the port"
    is_new = not (facts.folder.has_file(OWN_FILE) or _has_release_table(facts.folder.project_file))
    if is_new and facts.test_suite.ruff is None:
        yield "no settings of ruff were found: it looks only for syntax errors and undefined names"
    if not facts.test_suite.runner:
        yield "no tests were found: the release records that"
    for name in facts.imported.processes if facts.imported is not None else ():
        yield f"the process {name} has no smoke run: `invoke explain several-processes` shows how to add one"
    for name in facts.variables:
        yield f"set {name} before you deploy: the source reads it"


def _recommend_server(facts: RepositoryFacts) -> Iterator[str]:
    """Yield a recommendation if a new Dockerfile's command would be a development server."""
    app, packages = facts.application, facts.packages
    given = facts.image is not None or (facts.imported is not None and facts.imported.command)
    if app is None or packages is None or given:
        return
    command, for_production = server_command(app, packages, facts.port)
    if not for_production:
        server = "uvicorn" if app.framework in ("FastAPI", "Starlette") else "gunicorn"
        yield f"the lockfile has no server for production: add {server}, then replace {command[0]} in CMD"
