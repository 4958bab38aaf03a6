"""A Swarm through the API of one of its managers: nodes, services, tasks, secrets and configs.

Services are written as the API's own JSON: what is recorded, compared and put back must be all of it. A write
is never taken for done, or for lost, by the words of an answer: what is there is read again.
Source: Docker Engine API 1.45, Swarm, Node, Service, Task, Secret, Config.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from itertools import takewhile
from typing import Any, Final, Literal

import requests
from docker import APIClient
from docker.errors import APIError, NotFound, create_api_error_from_http_exception

from release.deploy.targets.swarm.objects import (
    Membership,
    Network,
    Node,
    Service,
    Stored,
    Task,
    read_node,
    read_service,
    read_stored,
    read_task,
)
from release.errors import EngineError, NameTaken, NoQuorum
from release.images.engine import Engine
from release.images.engine.transfers import auth_config
from release.images.frames import CHUNK, LOG_LIMIT, Frames
from release.redact import Redacted
from release.reference import Reference
from release.values import Struct

_LOG_SECONDS: Final = 5.0
"""For the output of a task: its node may be gone, and the manager waits for it."""

Kind = Literal["secrets", "configs"]
"""Objects that a Swarm keeps for its services."""


class Swarm(Struct, frozen=True, kw_only=True):
    """The Swarm that an engine manages. Every method raises EngineError, EngineUnreachable, NoQuorum."""

    engine: Engine

    def membership(self) -> Membership:
        """Return what this engine is in a Swarm; asked of the engine alone."""
        with self.engine.talking("ask for the Swarm") as client:
            data = client.info().get("Swarm") or {}
        return Membership(
            is_active=data.get("LocalNodeState") == "active",
            is_manager=bool(data.get("ControlAvailable")),
            managers=tuple(peer["Addr"] for peer in data.get("RemoteManagers") or ()),
            node=data.get("NodeID") or "",
            trouble=data.get("Error") or "",
        )

    @contextmanager
    def _talking(self, attempted: str) -> Iterator[APIClient]:
        """The engine's API for a question that only managers answer.

        Whether they have a majority is told by a field of what the engine says of itself, not by an error's
        words: it cannot count the nodes then (SystemInfo, Swarm.Error). Raises NoQuorum.
        """
        try:
            with self.engine.talking(attempted) as client:
                yield client
        except EngineError as error:
            if type(error) is not EngineError:
                raise
            here = self.membership()
            if not (here.is_manager and here.trouble):
                raise
            others = ", ".join(here.managers) or "none"
            raise NoQuorum(
                error.attempted,
                "the Swarm's managers have no majority, so the Swarm accepts no changes: "
                f"{here.trouble} (managers known here: {others})",
                "start managers until more than half answer; if they are lost for ever: docker "
                "swarm init --force-new-cluster",
            ) from error

    def nodes(self) -> tuple[Node, ...]:
        """All machines."""
        with self._talking("list the nodes of the Swarm") as client:
            return tuple(read_node(data) for data in client.nodes())

    def network(self, name: str) -> Network | None:
        """The network of that name or id."""
        with self._talking(f"look for the network {name}") as client, suppress(NotFound):
            data = client.inspect_network(name)
            return Network(id=data["Id"], is_for_services=data["Scope"] == "swarm", name=data["Name"])
        return None

    # services

    def service(self, name: str) -> Service | None:
        """The service of that name or id."""
        with self._talking(f"inspect the service {name}") as client, suppress(NotFound):
            return read_service(client.inspect_service(name))  # type: ignore[no-untyped-call]
        return None

    def services(self, labels: Mapping[str, str] | None = None) -> tuple[Service, ...]:
        """All of them, or all with these labels."""
        wanted = [f"{key}={value}" for key, value in (labels or {}).items()]
        with self._talking("list the services") as client:
            listed = client.services(filters={"label": wanted})  # type: ignore[no-untyped-call]
            return tuple(read_service(data) for data in listed)

    def create(self, spec: Mapping[str, Any], image: Reference) -> str:
        """Create a service; its id. Raises NameTaken (ServiceCreate: 409)."""
        name = str(spec["Name"])
        with self._talking(f"create the service {name}") as client:
            try:
                return str(_post(client, "services/create", spec, image)["ID"])
            except APIError as error:
                if error.status_code != requests.codes.conflict:
                    raise
                raise NameTaken(
                    f"create the service {name}",
                    "there is a service of that name",
                    f"show it: docker service inspect {name}",
                ) from error

    def update(self, service: Service, spec: Mapping[str, Any], image: Reference | None) -> bool:
        """Give a service another spec, if it still is as it was read; whether that is so.

        The engine answers a lost race with status 500, as it does other trouble (ServiceUpdate); so the
        version is read again. Without credentials for `image` the nodes keep those that they were given
        (ServiceUpdate, `registryAuthFrom`).
        """
        path = f"services/{service.id}/update?version={service.version}&registryAuthFrom=spec"
        with self._talking(f"update the service {service.name}") as client:
            try:
                _post(client, path, spec, image)
            except APIError:
                now = self.service(service.id)
                if now is None or now.version != service.version:
                    return False
                raise
        return True

    def remove(self, service: str) -> None:
        """Remove a service with its tasks. No error when it is gone."""
        with self._talking(f"remove the service {service}") as client, suppress(NotFound):
            client.remove_service(service)  # type: ignore[no-untyped-call]

    # tasks

    def tasks(self, service: str) -> tuple[Task, ...]:
        """Its tasks, ended ones too as far as the Swarm remembers them, oldest first."""
        with self._talking(f"list the tasks of the service {service}") as client:
            listed = client.tasks(filters={"service": service})  # type: ignore[no-untyped-call]
            found = [read_task(data) for data in listed]
        return tuple(sorted(found, key=lambda task: task.created_at))

    def all_tasks(self) -> tuple[Task, ...]:
        """Those of all services that should run."""
        with self._talking("list the tasks of the Swarm") as client:
            listed = client.tasks(filters={"desired-state": "running"})  # type: ignore[no-untyped-call]
            return tuple(read_task(data) for data in listed)

    def output(self, task: str, *, lines: int) -> tuple[str, ...]:
        """The last lines that a task wrote; the node that it ran on must answer within seconds."""
        with self._talking(f"read the output of the task {task}") as client:
            answer = client.get(
                _url(client, f"tasks/{task}/logs"),
                params={"stdout": "1", "stderr": "1", "tail": str(lines)},
                timeout=_LOG_SECONDS,
                stream=True,
            )
            with closing(answer):
                _check(answer)
                return _last_lines(answer, time.monotonic() + 2 * _LOG_SECONDS)[-lines:]

    # secrets and configs

    def store(self, kind: Kind, name: str, content: Redacted, labels: Mapping[str, str]) -> str:
        """Keep something under a name that is unique; its id. Raises NameTaken (409)."""
        data = base64.b64encode(content.reveal().encode()).decode()
        body = {"Name": name, "Labels": dict(labels), "Data": data}
        with self._talking(f"create {name} in the Swarm") as client:
            try:
                return str(_post(client, f"{kind}/create", body, None)["ID"])
            except APIError as error:
                if error.status_code != requests.codes.conflict:
                    raise
                found = f"the Swarm's {kind} already have one of that name"
                raise NameTaken(f"create {name} in the Swarm", found) from error

    def stored(self, kind: Kind, labels: Mapping[str, str]) -> tuple[Stored, ...]:
        """All with these labels."""
        wanted = [f"{key}={value}" for key, value in labels.items()]
        with self._talking(f"list the {kind} of the Swarm") as client:
            ask = client.secrets if kind == "secrets" else client.configs
            return tuple(read_stored(data) for data in ask(filters={"label": wanted}))

    def find(self, kind: Kind, name: str) -> Stored | None:
        """The one of that name."""
        with self._talking(f"look for {name} in the Swarm") as client:
            ask = client.secrets if kind == "secrets" else client.configs
            found = [read_stored(data) for data in ask(filters={"name": name})]
        return next((each for each in found if each.name == name), None)  # the filter takes beginnings, too

    def content(self, config: str) -> str:
        """Return what a config holds, by its id. (A secret is only told to tasks.)"""
        with self._talking("read one of the Swarm's configs") as client:
            data = client.inspect_config(config)["Spec"]["Data"]  # type: ignore[no-untyped-call]
            return base64.b64decode(data).decode()

    def relabel(self, kind: Kind, stored: str, labels: Mapping[str, str]) -> None:
        """Give it other labels, by its id (SecretUpdate, ConfigUpdate)."""
        with self._talking(f"label one of the Swarm's {kind}") as client:
            url = _url(client, f"{kind}/{stored}")
            answer = client.get(url, timeout=client.timeout)
            _check(answer)
            about = answer.json()
            body = {**about["Spec"], "Labels": dict(labels)}  # nothing else of it can be changed
            version = {"version": about["Version"]["Index"]}
            _check(client.post(f"{url}/update", params=version, json=body, timeout=client.timeout))

    def drop(self, kind: Kind, stored: str) -> None:
        """Remove it by id. No error when it is gone."""
        with self._talking(f"remove one of the Swarm's {kind}") as client, suppress(NotFound):
            (client.remove_secret if kind == "secrets" else client.remove_config)(stored)


# --- the API's JSON


def _url(client: APIClient, path: str) -> str:
    return f"{client.base_url}/v{client.api_version}/{path}"


def _check(response: requests.Response) -> None:
    try:
        response.raise_for_status()
    except requests.HTTPError as error:
        raise create_api_error_from_http_exception(error) from error


def _post(client: APIClient, path: str, body: Mapping[str, Any], image: Reference | None) -> dict[str, Any]:
    """docker-py's own calls build the JSON from parts, and would drop what they do not know."""
    headers = _auth_headers(image) if image is not None else {}
    response = client.post(_url(client, path), json=dict(body), headers=headers, timeout=client.timeout)
    _check(response)
    answer: dict[str, Any] = response.json()
    return answer


def _auth_headers(image: Reference) -> dict[str, str]:
    """Return what the nodes log in to the registry with, in the URL's alphabet (RFC 4648, section 5).

    None at all where this machine has no login: an empty one would replace what the nodes were given.
    """
    known = auth_config(image.repository.host)
    if not known:
        return {}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(known).encode()).decode()}


def _last_lines(answer: requests.Response, end: float) -> tuple[str, ...]:
    """The last lines of a task's output, as far as they came in time."""
    frames = Frames(LOG_LIMIT, merged=True)
    with suppress(ValueError):
        frames.read(takewhile(lambda _: time.monotonic() < end, answer.iter_content(CHUNK)))
    return frames.output.lines()
