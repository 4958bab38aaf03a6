"""Smoke runs in the record of a release."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import ConfigDict, model_validator

from release.config.kinds import Slug
from release.records.parts import Part
from release.runspec import Healthcheck, Probe

_QUESTIONS: Final = ("probe", "tcp", "check", "stays_up")


class SmokeProcess(Part):
    """Smoke run of one process: its checks, which all succeeded, and its settings."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [key]} for key in _QUESTIONS]})

    probe: Probe | None = None
    """HTTP request; missing if the run had another check. Deployments repeat the request."""
    tcp: tuple[int, ...] | None = None
    """Ports that accepted connections."""
    check: tuple[str, ...] | None = None
    """Program in the container that ended with status 0."""
    stays_up: int | None = None
    """Milliseconds that the container ran without an end, a restart or a failed health check."""
    healthcheck: Healthcheck | None = None
    """With `stays_up`: the health check instead of the image's own."""
    memory: int
    pids: int
    read_only: bool
    tmpfs: tuple[str, ...]
    env: dict[str, str]
    stop_grace: int
    stop_signal: str | None = None
    """Signal that stopped the container; missing: SIGTERM, or unknown."""
    command: tuple[str, ...] | None = None
    entrypoint: Literal["keep", "replace"] | None = None
    """Present only with `command`."""
    init: bool | None = None
    user: str | None = None
    cap_add: tuple[str, ...] | None = None

    @property
    def asked(self) -> bool:
        """Return whether the run had a check; without a check it did not run."""
        return any(getattr(self, key) is not None for key in _QUESTIONS)

    def runs(self, command: tuple[str, ...] | None, entrypoint: str | None) -> bool:
        """Return whether the run used this command and entrypoint."""
        if command is None or self.command is None:
            return command is self.command
        return (self.command, self.entrypoint) == (command, entrypoint)


class SmokeSpec(SmokeProcess):
    """Smoke runs of a release. Without a check of its own, it only holds the runs of processes."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": [key]} for key in (*_QUESTIONS, "processes")]}
    )

    processes: dict[Slug, SmokeProcess] | None = None
    """Runs of other processes of the same image, by name."""

    @model_validator(mode="after")
    def _asked_something(self) -> SmokeSpec:
        unasked = [name for name, each in (self.processes or {}).items() if not each.asked]
        if unasked or not (self.asked or self.processes):
            raise ValueError(f"{', '.join(unasked) or 'smoke'}: no question was asked")
        return self

    def probe_of(
        self,
        command: tuple[str, ...] | None,
        entrypoint: str | None,
        process: str = "",
        *,
        answers: bool = True,
    ) -> Probe | None:
        """Return the HTTP check for a container with this command, from the run with the same command.

        The run of a process with the same name goes first. Without any such run it is the request of the
        smoke run itself, if the container answers requests.
        """
        runs = [*([self] if self.asked else []), *(self.processes or {}).values()]
        named = (self.processes or {}).get(process)
        same = named or next((run for run in runs if run.runs(command, entrypoint)), None)
        if same is None:
            return self.probe if answers else None
        return same.probe
