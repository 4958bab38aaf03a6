"""The warning about a smoke run that runs a command which no deployment runs."""

from __future__ import annotations

import shlex

from release.config import Service


def smoke_caution(service: Service) -> str:
    """Return the warning; empty if `smoke` has no command, or the environments have the same."""
    names, command = service.unsmoked, service.smoke.command
    if not names or command is None:
        return ""
    first = service.environments[names[0]].command
    runs = f"`{shlex.join(first)}`" if first is not None else "the command of the image"
    others = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return (
        f"the smoke run tests `{shlex.join(command)}`, but {names[0]}{others} runs {runs}: "
        "replace `smoke.command` by `environments.<name>.command`; the smoke run takes it from there"
    )
