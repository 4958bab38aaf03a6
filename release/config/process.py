"""Processes of an environment: several containers of one image, with settings of their own."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Final

from release.config.kinds import Slug
from release.config.runsettings import RunSettings
from release.scalars import Items

_TAKEN: Final = re.compile("any|drill|up|down|[0-9]+|[0-9a-f]{12}")
"""Endings of the names of other containers of an environment."""
_MERGED: Final = ("env", "labels", "files")
"""Tables that a process adds to; every other key replaces the environment's."""


class Process(RunSettings):
    """`[tool.release.environments.<name>.processes.<name>]`: one of several processes of the same image.

    Beside these keys it has every run setting of an environment, from `command` to `replicas`. One that is
    absent has the value of the environment. `env`, `labels` and `files` are added to those of the
    environment, name by name. All processes have the secrets of the environment.
    """

    after: Items[Slug] = ()
    """Processes that are replaced before this one, as ["web"]. Others are replaced as they are written."""
    exclusive: bool = False
    """Never run two instances at the same time, as of a scheduler: the old one ends before the new one
    starts."""

    def over(self, environment: RunSettings) -> dict[str, object]:
        """Return the process's own run settings, which replace those of the environment."""
        own = {key: getattr(self, key) for key in self.model_fields_set - {"after", "exclusive"}}
        merged = {key: {**getattr(environment, key), **own[key]} for key in _MERGED if key in own}
        return own | merged


def replacement_order(processes: Mapping[str, Process]) -> tuple[str, ...]:
    """Return the names in the order of replacement; those in a circle of `after` are left out."""
    left, done = list(processes), list[str]()
    while (name := next((each for each in left if not {*processes[each].after} & {*left}), None)) is not None:
        done.append(name)
        left.remove(name)
    return tuple(done)


def name_problems(processes: Mapping[str, Process]) -> Iterator[str]:
    """Yield sentences on wrong names of processes, and on wrong names in `after`."""
    for name, process in processes.items():
        if _TAKEN.fullmatch(name):
            yield f"processes.{name}: other containers have names that end in -{name}: use another name"
        for other in process.after:
            if other not in processes:
                close = difflib.get_close_matches(other, processes, n=1)
                known = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(processes)}"
                yield f"processes.{name}.after: there is no process {other!r}; {known}"
    circle = [name for name in processes if name not in replacement_order(processes)]
    if circle and not any({*processes[name].after} - {*processes} for name in circle):
        yield f"processes: {', '.join(circle)} wait for each other by `after`: remove one of these"


def exclusive_problems(name: str, process: Process, settings: RunSettings) -> Iterator[str]:
    """Yield sentences on settings with which two instances of an exclusive process would run.

    Args:
        name: name of the process.
        process: table of the process.
        settings: run settings of the process, joined with the environment's.
    """
    if not process.exclusive:
        return
    if settings.replicas != 1:
        yield f"processes.{name}: exclusive means one container: set replicas = 1"
    if settings.proxy is not None:
        yield f"processes.{name}: exclusive excludes proxy: behind it, the new one starts before the old ends"
    if settings.restart == "always":
        yield (
            f'processes.{name}: exclusive excludes restart = "always": an engine that starts again would '
            'also start the one that was stopped. Use "unless-stopped"'
        )


def shared_problems(settings: Mapping[str, RunSettings]) -> Iterator[str]:
    """Yield sentences on ports and proxies that two processes share. `settings`: complete, by process."""
    ports: dict[tuple[str, int, str], str] = {}
    proxies: dict[str, str] = {}
    for name, each in settings.items():
        for port in each.publish:
            other = ports.setdefault((port.address, port.host, port.protocol), name)
            if other != name:
                yield (
                    f"processes: {other} and {name} both publish {port}: set `publish` only in the table "
                    "of the process that has the port"
                )
        if each.proxy is not None and each.proxy.kind != "dns":
            other = proxies.setdefault(each.proxy.model_dump_json(), name)
            if other != name:
                yield (
                    f"processes: {other} and {name} are behind the same proxy: set `proxy` only in the "
                    "table of the process that serves"
                )
