"""Services of a repository, and the choice of one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal, TypeVar

from pydantic import Field, model_validator

from release.config.alike import (
    commands_without_smoke_run,
    main_run,
    port_of,
    smoke_runs,
    unknown_processes,
)
from release.config.audit import Audit
from release.config.chain import Build, Ledger, Lint, Lock, Migrations, Push, Retention
from release.config.companion import Companion
from release.config.environment import Environment
from release.config.hooks import Hook, Webhook
from release.config.installed import Installed
from release.config.kinds import FILE, OWN_FILE, ROOT, RegistryName, RelativePath, Slug
from release.config.limits import Limits
from release.config.reuse import Reuse
from release.config.smoke import Smoke, SmokeRun
from release.config.testing import Test
from release.errors import UsageError
from release.reference import Repository
from release.scalars import Items, Value, VariableName

_T = TypeVar("_T")


class Service(Value):
    """`[tool.release]`: one service, or what several have in common."""

    service: Slug
    """Name of the service, used in its image repository, its containers' names and the ledger's paths."""
    context: RelativePath = "."
    """The folder with the Dockerfile, from the repository's root."""
    shared: Items[RelativePath] | None = None
    """Files and folders outside of the service's own folder whose commits count for its version too, as
    ["libs/common"]. If `context` is the whole repository, its own folder is then that of the Dockerfile."""
    registry: RegistryName | None = None
    """Registry, as "registry.example/acme", for `<registry>/<service>`; absent: images stay in the engine."""
    registry_ca: RelativePath | None = None
    """Certificates (PEM) believed for the registry, beside the system's and the engine's own."""
    tags: Literal["strict", "loose"] | None = None
    """Git tags such as `v4.2`: "loose" reads it as 4.2.0, "strict" ignores it; absent: a release is refused
    if such a tag would change its version."""
    env: dict[VariableName, str] = Field(default_factory=dict)
    """Environment values of tests, smoke runs and environments, unless these override a value."""
    ledger: Ledger = Ledger()
    lock: Lock = Lock()
    lint: Lint = Lint()
    build: Build = Build()
    push: Push = Push()
    test: Test = Test()
    smoke: Smoke
    installed: Installed = Installed()
    audit: Audit = Audit()
    limits: Limits = Limits()
    companions: dict[Slug, Companion] = Field(default_factory=dict)
    reuse: Reuse = Reuse()
    parallel: bool = True
    """Run gates that do not need each other at the same time; false: one after the other."""
    migrations: Migrations | None = None
    hooks: dict[Slug, Hook] = Field(default_factory=dict)
    webhooks: dict[Slug, Webhook] = Field(default_factory=dict)
    retention: Retention = Retention()
    environments: dict[Slug, Environment] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _lends_what_it_has(self) -> Service:
        unknown = sorted(set(self.test.secrets.values()) - self.build.secrets.keys())
        if unknown:
            raise ValueError(
                f"test.secrets: add {', '.join(unknown)} to build.secrets, or remove the name here"
            )
        return self

    @model_validator(mode="after")
    def _known_places(self) -> Service:
        for table, hooks in (("hooks", self.hooks), ("webhooks", self.webhooks)):
            for name, hook in hooks.items():
                if unknown := sorted(set(hook.environments or ()) - self.environments.keys()):
                    found = f"there is no environment {', '.join(unknown)}: use the name of one that exists"
                    raise ValueError(f"{table}.{name}.environments: {found}")
        return self

    @model_validator(mode="after")
    def _known_environments(self) -> Service:
        for name, environment in self.environments.items():
            if environment.drill_on is not None and environment.drill_on not in self.environments:
                raise ValueError(
                    f"environments.{name}.drill_on: there is no environment {environment.drill_on!r}; "
                    f"there are: {', '.join(self.environments)}"
                )
        return self

    @model_validator(mode="after")
    def _known_smoke_processes(self) -> Service:
        if problems := [*unknown_processes(self.smoke, self.environments)]:
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _proxied_ports(self) -> Service:
        for name, environment in self.environments.items():
            for process, settings in environment.every.items():
                proxy, own = settings.proxy, f"processes.{process}." if process else ""
                if proxy is None or proxy.kind == "dns" or proxy.port or self.port_of(name, process):
                    continue
                key = f"environments.{name}.{own}proxy.port"
                raise ValueError(f"{key}: write the port here, because no smoke run of this command has one")
        return self

    def companions_of(self, gate: str) -> dict[str, Companion]:
        """Return the companions that a gate starts, by name."""
        return {name: each for name, each in self.companions.items() if gate in each.gates}

    def port_of(self, environment: str, process: str = "") -> int | None:
        """Return the HTTP port of the smoke run with this environment's command, else that of `smoke`."""
        return port_of(self.smoke, self.environments, self.environments[environment].of(process))

    @property
    def smoke_run(self) -> Smoke:
        """Return the settings of `smoke`, completed by the environments."""
        return main_run(self.smoke, self.environments)

    @property
    def smoke_runs(self) -> dict[str, SmokeRun]:
        """Return the smoke runs by the name of their process; `smoke` itself has an empty name."""
        return smoke_runs(self.smoke, self.environments)

    @property
    def unsmoked(self) -> dict[str, tuple[str, ...] | None]:
        """Return the commands that no smoke run has, by environment: see `commands_without_smoke_run`."""
        return commands_without_smoke_run(self.smoke, self.environments)

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths whose commits count for the version; "." is the whole repository."""
        if self.shared is None:
            return (self.context,)
        is_whole = self.context == "."
        own = PurePosixPath(self.build.dockerfile).parent.as_posix() if is_whole else self.context
        return (own, *self.shared)

    @property
    def repository(self) -> Repository:
        """Return the repository of the image. `localhost/` keeps an engine off a public registry."""
        return Repository(f"{self.registry or 'localhost'}/{self.service}")

    def environment(self, name: str | None) -> tuple[str, Environment]:
        """Return the environment of this name, or the only one. Raise UsageError."""
        if name is None and len(self.environments) == 1:
            return next(iter(self.environments.items()))
        return _choose("environment", name, self.environments)


class Config(Value):
    """All services of a repository."""

    services: dict[str, Service]
    several: bool
    """True: the repository releases several services, and their git tags carry the name."""
    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Services that are deployed together, by the name of their group."""

    def service(self, name: str | None) -> Service:
        """Return the service of this name, or the only one. Raise UsageError."""
        if name is None and len(self.services) == 1:
            return next(iter(self.services.values()))
        return _choose("service", name, self.services)[1]

    def group(self, name: str) -> tuple[str, ...]:
        """Return the services of a group, in their order. Raise UsageError."""
        return _choose("group", name, self.groups)[1]


def _choose(what: str, name: str | None, known: Mapping[str, _T]) -> tuple[str, _T]:
    if name is not None and name in known:
        return name, known[name]
    if not known:
        raise UsageError(
            f"choose the {what}",
            "none is configured",
            f"add a table [{ROOT}.{what}s.<name>] to {FILE}, or [{what}s.<name>] to {OWN_FILE}",
        )
    found = f"there is no {what} {name!r}" if name is not None else f"there are {len(known)} {what}s"
    close = difflib.get_close_matches(name or "", known, n=1)
    raise UsageError(
        f"choose the {what}",
        f"{found}{'; there are' if name is not None else ''}: {', '.join(known)}",
        f"use --{what} {close[0] if close else next(iter(known))}",
    )
