"""A service in a repository of its own, released into the lab's registry and deployed into its Swarm."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.engine import lab, tiny
from tests.engine.deploy.world import Ended, World
from tests.lab import images
from tests.lab.machines import Machine, Machines, ready
from tests.lab.meeting import meet

REPLICAS: Final = 3


@dataclass(kw_only=True)
class SwarmWorld(World):
    """One service with one environment, the lab's Swarm. Its ports are host ports of the nodes."""

    machines: Machines
    embedded: bool = False
    """Whether images stay in the manager's own store."""
    digests: dict[str, str] = field(default_factory=dict)
    """Of what was released, by version."""

    def __post_init__(self) -> None:
        """The repository is in the lab's registry."""
        host = "localhost" if self.embedded else self.machines.registry.host
        self.repository = f"{host}/{self.service}"
        super().__post_init__()

    @property
    def manager(self) -> Machine:
        """Whose engine is talked to."""
        return self.machines.manager

    @property
    def name(self) -> str:
        """The service's name in the Swarm."""
        return self.container

    def configure(self, **settings: str) -> None:
        """Settings are TOML values of the environment; those of its table `swarm` begin with `swarm.`."""
        usual = {
            "engine": '"swarm"',
            "host": json.dumps(self.manager.host),
            "publish": f'["{self.port}:8000"]',
            "replicas": str(REPLICAS),
            "swarm.publish_mode": '"host"',
            "swarm.monitor": '"500ms"',
            "swarm.parallelism": "0",
            "swarm.nodes": self._nodes(),
            "stop_grace": '"2s"',
        }
        super().configure(**{**usual, **settings})

    def _nodes(self) -> str:
        """All machines have one host name: an address tells them apart."""
        ways = (
            f"{json.dumps(machine.address)} = {{ host = {json.dumps(machine.host)} }}"
            for machine in self.machines.machines
        )
        return f"{{ {', '.join(ways)} }}"

    def keep_little(self, more: str = "") -> None:
        """Keep one release, and no time beside it."""
        with (self.root / "pyproject.toml").open("a") as file:
            file.write('\n[tool.release.retention]\nreleases = 1\nwindow = "1ms"\n' + more)

    def images_on(self, machine: Machine) -> set[str]:
        """Versions whose images the machine's engine has."""
        lines = machine.docker("image", "ls", "--digests", "--format", "{{.Digest}}", self.repository)
        return {version for version, digest in self.digests.items() if digest in lines.split()}

    def secrets(self) -> list[str]:
        """Names of the service's secrets in the Swarm."""
        chosen = ("--filter", f"label=release.service={self.service}", "--format", "{{.Name}}")
        return self.manager.docker("secret", "ls", *chosen).split()

    def build(self, version: str, mode: str, commit: str, settings: Mapping[str, Any]) -> tiny.TinyImage:
        """No engine is needed: the image goes straight to the registry; or it stays in the engine's store."""
        made = images.made(self.service, version=version, mode=mode)
        if self.embedded:
            tiny.load(self.engine, f"{self.repository}:sha-{commit}", made)
        else:
            images.push(self.machines.registry, self.service, made)
            self.digests[version] = str(made.image.id)
        return made.image

    def foreign(self, version: str, *words: str) -> str:
        """Create a service as another program would; its name."""
        name = lab.unique("web")
        self.strangers.append(name)
        self.manager.docker(
            *("service", "create", "--detach", "--with-registry-auth", "--name", name, "--replicas", "2"),
            *("--publish", f"mode=host,published={self.port},target=8000"),
            *words,
            f"{self.repository}@{self.digests[version]}",
        )
        lab.eventually(
            lambda: self.manager.docker("service", "ls", "--filter", f"name={name}").count("2/2") == 1,
            what=f"two tasks of {name}",
            seconds=60,
        )
        return name

    def invoke(self, *words: str, cwd: Path | None = None, **environ: str) -> Ended:
        """With the lab's login and authority."""
        return super().invoke(*words, cwd=cwd, **{**self.machines.environ(), **environ})

    def start(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        """An `invoke` that goes on running."""
        return super().start(*words, **{**self.machines.environ(), **environ})

    def meet(self, *each: tuple[str, ...]) -> list[Ended]:
        """Several `invoke` that stand before the lock in the same moment: see `meeting`."""
        method = "release.deploy.targets.swarm.stores:Stores.store"
        return meet(self.root, self.machines.environ(), method, each)

    def read_until(self, process: subprocess.Popen[str], pattern: str) -> str:
        """Its standard error up to the first line in which the pattern is found."""
        assert process.stderr is not None
        seen = ""
        for line in process.stderr:
            seen += line
            if re.search(pattern, line):
                return seen
        raise AssertionError(f"it ended without {pattern!r}: {seen}")

    # what really runs

    def answers(self, file: str = "version") -> dict[str, str]:
        """What each machine's port answers, by the machine's address."""
        found = {}
        for machine in self.machines.machines:
            with urllib.request.urlopen(f"http://{machine.address}:{self.port}/{file}", timeout=5) as reply:
                found[machine.address] = reply.read().decode().strip()
        return found

    def inspect(self) -> Mapping[str, Any]:
        """The service as the Swarm has it."""
        found: list[Mapping[str, Any]] = json.loads(self.manager.docker("service", "inspect", self.name))
        return found[0]

    def running(self) -> dict[str, str]:
        """Containers of the service that run, asked of every machine's own engine: version by container."""
        every = [self.running_on(machine) for machine in self.machines.machines]
        return {container: version for found in every for container, version in found.items()}

    def running_on(self, machine: Machine) -> dict[str, str]:
        """Those of one machine."""
        form = '{{.ID}} {{.Label "release.version"}}'
        chosen = f"label=release.service={self.service}"
        lines = machine.docker("ps", "--filter", chosen, "--format", form).splitlines()
        return {container: version for container, _, version in (line.partition(" ") for line in lines)}

    def come_back(self, machine: Machine) -> None:
        """Mend its cable and wait until the Swarm knows it again."""
        machine.mend()
        count = len(self.machines.machines)
        lab.eventually(lambda: ready(self.manager) == count, what="all nodes to be ready", seconds=60)

    def settles(self, version: str, count: int = REPLICAS) -> None:
        """Wait until nothing but this version runs, on every machine, as often as it should."""
        wanted = [version] * count
        lab.eventually(
            lambda: sorted(self.running().values()) == wanted,
            what=f"{count} containers of {version} and no others; {self.running()}",
            seconds=60,
        )

    def clean(self) -> None:
        """Take away what this service left in the Swarm."""
        for name in self.strangers:
            self.manager.docker("service", "rm", name)
        chosen = f"label=release.service={self.service}"
        for kind in ("service", "secret", "config"):
            if left := self.manager.docker(kind, "ls", "--quiet", "--filter", chosen).split():
                self.manager.docker(kind, "rm", *left)
