"""Smoke runs of a release as text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from release.records import SmokeProcess, SmokeSpec


def smoke_lines(smoke: SmokeSpec) -> list[str]:
    """Return a line for each smoke run: its process and its checks."""
    lines = [", ".join(_asked(smoke))] if smoke.asked else []
    lines += [f"{name}: {', '.join(_asked(each))}" for name, each in (smoke.processes or {}).items()]
    return lines


def _asked(run: SmokeProcess) -> Iterator[str]:
    if run.probe is not None:
        yield f"GET {run.probe.path} on port {run.probe.port} gives {run.probe.status}"
    for port in run.tcp or ():
        yield f"port {port} accepts connections"
    if run.check is not None:
        yield f"`{shlex.join(run.check)}` ends with status 0"
    if run.stays_up is not None:
        yield f"stays up for {run.stays_up / 1000:g} s"
