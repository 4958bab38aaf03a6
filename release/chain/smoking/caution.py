"""A warning about environments whose command no smoke run tests."""

from __future__ import annotations

import shlex

from release.config import Service


def untested_commands_warning(service: Service) -> str:
    """Return the warning; empty if smoke runs test the command of every environment."""
    untested, command = service.unsmoked, service.smoke.command
    if not untested:
        return ""
    name, first = next(iter(untested.items()))
    runs = f"`{shlex.join(first)}`" if first is not None else "the command of the image"
    others = f" (and {len(untested) - 1} more)" if len(untested) > 1 else ""
    if service.smoke.processes or command is None:
        return (
            f"no smoke run tests what {name}{others} runs, {runs}: add a process with that command, "
            "as `smoke.processes.<name>.command`"
        )
    return (
        f"the smoke run tests `{shlex.join(command)}`, but {name}{others} runs {runs}: "
        "replace `smoke.command` by `environments.<name>.command`; the smoke run takes it from there"
    )
