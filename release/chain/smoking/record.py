"""The smoke runs of a release as its record keeps them."""

from __future__ import annotations

from typing import Any

from release.config import Service, SmokeRun
from release.records import SmokeProcess, SmokeSpec


def recorded_smoke(service: Service) -> SmokeSpec:
    """Return the settings of all smoke runs for the record."""
    runs = service.smoke_runs.items()
    processes = {name: SmokeProcess(**_to_record_keys(run)) for name, run in runs if name}
    return SmokeSpec(**_to_record_keys(service.smoke_run), processes=processes or None)


def _to_record_keys(run: SmokeRun) -> dict[str, Any]:
    """Return the settings by the keys of a record."""
    return {
        "probe": run.probe,
        "tcp": run.tcp or None,
        "check": run.check,
        "stays_up": run.stays_up,
        "healthcheck": run.healthcheck.recorded if run.healthcheck is not None else None,
        "memory": run.memory,
        "pids": run.pids,
        "read_only": run.read_only,
        "tmpfs": tuple(map(str, run.tmpfs)),
        "env": run.env,
        "stop_grace": run.stop_grace,
        "stop_signal": run.stop_signal,
        "command": run.command,
        "entrypoint": run.entrypoint if run.command is not None else None,
        "init": run.init,
        "user": run.user,
        "cap_add": run.cap_add or None,
    }
