"""A manager of a Swarm, and the JSON of its API: errors become ours, and a lost majority is told."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from docker import APIClient
from docker.errors import create_api_error_from_http_exception

from release.deploy.targets.swarm.objects import Membership
from release.errors import EngineError, NoQuorum
from release.images.engine import Engine
from release.images.engine.transfers import auth_config
from release.reference import Reference
from release.values import Struct


class Manager(Struct, frozen=True, kw_only=True):
    """An engine that manages a Swarm."""

    engine: Engine

    def membership(self) -> Membership:
        """Return the engine's membership in a Swarm, without asking other nodes."""
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
    def talking(self, attempted: str) -> Iterator[APIClient]:
        """Yield the engine's API for requests that only managers answer.

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


def url_of(client: APIClient, path: str) -> str:
    """Return the address of a path of the API."""
    return f"{client.base_url}/v{client.api_version}/{path}"


def check(response: requests.Response) -> None:
    """Raise docker's APIError for an answer that is an error."""
    try:
        response.raise_for_status()
    except requests.HTTPError as error:
        raise create_api_error_from_http_exception(error) from error


def post(client: APIClient, path: str, body: Mapping[str, Any], image: Reference | None) -> dict[str, Any]:
    """Send this JSON unchanged. docker-py's own calls would drop keys that they do not know."""
    headers = _auth_headers(image) if image is not None else {}
    response = client.post(url_of(client, path), json=dict(body), headers=headers, timeout=client.timeout)
    check(response)
    answer: dict[str, Any] = response.json()
    return answer


def _auth_headers(image: Reference) -> dict[str, str]:
    """Return the registry login for the nodes, URL-safe base64 (RFC 4648, section 5).

    Without a login there is no header: an empty login would replace that of the nodes.
    """
    known = auth_config(image.repository.host)
    if not known:
        return {}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(known).encode()).decode()}
