"""A Swarm through the API of one of its managers: nodes, services, tasks, secrets and configs.

Services are written as the API's own JSON: what is recorded, compared and put back must be all of it. A write
is never taken for done, or for lost, by the words of an answer: what is there is read again.
Source: Docker Engine API 1.45, Swarm, Node, Service, Task, Secret, Config.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing, suppress
from itertools import takewhile
from typing import Any, Final

import requests
from docker.errors import APIError, NotFound

from release.deploy.targets.swarm.manager import check, post, url_of
from release.deploy.targets.swarm.objects import (
    Network,
    Node,
    Service,
    Task,
    read_node,
    read_service,
    read_task,
)
from release.deploy.targets.swarm.stores import Stores
from release.errors import NameTaken
from release.images.output_frames import CHUNK, LOG_LIMIT, Frames
from release.reference import Reference

_LOG_SECONDS: Final = 5.0
"""For the output of a task: its node may be gone, and the manager waits for it."""


class Swarm(Stores, frozen=True, kw_only=True):
    """The Swarm that an engine manages. Every method raises EngineError, EngineUnreachable, NoQuorum."""

    def nodes(self) -> tuple[Node, ...]:
        """Return all nodes."""
        with self.talking("list the nodes of the Swarm") as client:
            return tuple(read_node(data) for data in client.nodes())

    def network(self, name: str) -> Network | None:
        """Return the network of this name or id; None if there is none."""
        with self.talking(f"look for the network {name}") as client, suppress(NotFound):
            data = client.inspect_network(name)
            return Network(id=data["Id"], is_for_services=data["Scope"] == "swarm", name=data["Name"])
        return None

    # services

    def service(self, name: str) -> Service | None:
        """Return the service of this name or id; None if there is none."""
        with self.talking(f"inspect the service {name}") as client, suppress(NotFound):
            return read_service(client.inspect_service(name))  # type: ignore[no-untyped-call]
        return None

    def services(self, labels: Mapping[str, str] | None = None) -> tuple[Service, ...]:
        """Return all services, or those with these labels."""
        wanted = [f"{key}={value}" for key, value in (labels or {}).items()]
        with self.talking("list the services") as client:
            listed = client.services(filters={"label": wanted})  # type: ignore[no-untyped-call]
            return tuple(read_service(data) for data in listed)

    def create(self, spec: Mapping[str, Any], image: Reference) -> str:
        """Create a service; return its id. Raises NameTaken (ServiceCreate: 409)."""
        name = str(spec["Name"])
        with self.talking(f"create the service {name}") as client:
            try:
                return str(post(client, "services/create", spec, image)["ID"])
            except APIError as error:
                if error.status_code != requests.codes.conflict:
                    raise
                raise NameTaken(
                    f"create the service {name}",
                    "there is a service of that name",
                    f"show it: docker service inspect {name}",
                ) from error

    def update(self, service: Service, spec: Mapping[str, Any], image: Reference | None) -> bool:
        """Replace a service's spec if it did not change since it was read; return whether it was replaced.

        The engine answers a lost race with status 500, as it does other trouble (ServiceUpdate); so the
        version is read again. Without credentials for `image` the nodes keep those that they were given
        (ServiceUpdate, `registryAuthFrom`).
        """
        path = f"services/{service.id}/update?version={service.version}&registryAuthFrom=spec"
        with self.talking(f"update the service {service.name}") as client:
            try:
                post(client, path, spec, image)
            except APIError:
                now = self.service(service.id)
                if now is None or now.version != service.version:
                    return False
                raise
        return True

    def remove(self, service: str) -> None:
        """Remove a service with its tasks, if it exists."""
        with self.talking(f"remove the service {service}") as client, suppress(NotFound):
            client.remove_service(service)  # type: ignore[no-untyped-call]

    # tasks

    def tasks(self, service: str) -> tuple[Task, ...]:
        """Return the service's tasks, oldest first, with ended ones that the Swarm remembers."""
        with self.talking(f"list the tasks of the service {service}") as client:
            listed = client.tasks(filters={"service": service})  # type: ignore[no-untyped-call]
            found = [read_task(data) for data in listed]
        return tuple(sorted(found, key=lambda task: task.created_at))

    def all_tasks(self) -> tuple[Task, ...]:
        """Return the tasks of all services that should run."""
        with self.talking("list the tasks of the Swarm") as client:
            listed = client.tasks(filters={"desired-state": "running"})  # type: ignore[no-untyped-call]
            return tuple(read_task(data) for data in listed)

    def output(self, task: str, *, lines: int) -> tuple[str, ...]:
        """Return a task's last lines. Its node must answer within seconds."""
        return self._output(task, lines, {})

    def timed_output(self, task: str, *, lines: int) -> tuple[tuple[str, str], ...]:
        """Return a task's last lines with their times (RFC 3339)."""
        found = self._output(task, lines, {"timestamps": "1"})
        return tuple((moment, text) for moment, _, text in (line.partition(" ") for line in found))

    def _output(self, task: str, lines: int, more: Mapping[str, str]) -> tuple[str, ...]:
        with self.talking(f"read the output of the task {task}") as client:
            answer = client.get(
                url_of(client, f"tasks/{task}/logs"),
                params={"stdout": "1", "stderr": "1", "tail": str(lines), **more},
                timeout=_LOG_SECONDS,
                stream=True,
            )
            with closing(answer):
                check(answer)
                return _last_lines(answer, time.monotonic() + 2 * _LOG_SECONDS)[-lines:]


def _last_lines(answer: requests.Response, end: float) -> tuple[str, ...]:
    """Return the last lines of a task that arrived in time."""
    frames = Frames(LOG_LIMIT, merged=True)
    with suppress(ValueError):
        frames.read(takewhile(lambda _: time.monotonic() < end, answer.iter_content(CHUNK)))
    return frames.output.lines()
