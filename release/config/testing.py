"""`[tool.release.test]`: how the tests run, and what shows that they did."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from release.config.kinds import Arguments, CommandLine, RelativePath
from release.scalars import Duration, Entrypoint, Items, Memory, Name, Value, VariableName


def _counting(pattern: str) -> str:
    """Return the pattern. Raise ValueError unless it has exactly one group."""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression of Python: {error}") from None
    if groups != 1:
        raise ValueError(f"{pattern!r} has {groups} groups: write one, as 'Passed: ([0-9]+)'")
    return pattern


class Test(Value):
    """`[tool.release.test]`: tests inside the image, in one of three ways."""

    command: Arguments = ("python", "-m", "pytest", "-q")
    """Command that runs, in place of the image's ENTRYPOINT and CMD."""
    entrypoint: Entrypoint = "replace"
    """"keep": the image's ENTRYPOINT gets `command` as arguments."""
    target: str | None = None
    """Stage of the Dockerfile with the tests, based on the released stage."""
    install: Items[CommandLine] = ()
    """Arguments of `pip install` in a throw-away layer on the released image."""
    groups: Items[str] = ()
    """Groups of the lockfile that this layer gets, in the locked versions and with the locked hashes."""
    extras: Items[str] = ()
    """Extras of the project that this layer gets in the same way."""
    requirements: Items[RelativePath] = ()
    """Requirements files below `context` that this layer gets. No package of the image is replaced."""
    copy_: Items[RelativePath] = Field(default=(), alias="copy")
    """Files below `context` copied into that layer."""
    secrets: dict[VariableName, Name] = Field(default_factory=dict)
    """Variables of the installation, each the path of a build secret's file: { PIP_CONFIG_FILE = "pip" }."""
    env: dict[VariableName, str] = Field(default_factory=dict)
    """Environment values of the test run."""
    timeout: Duration = 600_000
    """After this time the run is stopped and the gate fails."""
    report: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    """Path in the container of the JUnit report that the command writes. pytest is asked for a report."""
    coverage: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    """A coverage report (XML) that the command writes, by its path in the container: kept as evidence."""
    count: Annotated[str, Field(max_length=1000), AfterValidator(_counting)] | None = None
    """A regular expression whose one group is the number of tests in a line of the output. pytest, unittest,
    doctest and behave need none."""
    evidence: Literal["tests", "exit-status"] = "tests"
    """Proof for the gate: a number of tests above zero, or "exit-status", if the command gives no number."""
    reason: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    """Reason why the exit status is enough, for the record."""
    network: Annotated[bool | Name, Field(description="true, false, or a network's name")] = False
    """Network of the tests: the engine's usual one (true), or an existing one by its name."""
    memory: Memory = 4 * 1024**3
    """Memory limit of the container, without swap."""
    pids: Annotated[int, Field(ge=1)] = 4096
    """Limit of processes and threads."""
    cap_add: Items[Name] = ()
    """Capabilities of the test run. By default it has none, even as root."""
    new_privileges: bool = False
    """Let programs with setuid or file capabilities get them, as sudo needs."""

    @model_validator(mode="after")
    def _one_way(self) -> Test:
        if self.target is not None and self.has_layer:
            raise ValueError(
                "give either target, or install, groups, extras, requirements and copy, not both"
            )
        if self.secrets and not (self.install or self.is_locked):
            raise ValueError(
                "secrets work with install, groups, extras and requirements only: remove them; a stage "
                "of the Dockerfile mounts the secret itself (RUN --mount=type=secret)"
            )
        return self

    @property
    def is_locked(self) -> bool:
        """Return whether the layer gets packages of the lockfile or of requirements files."""
        return bool(self.groups or self.extras or self.requirements)

    @property
    def has_layer(self) -> bool:
        """Return whether the tests run in a throw-away layer on the released image."""
        return bool(self.install or self.copy_ or self.is_locked)

    @model_validator(mode="after")
    def _stated(self) -> Test:
        if (self.evidence == "exit-status") != (self.reason is not None):
            raise ValueError('write evidence = "exit-status" and reason together, or neither of them')
        if self.evidence == "exit-status" and (self.report or self.count):
            raise ValueError('report and count give a number of tests: leave out evidence = "exit-status"')
        return self
