"""Machines of a test's own: network namespaces on a bridge, an engine in each, one registry that all reach.

    10.213.N.1    this machine, on the bridge: the registry (TLS and a login)
    10.213.N.2    the first engine, the manager of the Swarm
    10.213.N.3    and so on

All traffic stays on the bridge. Everything here is found again by its own name or folder, and goes when its
block ends, also after a failure in the middle. Source of the way: an engine started by `nsenter --net` keeps
this machine's cgroups, which `ip netns exec` would hide.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from release.programs.environment import ENGINE
from release.programs.process import Command, output_of, run
from tests.engine import lab

_COUNT: Final = itertools.count(1)
"""A process may have several labs."""

FIRST: Final = 2
"""The last number of the first machine's address."""


@dataclass(kw_only=True)
class Machine:
    """A network namespace with an engine in it."""

    name: str
    bridge: str
    address: str
    folder: Path
    registries: str
    """Networks whose registries' certificates the engine takes as they are."""
    _engine: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """Where its engine answers: a socket, which no network cuts off."""
        return f"unix://{self.folder}/docker.sock"

    @property
    def cable(self) -> str:
        """The end of its cable at the bridge."""
        return f"{self.name}b"

    def plug(self) -> None:
        """Make the namespace and its cable."""
        inside = f"{self.name}n"
        _ip("netns", "add", self.name)
        _ip("link", "add", self.cable, "type", "veth", "peer", "name", inside, "netns", self.name)
        _ip("link", "set", self.cable, "master", self.bridge, "up")
        within = ("-netns", self.name)
        _ip(*within, "address", "add", f"{self.address}/24", "dev", inside)
        _ip(*within, "link", "set", inside, "up")
        _ip(*within, "link", "set", "lo", "up")

    def unplug(self) -> None:
        """Take the namespace and its cable away."""
        for words in (("link", "delete", self.cable), ("netns", "delete", self.name)):
            with contextlib.suppress(Exception):
                _ip(*words)

    def cut(self) -> None:
        """Nothing goes through its cable any more."""
        _ip("link", "set", self.cable, "down")

    def mend(self) -> None:
        """The cable is whole."""
        _ip("link", "set", self.cable, "up")

    def hide(self, address: str) -> None:
        """Let this machine find no way to an address."""
        _ip("-netns", self.name, "route", "add", "prohibit", f"{address}/32")

    def show(self, address: str) -> None:
        """Undo `hide`."""
        _ip("-netns", self.name, "route", "del", "prohibit", f"{address}/32")

    def start(self) -> None:
        """Start the engine and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "dockerd.log").open("ab") as log:
            self._engine = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self.name}", *self._dockerd()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, then exec
            )
        lab.eventually(self.answers, what=f"the engine of {self.folder}", seconds=90)

    def answers(self) -> bool:
        """Whether the engine does."""
        return self.docker("info", "--format", "{{.ID}}", check=False) != ""

    def kill(self) -> None:
        """Let the engine drop dead."""
        if self._engine is not None:
            self._engine.kill()
            self._engine.wait()
            self._engine = None

    def stop(self) -> None:
        """End the engine, and whatever it left running."""
        if self._engine is not None:
            self._engine.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._engine.wait(20)
            self.kill()
        _end_all(self.folder)
        lab.remove_folder(self.folder)

    def docker(self, *words: str, check: bool = True) -> str:
        """The `docker` command with its engine."""
        done = run(Command(inherits=ENGINE, argv=("docker", "--host", self.host, *words)), check=check)
        return done.output.strip()

    def _dockerd(self) -> list[str]:
        config = self.folder / "daemon.json"
        settings = {
            "features": {"containerd-snapshotter": True},
            "insecure-registries": [self.registries],
            "log-level": "warn",
        }
        config.write_text(json.dumps(settings))
        return [
            "dockerd",
            *("--config-file", str(config), "--host", self.host),
            *("--data-root", str(self.folder / "data")),
            *("--exec-root", str(self.folder / "exec")),
            *("--pidfile", str(self.folder / "docker.pid")),
            *("--default-address-pool", "base=10.215.0.0/16,size=24", "--bip", "10.216.0.1/24"),
        ]


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What a lab is made of."""

    machines: tuple[Machine, ...]
    registry: lab.RunningRegistry
    folder: Path

    @property
    def manager(self) -> Machine:
        """The first of them."""
        return self.machines[0]

    def environ(self) -> dict[str, str]:
        """Variables for programs that talk to the lab's registry."""
        certificate = self.registry.certificate
        assert certificate is not None
        return {
            "DOCKER_CONFIG": str(self.folder / "docker-config"),
            "REQUESTS_CA_BUNDLE": str(certificate.certificate),
        }


@contextmanager
def machines(folder: Path, count: int = 3) -> Iterator[Machines]:
    """Machines on a bridge, their engines running, and a registry; all gone when the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        _sweep()
        subnet = stack.enter_context(_bridge())
        stack.callback(lab.remove_folder, short := _engines_folder(subnet.bridge))
        registry = stack.enter_context(_registry(folder / "registry", subnet))
        made = [
            Machine(
                name=f"{subnet.bridge}m{number}",
                bridge=subnet.bridge,
                address=f"10.213.{subnet.number}.{FIRST + number}",
                folder=short / str(number),
                registries=subnet.network,
            )
            for number in range(count)
        ]
        for machine in made:
            stack.callback(machine.unplug)
            machine.plug()
        for machine in made:
            stack.callback(machine.stop)
            machine.start()
        assert registry.login is not None
        lab.docker_config(folder / "docker-config", (registry.host, registry.login))
        yield Machines(machines=tuple(made), registry=registry, folder=folder)


def swarm(on: Sequence[Machine], role: str = "worker") -> None:
    """Make a Swarm of them, the first a manager and the others of a role, and wait until all are ready."""
    first, *rest = on
    pools = ("--default-addr-pool", "10.214.0.0/16")
    first.docker("swarm", "init", "--advertise-addr", first.address, *pools)
    token = first.docker("swarm", "join-token", "--quiet", role)
    for machine in rest:
        machine.docker("swarm", "join", "--token", token, f"{first.address}:2377")
    first.docker("swarm", "update", "--dispatcher-heartbeat", "2s")
    lab.eventually(lambda: ready(first) == len(on), what="all nodes to be ready", seconds=60)


def ready(manager: Machine) -> int:
    """How many nodes of its Swarm are ready."""
    states = manager.docker("node", "ls", "--format", "{{.Status}}", check=False).split()
    return states.count("Ready")


def _engines_folder(bridge: str) -> Path:
    """Engines make sockets deep in their folders, and a socket's path has 107 bytes at most (unix(7))."""
    return Path(tempfile.gettempdir(), bridge)


# --- the network


@contextmanager
def _bridge() -> Iterator[lab.Subnet]:
    """A bridge for this machine and the others, with no way out."""
    name = f"rl{os.getpid():x}-{next(_COUNT)}"
    subnet = lab.Subnet(bridge=name, number=lab.free_network())
    rule = _rule(name)
    with ExitStack() as stack:
        _ip("link", "add", "name", subnet.bridge, "type", "bridge")
        stack.callback(_ip, "link", "delete", subnet.bridge)
        _ip("address", "add", subnet.address, "dev", subnet.bridge)
        _ip("link", "set", subnet.bridge, "up")
        output_of(["iptables", "--wait", "--insert", *rule])
        stack.callback(output_of, ["iptables", "--wait", "--delete", *rule])
        yield subnet


@contextmanager
def _registry(folder: Path, subnet: lab.Subnet) -> Iterator[lab.RunningRegistry]:
    """A registry with TLS and a login, on the bridge's own address."""
    address = subnet.address.partition("/")[0]
    with lab.running_registry(folder, login=lab.Login(), tls=True, address=address) as running:
        yield running


def _rule(bridge: str) -> list[str]:
    """Bridged packets pass the firewall's rules, too."""
    return ["FORWARD", "--in-interface", bridge, "--out-interface", bridge, "--jump", "ACCEPT"]


def _sweep() -> None:
    """Take away what a test left that was killed: its number is in the names, and nobody's any more."""
    links = output_of(["ip", "-oneline", "link", "show", "type", "bridge"])
    for bridge, pid in re.findall(r"^\d+: (rl([0-9a-f]+)-\d+):", links, re.MULTILINE):
        if Path(f"/proc/{int(pid, 16)}").exists():
            continue
        _end_all(_engines_folder(bridge))
        lab.remove_folder(_engines_folder(bridge))
        named = [line.split()[0] for line in output_of(["ip", "netns", "list"]).splitlines() if line]
        leftovers = [("netns", "delete", name) for name in named if name.startswith(f"{bridge}m")]
        for words in (*leftovers, ("link", "delete", bridge)):
            run(Command(argv=("ip", *words)), check=False)
        run(Command(argv=("iptables", "--wait", "--delete", *_rule(bridge))), check=False)


def _ip(*words: str) -> None:
    output_of(["ip", *words])


# --- processes


def _die_with_parent() -> None:
    """Let an engine end when its test is killed (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)


def _end_all(folder: Path) -> None:
    """End what an engine that dropped dead left: shims name its folder, containers are their children."""
    deadline = time.monotonic() + 10
    while (left := _naming(folder)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def _naming(folder: Path) -> list[int]:
    """Processes with this folder in their command line, and their children; never this one."""
    needle, found = f"{folder}/".encode(), list[int]()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(entry.name)
            if pid != os.getpid() and needle in (entry / "cmdline").read_bytes():
                found += [*_children(pid), pid]
    return found


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]
