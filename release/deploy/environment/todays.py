"""Today's settings of an environment: those of its configuration."""

from __future__ import annotations

from typing import Any

from release.deploy.environment.environment import EnvironmentRef
from release.deploy.environment.files import read_files
from release.deploy.environment.variables import read_variables
from release.errors import Problem
from release.records import Record, Release
from release.runspec import RunSpec
from release.tmpfs import options_of


def todays(live: EnvironmentRef, target: Record[Release]) -> tuple[RunSpec, list[Problem]]:
    """Today's settings of the environment, and the probe that the release was tested with."""
    given = live.settings
    where = f"environments.{live.place.environment}.files"
    files, problems = read_files(given.files, root=live.workspace.source.root, where=where)
    variables = read_variables(live)
    secret_files = {name: source.file for name, source in given.secrets.items() if source.file is not None}
    own: dict[str, Any] = {
        "env": variables.values,
        "entrypoint": "replace" if given.command is not None and given.entrypoint == "replace" else None,
        "files": files or None,
        "healthcheck": given.healthcheck.recorded if given.healthcheck is not None else None,
        "probe": target.body.smoke.probe_of(given.command, given.entrypoint),
        "secret_files": secret_files or None,
        "secrets": dict.fromkeys(given.secrets, ""),
        "tmpfs": tuple(folder.path for folder in given.tmpfs),
        "tmpfs_options": options_of(given.tmpfs),
        **given.target_settings,
    }
    names = RunSpec.model_fields.keys() & type(given).model_fields.keys() - {"proxy", *own}
    spec = RunSpec(**{name: getattr(given, name) for name in names}, **own)
    return spec, [*problems, *variables.problems]
