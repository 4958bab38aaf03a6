"""Secrets and configs that a Swarm keeps for its services."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal

import requests
from docker.errors import APIError, NotFound

from release.deploy.targets.swarm.manager import Manager, check, post, url_of
from release.deploy.targets.swarm.objects import Stored, read_stored
from release.errors import NameTaken
from release.secrets.redact import Redacted

Kind = Literal["secrets", "configs"]
"""Objects that a Swarm keeps for its services."""


class Stores(Manager, frozen=True, kw_only=True):
    """Secrets and configs of a Swarm. Every method raises EngineError, EngineUnreachable, NoQuorum."""

    def store(self, kind: Kind, name: str, content: Redacted, labels: Mapping[str, str]) -> str:
        """Create an object with a unique name; return its id. Raises NameTaken (409)."""
        data = base64.b64encode(content.reveal().encode()).decode()
        body = {"Name": name, "Labels": dict(labels), "Data": data}
        with self.talking(f"create {name} in the Swarm") as client:
            try:
                return str(post(client, f"{kind}/create", body, None)["ID"])
            except APIError as error:
                if error.status_code != requests.codes.conflict:
                    raise
                found = f"the Swarm's {kind} already have one of that name"
                raise NameTaken(f"create {name} in the Swarm", found) from error

    def stored(self, kind: Kind, labels: Mapping[str, str]) -> tuple[Stored, ...]:
        """Return all objects with these labels."""
        wanted = [f"{key}={value}" for key, value in labels.items()]
        with self.talking(f"list the {kind} of the Swarm") as client:
            ask = client.secrets if kind == "secrets" else client.configs
            return tuple(read_stored(data) for data in ask(filters={"label": wanted}))

    def find(self, kind: Kind, name: str) -> Stored | None:
        """Return the object of this name; None if there is none."""
        with self.talking(f"look for {name} in the Swarm") as client:
            ask = client.secrets if kind == "secrets" else client.configs
            found = [read_stored(data) for data in ask(filters={"name": name})]
        return next((each for each in found if each.name == name), None)  # the filter takes beginnings, too

    def content(self, config: str) -> str:
        """Return the content of a config by its id. (Only tasks can read secrets.)"""
        with self.talking("read one of the Swarm's configs") as client:
            data = client.inspect_config(config)["Spec"]["Data"]  # type: ignore[no-untyped-call]
            return base64.b64decode(data).decode()

    def relabel(self, kind: Kind, stored: str, labels: Mapping[str, str]) -> None:
        """Replace an object's labels by its id (SecretUpdate, ConfigUpdate)."""
        with self.talking(f"label one of the Swarm's {kind}") as client:
            url = url_of(client, f"{kind}/{stored}")
            answer = client.get(url, timeout=client.timeout)
            check(answer)
            about = answer.json()
            body = {**about["Spec"], "Labels": dict(labels)}  # nothing else of it can be changed
            version = {"version": about["Version"]["Index"]}
            check(client.post(f"{url}/update", params=version, json=body, timeout=client.timeout))

    def drop(self, kind: Kind, stored: str) -> None:
        """Remove an object by its id, if it exists."""
        with self.talking(f"remove one of the Swarm's {kind}") as client, suppress(NotFound):
            (client.remove_secret if kind == "secrets" else client.remove_config)(stored)
