"""Settings of smoke runs, taken from the environments if all of them agree."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from release.config.environment import Environment
from release.config.smoke import Smoke, SmokeRun
from release.tmpfs import Tmpfs

_Run = TypeVar("_Run", bound=SmokeRun)

_SHARED: Final = ("command", "user", "cap_add", "stop_signal", "stop_grace", "init", "read_only", "tmpfs")
"""Keys of `smoke` and of environments that mean the same."""

_TEMPORARY: Final = Tmpfs(path="/tmp")  # noqa: S108 - in the container

MAIN: Final = ""
"""Name of the smoke run of `[tool.release.smoke]` itself."""


def smoke_runs(smoke: Smoke, environments: Mapping[str, Environment]) -> dict[str, SmokeRun]:
    """Return the smoke runs by the name of their process; `MAIN` is there if `smoke` itself asks something.

    A process takes settings from the environments that run its command, and `MAIN` from all others.
    """
    processes = {name: smoke.process(name) for name in smoke.processes}
    runs: dict[str, SmokeRun] = {MAIN: main_run(smoke, environments)} if smoke.asks else {}
    for name, run in processes.items():
        runs[name] = fill_from_environments(run, [each for _, each in _running(name, run, environments)])
    return runs


def _running(
    name: str, run: SmokeRun, environments: Mapping[str, Environment]
) -> list[tuple[tuple[str, str], Environment]]:
    """Return the settings that a smoke run of a process represents, by environment and process.

    These settings have the command of the run. Without a command, they are those of processes of its name.
    """
    every = _every(environments)
    if run.command is None and (named := [each for each in every if each[0][1] == name]):
        return named
    return [each for each in every if _same(each[1], run)]


def unknown_processes(smoke: Smoke, environments: Mapping[str, Environment]) -> Iterator[str]:
    """Return the smoke processes that have neither a command nor a process of their name in an environment.

    Without processes in any environment, such a run starts the command of the image.
    """
    known = dict.fromkeys(process for (_, process), _ in _every(environments) if process)
    for name in smoke.processes:
        if name in known or not known or smoke.process(name).command is not None:
            continue
        close = difflib.get_close_matches(name, known, n=1)
        advice = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
        found = "no environment has such a process, and it has no command"
        yield f"smoke.processes.{name}: {found}; {advice}"


def _every(environments: Mapping[str, Environment]) -> list[tuple[tuple[str, str], Environment]]:
    """Return the settings of each process of each environment."""
    return [
        ((name, process), settings)
        for name, environment in environments.items()
        for process, settings in environment.every.items()
    ]


def main_run(smoke: Smoke, environments: Mapping[str, Environment]) -> Smoke:
    """Return the settings of `smoke` itself, with those that the environments decide."""
    runs = {name: smoke.process(name) for name in smoke.processes}
    taken = {key for name, run in runs.items() for key, _ in _running(name, run, environments)}
    return fill_from_environments(smoke, [each for key, each in _every(environments) if key not in taken])


def fill_from_environments(smoke: _Run, environments: Iterable[Environment]) -> _Run:
    """Return the settings of a smoke run, completed by the environments.

    A key that the run does not have is taken from the environments, if all of them have the same value.
    Otherwise the image or the default of `SmokeRun` decides.
    """
    every = list(environments)
    shared = (*_SHARED, "healthcheck") if smoke.stays_up is not None else _SHARED
    found = {key: _agreed(key, every) for key in shared if key not in smoke.model_fields_set}
    taken: dict[str, Any] = {key: value for key, value in found.items() if value is not None}
    if "tmpfs" in taken and _TEMPORARY.path not in {folder.path for folder in taken["tmpfs"]}:
        taken["tmpfs"] = (*taken["tmpfs"], _TEMPORARY)
    if "command" in taken:
        entrypoints = {each.entrypoint for each in every}
        if len(entrypoints) > 1:
            del taken["command"]
        else:
            taken["entrypoint"] = entrypoints.pop()
    return smoke.model_copy(update=taken)


def commands_without_smoke_run(
    smoke: Smoke, environments: Mapping[str, Environment]
) -> dict[str, tuple[str, ...] | None]:
    """Return the commands of environments that no smoke run has; none if `smoke` names no command.

    Returns:
        The command by the environment's name, a process as "production (worker)"; None: that of the image.
    """
    if smoke.command is None and not smoke.processes:
        return {}
    runs = smoke_runs(smoke, environments).values()
    return {
        (f"{name} ({process})" if process else name): each.command
        for (name, process), each in _every(environments)
        if not any(_same(each, run) for run in runs)
    }


def port_of(smoke: Smoke, environments: Mapping[str, Environment], environment: Environment) -> int | None:
    """Return the HTTP port of the smoke run with the command of this environment, else that of `smoke`."""
    runs = smoke_runs(smoke, environments).values()
    return next((run for run in runs if _same(environment, run)), smoke).port


def _same(environment: Environment, run: SmokeRun) -> bool:
    """Return whether both run the same command in the same way."""
    if environment.command is None or run.command is None:
        return environment.command is run.command
    return (environment.command, environment.entrypoint) == (run.command, run.entrypoint)


def _agreed(key: str, environments: list[Environment]) -> Any:
    """Return the value that all environments have; None if one lacks the key, or if values differ."""
    if not environments or any(key not in each.model_fields_set for each in environments):
        return None
    first = getattr(environments[0], key)
    return first if all(getattr(each, key) == first for each in environments) else None
