"""A rollback beside docker commands by hand, Compose and Ansible: from the command to verified healthy.

All of them swap the same two releases of examples/api, each in a container and on a port of its own, and each
turn ends when the version that was asked for answers.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from release.images.engine import Engine
from release.process import output_of
from tests.bench.chains import example, settings
from tests.bench.measure import Figure, ratio, side_by_side, table
from tests.engine import lab
from tests.engine.service import Service, make_service

RUNS: Final = 9
VERSIONS: Final = ("0.1.0", "0.1.1")

RAW: Final = """\
set -eu
docker rm --force "$NAME" >/dev/null 2>&1 || true
docker run --detach --name "$NAME" --restart unless-stopped --publish "127.0.0.1:$PORT:8000" "$IMAGE"
until [ "$(docker inspect --format '{{.State.Health.Status}}' "$NAME")" = healthy ]; do sleep 0.05; done
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

BARE: Final = "docker by hand"
OURS: Final = "`invoke rollback`"


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A way to swap the releases by words of a command line; what it needs to know is in its environment."""

    argv: Sequence[str]
    service: Service
    images: Mapping[str, str]
    name: str = field(default_factory=lambda: lab.unique("bench"))
    port: int = field(default_factory=lab.free_port)

    def swap(self, version: str) -> None:
        """Run this version."""
        ran = self.service.run(
            *self.argv,
            NAME=self.name,
            PORT=str(self.port),
            IMAGE=self.images[version],
            COMPOSE_PROJECT_NAME=self.name,
        )
        assert ran.status == 0, ran.all


def rows(_store: Path, room: Path) -> str:
    """All of them in turns."""
    with _ways(room) as ways:
        figures = side_by_side(
            {name: partial(_timed, port, swap) for name, (port, swap) in ways.items()}, RUNS
        )
    base = figures[BARE]
    return table(
        ["", "ms", "ratio", "more than by hand, ms"],
        [[name, str(took), ratio(took, base), _more(took, base)] for name, took in figures.items()],
    )


def _more(took: Figure, base: Figure) -> str:
    return f"{(took.median - base.median) * 1000:+.0f}"


def _timed(port: int, swap: Callable[[str], None], run: int) -> float:
    """Seconds until the command has ended and the version answers."""
    version = VERSIONS[run % 2]
    began = time.perf_counter()
    swap(version)
    _answers(port, version)
    return time.perf_counter() - began


def _answers(port: int, version: str) -> None:
    """The version that was asked for is the one that answers, at once."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
            found = json.load(response)["version"]
    except urllib.error.URLError as error:
        raise AssertionError(f"the command ended, and the service does not answer: {error}") from error
    assert found == version, f"{found} answers, and {version} was asked for"


@contextmanager
def _ways(room: Path) -> Iterator[dict[str, tuple[int, Callable[[str], None]]]]:
    """Each way with its port, ready to swap."""
    port = lab.free_port()
    service = _released(room / "clone", port)
    images = _images(service)
    (room / "clone" / "compose.yaml").write_text(COMPOSE)
    (room / "clone" / "playbook.yml").write_text(PLAYBOOK)
    rivals = {
        BARE: Rival(argv=("sh", "-c", RAW), service=service, images=images),
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
    production = {"publish": [f"127.0.0.1:{port}:8000"]}
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


def _rolled_back(service: Service, version: str) -> None:
    words = ("rollback", "--to", version, "--yes", "--allow-quarantined", "--message", "bench")
    ran = service.invoke(*words)
    assert ran.status == 0, ran.all


def _remove(container: str) -> None:
    if output_of(["docker", "ps", "--all", "--quiet", "--filter", f"name=^{container}$"]).strip():
        output_of(["docker", "rm", "--force", container])
