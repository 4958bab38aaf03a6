"""A rollback beside docker commands by hand, Compose and Ansible: from the command to verified healthy.

All of them swap the same two releases of examples/api, each in a container and on a port of its own. Somebody
asks all the time who answers there; when a command says that it is healthy, it is what was asked for.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from release.images.engine import Engine
from release.programs.process import output_of
from tests.bench.chains import example, settings
from tests.bench.measure import Figure, ratio, table
from tests.engine import lab
from tests.engine.service import Service, make_service

RUNS: Final = 9
ASK_SECONDS: Final = 0.02
PATIENCE_SECONDS: Final = 0.1
"""A connection that is made while a container starts may never get an answer: the next one does."""
VERSIONS: Final = ("0.1.0", "0.1.1")

RAW: Final = """\
set -eu
{end}
docker run --detach --name "$NAME" --restart unless-stopped --publish "127.0.0.1:$PORT:8000" "$IMAGE"
until [ "$(docker inspect --format '{{{{.State.Health.Status}}}}' "$NAME")" = healthy ]; do sleep 0.05; done
curl --silent --fail --output /dev/null "http://127.0.0.1:$PORT/healthz"
"""

COMPOSE: Final = """\
services:
  api:
    image: ${IMAGE}
    container_name: ${NAME}
    restart: unless-stopped
    ports: ["127.0.0.1:${PORT}:8000"]
"""

PLAYBOOK: Final = """\
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - community.docker.docker_container:
        name: "{{ lookup('env', 'NAME') }}"
        image: "{{ lookup('env', 'IMAGE') }}"
        restart_policy: unless-stopped
        published_ports: ["127.0.0.1:{{ lookup('env', 'PORT') }}:8000"]
        recreate: true
    - ansible.builtin.uri:
        url: "http://127.0.0.1:{{ lookup('env', 'PORT') }}/healthz"
      register: answer
      until: answer.status == 200
      retries: 200
      delay: 0.1
"""

KILL: Final = 'docker rm --force "$NAME" >/dev/null 2>&1 || true'
STOP: Final = 'docker stop "$NAME" >/dev/null 2>&1 && docker rm "$NAME" >/dev/null || true'
BARE: Final = "docker by hand"
KILLED: Final = "the same with `docker rm -f`"
OURS: Final = "`invoke rollback`"


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A way to swap the releases by words of a command line; what it needs to know is in its environment."""

    argv: Sequence[str]
    service: Service
    images: Mapping[str, str]
    name: str = field(default_factory=lambda: lab.unique("bench"))
    port: int = field(default_factory=lab.free_port)

    def swap(self, version: str) -> float:
        """Run this version. Its commands wait for the health check: their end is when it is verified."""
        ran = self.service.run(
            *self.argv,
            NAME=self.name,
            PORT=str(self.port),
            IMAGE=self.images[version],
            COMPOSE_PROJECT_NAME=self.name,
        )
        assert ran.status == 0, ran.all
        return time.perf_counter()


Replacement = Callable[[str], float]
"""Runs a version; the moment (`time.perf_counter`) at which it was verified healthy."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One swap, in seconds."""

    verified: float
    """From the start of the command until it said that the version is healthy, and the version answered."""
    ended: float
    """From the start of the command to its end."""
    silent: float
    """From the last answer of the other version to the first of this one, seen from outside."""


class Caller(threading.Thread):
    """Asks a port all the time which version answers there."""

    def __init__(self, port: int) -> None:
        """Ask from now on."""
        super().__init__(daemon=True)
        self._port, self._over, self.has_asked = port, threading.Event(), threading.Event()
        self._answers: list[tuple[float, str]] = []
        self.start()

    def run(self) -> None:
        """Write down each answer with its moment."""
        while not self._over.wait(ASK_SECONDS):
            if found := _answering(self._port, PATIENCE_SECONDS):
                self._answers.append((time.perf_counter(), found))
            self.has_asked.set()

    def end(self) -> None:
        """Ask no more."""
        self._over.set()
        self.join()

    def first(self, version: str, default: float) -> float:
        """When it answered first."""
        return min((moment for moment, found in self._answers if found == version), default=default)

    def last(self, version: str, default: float) -> float:
        """When it answered last."""
        return max((moment for moment, found in self._answers if found == version), default=default)


def rows(_store: Path, room: Path) -> str:
    """All of them in turns."""
    turns: dict[str, list[Turn]] = {}
    with _ways(room) as ways:
        for run in range(-1, RUNS):  # the first counts for nobody
            for name, (port, swap) in ways.items():
                turn = _timed(port, swap, VERSIONS[(run + 1) % 2])
                turns.setdefault(name, []).extend([turn] if run >= 0 else [])
    verified, ended, silent = (
        {name: Figure(runs=tuple(getattr(turn, key) for turn in taken)) for name, taken in turns.items()}
        for key in ("verified", "ended", "silent")
    )
    base, killed = verified[BARE], verified[KILLED]
    head = ["", "verified healthy", "ratio", "more than by hand", "more than with `docker rm -f`"]
    return table(
        [*head, "to its end", "nobody answers"],
        [
            [
                *(name, str(took), ratio(took, base), _more(took, base), _more(took, killed)),
                *(str(ended[name]), str(silent[name])),
            ]
            for name, took in verified.items()
        ],
    )


def _more(took: Figure, base: Figure) -> str:
    return f"{(took.median - base.median) * 1000:+.0f}"


def _timed(port: int, swap: Replacement, version: str) -> Turn:
    """One swap, watched from outside."""
    caller = Caller(port)
    try:
        caller.has_asked.wait()
        began = time.perf_counter()
        said = swap(version)
        ended = time.perf_counter()
        asked = _awaited(port, version)
    finally:
        caller.end()
    answered = min(asked, caller.first(version, asked))
    return Turn(
        verified=max(said, answered) - began,  # whoever says it earlier is not believed
        ended=ended - began,
        silent=answered - caller.last(VERSIONS[1 - VERSIONS.index(version)], answered),
    )


def _awaited(port: int, version: str) -> float:
    """The version that was asked for is the one that answers when its command has ended; when it did."""
    found = _answering(port)
    assert found == version, f"{found or 'nobody'} answers, and {version} was asked for"
    return time.perf_counter()


def _answering(port: int, seconds: float = 5.0) -> str:
    """The version that answers in time; empty where nobody does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        return str(json.load(connection.getresponse())["version"])
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


@contextmanager
def _ways(room: Path) -> Iterator[dict[str, tuple[int, Replacement]]]:
    """Each way with its port, ready to swap."""
    port = lab.free_port()
    service = _released(room / "clone", port)
    images = _images(service)
    (room / "clone" / "compose.yaml").write_text(COMPOSE)
    (room / "clone" / "playbook.yml").write_text(PLAYBOOK)
    rivals = {
        BARE: Rival(argv=("sh", "-c", RAW.format(end=STOP)), service=service, images=images),
        KILLED: Rival(argv=("sh", "-c", RAW.format(end=KILL)), service=service, images=images),
        "`docker compose up -d --wait`": Rival(
            argv=("docker", "compose", "up", "--detach", "--wait"), service=service, images=images
        ),
        "an Ansible playbook": Rival(
            argv=("ansible-playbook", "--inventory", "localhost,", "playbook.yml"),
            service=service,
            images=images,
        ),
    }
    with ExitStack() as stack:
        stack.callback(lab.remove_service, Engine.connect(), service.name)
        for rival in rivals.values():
            stack.callback(_remove, rival.name)
        yield {
            OURS: (port, partial(_rolled_back, service)),
            **{name: (rival.port, rival.swap) for name, rival in rivals.items()},
        }


def _released(folder: Path, port: int) -> Service:
    """Two releases, both of which ran in production."""
    production = {"publish": [f"127.0.0.1:{port}:8000"], "watch": "0s"}
    service = make_service(folder, files=example(), **settings(), environments={"production": production})
    for number, version in enumerate(VERSIONS):
        if number:
            service.commit("fix: change nothing")
        for ran in (service.nox("release"), service.invoke("deploy", "--to", version, "--yes")):
            assert ran.status == 0, ran.all
    return service


def _images(service: Service) -> dict[str, str]:
    """Version → image by digest."""
    releases = [record for record in service.records() if record["kind"] == "release"]
    return {
        record["version"]: f"{record['image']['repository']}@{record['image']['digest']}"
        for record in releases
    }


def _rolled_back(service: Service, version: str) -> float:
    """Ours says when the new one is verified, records it, and then tidies up: the moment is its line's."""
    words = ("rollback", "--to", version, "--yes", "--allow-quarantined", "--message", "bench")
    with service.start(sys.executable, "-m", "invoke", *words) as process:
        assert process.stderr is not None
        said = [(time.perf_counter(), line) for line in process.stderr]
    assert process.returncode == 0, "".join(line for _, line in said)
    return next(moment for moment, line in said if line.startswith("✓ health"))


def _remove(name: str) -> None:
    """The container of this name, and the network that Compose made for it."""
    if output_of(["docker", "ps", "--all", "--quiet", "--filter", f"name=^{name}$"]).strip():
        output_of(["docker", "rm", "--force", name])
    if output_of(["docker", "network", "ls", "--quiet", "--filter", f"name=^{name}_default$"]).strip():
        output_of(["docker", "network", "rm", f"{name}_default"])
