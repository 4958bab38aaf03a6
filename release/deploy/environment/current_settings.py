"""Today's settings of an environment: those of its configuration."""

from __future__ import annotations

from typing import Any

from release.config import Environment
from release.deploy.environment.environment import EnvironmentRef
from release.deploy.environment.files import read_files
from release.deploy.environment.variables import read_variables
from release.errors import Problem
from release.records import Record, Release
from release.runspec import ProcessSpec, RunSpec
from release.tmpfs import options_of


def current_settings(live: EnvironmentRef, target: Record[Release]) -> tuple[RunSpec, list[Problem]]:
    """Return today's settings of the environment, with the probe that the release was tested with."""
    given = live.settings
    spec, problems = _settings(live, target, given, "")
    if not given.processes:
        return spec, problems
    processes = []
    for name, settings in given.every.items():
        own, more = _settings(live, target, settings, name)
        after, exclusive = given.processes[name].after, given.processes[name].exclusive
        processes.append(ProcessSpec(name=name, settings=own, after=after, exclusive=exclusive))
        problems += [problem for problem in more if problem not in problems]
    return spec.model_copy(update={"processes": tuple(processes)}), problems


def _settings(
    live: EnvironmentRef, target: Record[Release], given: Environment, process: str
) -> tuple[RunSpec, list[Problem]]:
    """Return the settings of one process; without processes its name is empty."""
    where = f"environments.{live.place.environment}.files"
    files, problems = read_files(given.files, root=live.workspace.source.root, where=where)
    variables = read_variables(live)
    secret_files = {name: source.file for name, source in given.secrets.items() if source.file is not None}
    own: dict[str, Any] = {
        "env": variables.values | given.env,
        "entrypoint": "replace" if given.command is not None and given.entrypoint == "replace" else None,
        "files": files or None,
        "healthcheck": given.healthcheck.recorded if given.healthcheck is not None else None,
        "probe": target.body.smoke.probe_of(
            given.command, given.entrypoint, process, answers=not process or _answers(given, target)
        ),
        "secret_files": secret_files or None,
        "secrets": dict.fromkeys(given.secrets, ""),
        "tmpfs": tuple(folder.path for folder in given.tmpfs),
        "tmpfs_options": options_of(given.tmpfs),
        **given.target_settings,
    }
    names = RunSpec.model_fields.keys() & type(given).model_fields.keys() - {"proxy", "processes", *own}
    spec = RunSpec(**{name: getattr(given, name) for name in names}, **own)
    return spec, [*problems, *variables.problems]


def _answers(given: Environment, target: Record[Release]) -> bool:
    """Return whether a process publishes the port of the smoke run, or has a proxy."""
    probe = target.body.smoke.probe
    published = {port.container for port in given.publish if port.protocol == "tcp"}
    return given.proxy is not None or (probe is not None and probe.port in published)
