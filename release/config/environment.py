"""Tables for where and how releases run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field, model_validator

from release.config.chain import Secret
from release.config.kinds import RelativePath, Slug
from release.config.kubernetes import Kubernetes, unsupported_settings
from release.config.process import (
    Process,
    exclusive_problems,
    name_problems,
    replacement_order,
    shared_problems,
)
from release.config.runsettings import RunSettings
from release.config.swarm import EngineAddress, Swarm
from release.runspec import Publish
from release.scalars import AbsolutePath, Items, Name, Pause, VariableName
from release.targetspec import KubernetesSpec, SwarmSpec

_WITH_MANIFESTS = frozenset(
    {
        "extends",
        "engine",
        "kubernetes",
        "watch",
        "health_timeout",
        "drill_on",
        "freeze_after_rollback",
        "retention",
    }
)
"""Keys of an environment whose objects are described by manifests."""


def _above(path: str) -> set[str]:
    """Return all folders above a path."""
    return {str(folder) for folder in PurePosixPath(path).parents}


class EnvironmentSecret(Secret):
    """`[tool.release.environments.<name>.secrets.<VARIABLE>]`: a secret of a running service."""

    file: AbsolutePath | None = None
    """File in the container with the value; <VARIABLE>_FILE has its path. Absent: <VARIABLE> has it."""
    policy: Literal["current", "pinned"] = "current"
    """Value for a rollback: "current": today's; "pinned": only the one that the release ran with."""


class Environment(RunSettings):
    """`[tool.release.environments.<name>]`: where releases run, and with which settings."""

    extends: Slug | None = None
    """Environment whose keys are inherited, unless this one sets them; tables are joined key by key."""
    engine: Literal["docker", "swarm", "kubernetes"] = "docker"
    """Kind of target: "docker": one Docker Engine; "swarm": a Swarm that is reached through a manager;
    "kubernetes": a namespace of a Kubernetes cluster."""
    context: Name | None = None
    """A Docker context; absent: the engine that `docker` itself would use."""
    host: EngineAddress | None = None
    """The engine's address, as "ssh://deploy@host"."""
    env_file: Items[RelativePath] = ()
    """Files of environment values, as ["deploy/common.env"]. Later files override earlier ones, `env` all."""
    secrets: dict[VariableName, EnvironmentSecret] = Field(default_factory=dict)
    """Environment values that are never stored."""
    drill_on: Slug | None = None
    """Environment on whose engine the drills of this environment run; absent: this one."""
    swarm: Swarm | None = None
    kubernetes: Kubernetes | None = None
    freeze_after_rollback: Pause = 3_600_000
    """Time after a rollback in which deployments are refused without `--thaw`; "0s": none."""
    processes: dict[Slug, Process] = Field(default_factory=dict)
    """Processes of the image; absent: there is one, with the settings of the environment."""

    @model_validator(mode="after")
    def _consistent(self) -> Environment:
        problems = []
        if self.context is not None and self.host is not None:
            problems.append("give either context or host, not both")
        problems += self._other_targets()
        problems += self._wrong_processes() if self.processes else self.settings_problems()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def settings_problems(self) -> list[str]:
        """Return sentences on contradictions in the settings of one container."""
        problems = [
            f"{name} is in env and in secrets: keep only one" for name in self.env if name in self.secrets
        ]
        problems += [f"{port} is published twice" for port in self._twice()]
        problems += self._strategy()
        problems += self._misplaced()
        if self.engine == "swarm":
            problems += self._wrong_in_swarm()
        if self.engine == "kubernetes":
            problems += unsupported_settings(self, self.tmpfs)
        return problems

    def _wrong_processes(self) -> list[str]:
        if wrong := list(name_problems(self.processes)):
            return wrong
        every = self.every
        problems = list(shared_problems(every))
        for name, settings in every.items():
            problems += exclusive_problems(name, self.processes[name], settings)
            problems += [f"processes.{name}: {problem}" for problem in settings.settings_problems()]
        return problems

    @property
    def every(self) -> dict[str, Environment]:
        """Return the complete settings of each process, by name, in the order of replacement.

        Without processes, the settings of the environment have an empty name.
        """
        return {name: self._of(self.processes[name]) for name in replacement_order(self.processes)} or {
            "": self
        }

    def of(self, process: str) -> Environment:
        """Return the complete settings of a process.

        A process without a table has the settings of the environment. If only one process has a proxy, it
        has this proxy too, so that a process of an earlier release is replaced behind the proxy.
        """
        if process in self.processes:
            return self._of(self.processes[process])
        proxies = [each.proxy for each in self.every.values() if each.proxy is not None]
        alone = proxies[0] if self.proxy is None and len(proxies) == 1 else self.proxy
        return self.model_copy(update={"proxy": alone, "processes": {}})

    @property
    def health_timeouts(self) -> dict[str, int]:
        """Return the time limit (milliseconds) for a new container to become healthy, by process."""
        return {name: each.health_timeout for name, each in self.every.items()}

    @property
    def longest_health_timeout(self) -> int:
        """Return the longest health timeout of the processes, in milliseconds."""
        return max(self.health_timeouts.values())

    def _of(self, process: Process) -> Environment:
        values = {key: getattr(self, key) for key in self.model_fields_set - {"processes"}}
        own = process.over(self)
        for one, other in (("proxy", "publish"), ("publish", "proxy")):
            if one in own and other not in own:
                values.pop(other, None)
        values |= own
        return Environment.model_construct(set(values), **values)

    def _strategy(self) -> list[str]:
        """Return problems of start-first: two containers cannot share a port of the machine, or a name."""
        if self.proxy is not None and self.publish:
            return ["give either publish or proxy: behind a proxy, the proxy publishes the port"]
        if self.replicas > 1 and self.proxy is None and self.engine == "docker":
            return ["replicas needs proxy: a port of the machine belongs to one container"]
        if self.replicas > 1 and self.proxy is not None and self.proxy.kind == "dns":
            return ['replicas needs another kind than "dns": a name belongs to one container']
        return []

    def _misplaced(self) -> list[str]:
        """Return problems of files whose folder is a mount of something else."""
        secret = [source.file for source in self.secrets.values() if source.file is not None]
        apart = [*secret, *(self.files if self.read_only else ())]
        mounted = {*(folder.path for folder in self.tmpfs), *(mount.target for mount in self.volumes)}
        twice = [path for path in {*secret, *self.files} if [*secret, *self.files].count(path) > 1]
        hidden = [path for path in self.files if path not in apart and not _above(path).isdisjoint(mounted)]
        taken = [path for path in apart if str(PurePosixPath(path).parent) in mounted]
        shallow = [path for path in apart if len(PurePosixPath(path).parts) < 4]
        return [
            *(f"{path} is written twice" for path in sorted(twice)),
            *(f"{path} is below a mounted folder, which would hide or share it" for path in hidden),
            *(f"{path} needs a folder of its own, but another one is mounted there" for path in taken),
            *(f'{path} needs a folder of its own below another, as "/run/secrets/name"' for path in shallow),
        ]

    @property
    def target_settings(self) -> dict[str, SwarmSpec | KubernetesSpec | None]:
        """Return run settings that only this kind of target has, by their key in a record."""
        swarm = (self.swarm or Swarm()).spec(publishes=bool(self.publish))
        return {
            "swarm": swarm if self.engine == "swarm" else None,
            "kubernetes": (self.kubernetes or Kubernetes()).spec() if self.engine == "kubernetes" else None,
        }

    @property
    def target_folder(self) -> str:
        """Return the folder below `release/deploy/targets` with the code for this kind of target."""
        return "engine" if self.engine == "docker" else self.engine

    def _other_targets(self) -> Iterator[str]:
        """Yield configured tables and keys that belong to another kind of target."""
        for name in ("swarm", "kubernetes"):
            if getattr(self, name) is not None and self.engine != name:
                yield f'the table {name} is only for environments with engine = "{name}"'
        if self.engine != "kubernetes":
            return
        if self.context is not None or self.host is not None:
            yield "context and host are for Docker: write kubernetes.context"
        table = self.kubernetes or Kubernetes()
        yield from table.problems()
        wrong = sorted(self.model_fields_set - _WITH_MANIFESTS) if table.has_manifests else []
        if wrong:
            yield f"{', '.join(wrong)}: the manifests describe the objects, so write it there"

    @property
    def replacement(self) -> Literal["stop-first", "start-first", "rolling"]:
        """Return the way of replacement: `rolling` in a cluster, which decides about each task."""
        if self.engine != "docker":
            return "rolling"
        return "start-first" if self.proxy is not None else "stop-first"

    def _wrong_in_swarm(self) -> list[str]:
        """Return sentences on settings that a Swarm cannot keep."""
        table = self.swarm or Swarm()
        anywhere = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        problems = [
            f'a Swarm publishes {port.host} on every address of a node: write "{port.host}:{port.container}"'
            for port in self.publish
            if port.address not in anywhere
        ]
        if self.proxy is not None:
            problems.append("proxy is only for one engine: a Swarm sends requests to its tasks itself")
        owned = [str(folder) for folder in self.tmpfs if (folder.uid, folder.gid) != (None, None)]
        if owned:
            problems.append(f"a Swarm cannot set an owner for folders in memory: {', '.join(owned)}")
        if table.publish_mode == "host" and self.publish and table.order == "start-first":
            problems.append("two tasks cannot share a port of a node: swarm.order must be stop-first")
        if table.publish_mode == "ingress" and self.publish and table.endpoint_mode == "dnsrr":
            problems.append('the routing mesh needs endpoint_mode = "vip"; or set publish_mode = "host"')
        return problems

    def _twice(self) -> list[Publish]:
        taken = [(port.address, port.host, port.protocol) for port in self.publish]
        return [port for place, port in enumerate(self.publish) if taken[place] in taken[:place]]
