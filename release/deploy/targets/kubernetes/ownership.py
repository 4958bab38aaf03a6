"""Managers of the fields of an object (server-side apply).

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/: `managedFields` has an entry for
each manager; a key "f:name" is a field, 'k:{"name":"x"}' an item of a list, "." the item itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from lightkube.models.meta_v1 import ObjectMeta

from release.deploy.targets.kubernetes.api import MANAGER
from release.parsing import jsontext

_AUTOSCALER: Final = "kube-controller-manager"
REPLICAS: Final = ("spec", "replicas")
"""Path of the number of pods."""
RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"
"""Annotation that lets a cluster replace all pods of a Deployment."""

Path = tuple[str, ...]


def fields_of(metadata: ObjectMeta | None) -> Iterator[tuple[str, str, Path]]:
    """Yield manager, subresource and path of each managed field."""
    for entry in (metadata.managedFields if metadata is not None else None) or ():
        for path in _paths(entry.fieldsV1 or {}, ()):
            yield entry.manager or "", entry.subresource or "", path


def is_autoscaled(metadata: ObjectMeta | None) -> bool:
    """Return whether an autoscaler set the number of replicas."""
    return any(
        (manager, subresource, path) == (_AUTOSCALER, "scale", REPLICAS)
        for manager, subresource, path in fields_of(metadata)
    )


def added_by_others(metadata: ObjectMeta | None) -> Iterator[str]:
    """Yield fields of the spec that only other managers have, with their managers."""
    known = list(fields_of(metadata))
    ours = {path for manager, _, path in known if manager == MANAGER}
    for manager, subresource, path in known:
        is_status = subresource == "status" or (manager == _AUTOSCALER and path == REPLICAS)
        if path[0] == "spec" and path not in ours and not is_status and path[-1] != RESTARTED:
            yield f"{written(path)} is managed by {manager}"


def manager_of(metadata: ObjectMeta | None, path: Path) -> str:
    """Return the other manager of a field; empty if there is none."""
    return next(
        (manager for manager, _, found in fields_of(metadata) if found == path and manager != MANAGER), ""
    )


def written(path: Path) -> str:
    """Return a path as text: `spec.template.spec.containers[service].image`."""
    text = ""
    for part in path:
        text += part if part.startswith("[") else f".{part}"
    return text.removeprefix(".")


def _paths(fields: Mapping[str, Any], above: Path) -> Iterator[Path]:
    below = {key: value for key, value in fields.items() if key != "."}
    if not below and above:
        yield above
    for key, value in below.items():
        yield from _paths(value if isinstance(value, Mapping) else {}, (*above, _part(key)))


def _part(key: str) -> str:
    kind, _, rest = key.partition(":")
    if kind == "k":
        return f"[{','.join(str(value) for value in jsontext.read_object(rest).values())}]"
    return rest if kind == "f" else f"[{rest}]"
