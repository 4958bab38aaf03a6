"""The objects of a namespace, with versions, and every change in order for those who watch."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.cluster import rules
from tests.cluster.fields import Managers

Key = tuple[str, str]
"""Resource and name, as ("deployments", "api")."""


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Store:
    """What etcd holds."""

    objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    managers: dict[Key, Managers] = field(default_factory=dict)
    events: list[tuple[int, str, Key, dict[str, Any]]] = field(default_factory=list)
    version: int = 100
    made: int = 0

    def of(self, resource: str) -> list[dict[str, Any]]:
        return [data for (kind, _), data in sorted(self.objects.items()) if kind == resource]

    def put(self, key: Key, data: dict[str, Any]) -> dict[str, Any]:
        """Store it with a new version; a changed spec has a new generation."""
        before = self.objects.get(key)
        data = self.prepared(key, data)
        if before is not None and _plain(before) == _plain(data):
            return before
        self.version += 1
        data["metadata"]["resourceVersion"] = str(self.version)
        self.objects[key] = data
        self.events.append((self.version, "MODIFIED" if before else "ADDED", key, copy.deepcopy(data)))
        return data

    def prepared(self, key: Key, data: dict[str, Any]) -> dict[str, Any]:
        """Return it as it would be stored. Raises rules.Refused."""
        before = self.objects.get(key)
        data = rules.defaulted(copy.deepcopy(data))
        rules.check(data, before)
        meta = data["metadata"]
        if before is None:
            self.made += 1
            meta |= {"uid": f"uid-{self.made}", "creationTimestamp": now(), "generation": 1}
        else:
            known = {name: before["metadata"][name] for name in ("uid", "creationTimestamp", "generation")}
            meta |= known
            if before.get("spec") != data.get("spec"):
                meta["generation"] += 1
        meta["managedFields"] = self.managers.setdefault(key, Managers()).entries()
        meta.setdefault("resourceVersion", str(self.version))
        return data

    def delete(self, key: Key) -> None:
        data = self.objects.pop(key)
        self.managers.pop(key, None)
        self.version += 1
        self.events.append((self.version, "DELETED", key, data))


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    meta = {key: value for key, value in data["metadata"].items() if key != "resourceVersion"}
    return {**data, "metadata": meta}
