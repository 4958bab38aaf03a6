"""Server-side apply: who manages which field. See https://kubernetes.io/docs/reference/using-api/server-side-apply/."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
"""Keys of lists that are maps, by the name of the list; `ports` has others in a pod and in a Service."""
UNMANAGED = ("apiVersion", "kind", "metadata.name", "metadata.namespace", "metadata.uid")

Path = tuple[str, ...]


class Conflict(Exception):
    """Another manager has these fields."""

    def __init__(self, found: list[tuple[str, str]]) -> None:
        super().__init__(found)
        self.found = found


def keys_of(name: str, items: list[Any]) -> tuple[str, ...]:
    if name == "ports" and items and all("containerPort" in item for item in items):
        return ("containerPort", "protocol")
    if name == "ports" and items and all("port" in item for item in items):
        return ("port", "protocol")
    return KEYS.get(name, ()) if all(isinstance(item, dict) for item in items) else ()


def leaves(data: Any, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each field with its value; an item of a list that is a map is found by its keys."""
    if isinstance(data, dict) and data:
        for name, value in data.items():
            keys = keys_of(name, value) if isinstance(value, list) else ()
            path = (*above, f"f:{name}")
            if not keys:
                yield from leaves(value, path)
            for item in value if keys else ():
                told = {key: item[key] for key in keys}
                yield from leaves(item, (*path, f"k:{json.dumps(told, separators=(',', ':'))}"))
    elif above:
        yield above, data


def managed(data: dict[str, Any]) -> dict[Path, Any]:
    found = dict(leaves({key: value for key, value in data.items() if key not in ("apiVersion", "kind")}))
    return {path: value for path, value in found.items() if words(path) not in UNMANAGED}


def words(path: Path) -> str:
    """As the server names a field in a conflict: `.spec.template.spec.containers[name="x"].image`, short."""
    text = ""
    for part in path:
        if part.startswith("f:"):
            text += f".{part[2:]}"
        else:
            told = ",".join(f'{key}="{value}"' for key, value in json.loads(part[2:]).items())
            text += f"[{told}]"
    return text.removeprefix(".")


def merged(live: Any, applied: Any, name: str = "") -> Any:
    """Return `live` with what was applied."""
    if isinstance(live, dict) and isinstance(applied, dict):
        found = dict(live)
        for key, value in applied.items():
            found[key] = merged(found[key], value, key) if key in found else copy.deepcopy(value)
        return found
    keys = keys_of(name, applied) if isinstance(live, list) and isinstance(applied, list) else ()
    if not keys:
        return copy.deepcopy(applied)
    there = {tuple(item[key] for key in keys): item for item in live}
    for item in applied:
        key = tuple(item[each] for each in keys)
        there[key] = merged(there[key], item) if key in there else copy.deepcopy(item)
    return list(there.values())


def without(data: Any, path: Path) -> None:
    """Remove a field, and the items and folders above it that are empty then."""
    head, *rest = path
    if not rest:
        data.pop(head[2:], None)
        return
    inner = data.get(head[2:])
    if inner is None:
        return
    if rest[0].startswith("k:"):
        told = json.loads(rest[0][2:])
        items = [item for item in inner if all(item.get(key) == value for key, value in told.items())]
        for item in items:
            is_key = len(rest) == 2 and rest[1][2:] in told
            if len(rest) > 1 and not is_key:
                without(item, tuple(rest[1:]))
            if set(item) <= set(told):
                inner.remove(item)
    else:
        without(inner, tuple(rest))
    if not inner:
        data.pop(head[2:])


def tree(paths: Any) -> dict[str, Any]:
    """As `fieldsV1` writes them."""
    found: dict[str, Any] = {}
    for path in paths:
        at = found
        for part in path:
            at = at.setdefault(part, {})
    return found


class Managers:
    """The managers of one object: paths by (manager, operation, subresource)."""

    def __init__(self) -> None:
        self.sets: dict[tuple[str, str, str], set[Path]] = {}

    def others(self, path: Path, mine: tuple[str, str, str]) -> list[str]:
        return [name[0] for name, paths in self.sets.items() if name != mine and path in paths]

    def entries(self) -> list[dict[str, Any]]:
        return [
            {
                "manager": manager,
                "operation": operation,
                "apiVersion": "v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": tree(sorted(paths)),
                **({"subresource": subresource} if subresource else {}),
            }
            for (manager, operation, subresource), paths in self.sets.items()
            if paths
        ]

    def apply(
        self, live: dict[str, Any], applied: dict[str, Any], manager: str, *, force: bool
    ) -> dict[str, Any]:
        """Return the object with what was applied. Raises Conflict."""
        mine = (manager, "Apply", "")
        wanted, there = managed(applied), managed(live)
        taken = [
            (words(path), other)
            for path, value in wanted.items()
            if path in there and there[path] != value
            for other in self.others(path, mine)
        ]
        if taken and not force:
            raise Conflict(taken)
        found = copy.deepcopy(live)
        for path in self.sets.get(mine, set()) - set(wanted):
            if not self.others(path, mine):
                without(found, path)
        for name, paths in self.sets.items():
            if name != mine and force:
                paths.difference_update(path for path in wanted if there.get(path) != wanted[path])
        self.sets[mine] = set(wanted)
        made: dict[str, Any] = merged(found, applied)
        return made

    def update(
        self, live: dict[str, Any], changed: dict[str, Any], manager: str, subresource: str = ""
    ) -> None:
        """Give the fields that were changed to whoever changed them."""
        before, after = managed(live), managed(changed)
        moved = {path for path, value in after.items() if path not in before or before[path] != value}
        gone = set(before) - set(after)
        for paths in self.sets.values():
            paths.difference_update(moved | gone)
        self.sets.setdefault((manager, "Update", subresource), set()).update(moved)
