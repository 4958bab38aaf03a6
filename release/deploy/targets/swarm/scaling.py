"""Services without tasks: the spec of one that is paused, and the way back. Pure: nothing is asked here.

A paused service keeps its spec, but asks for no task. A label has the mark of the spec that it had before, so
that the way back is proven to lead there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from release.deploy.targets.swarm.marks import MARK, is_as_written, mark

PAUSED: Final = "release.paused"
"""The label of a paused service: the mark of the spec that it had."""


def paused(spec: Mapping[str, Any], *, has_ports: bool) -> dict[str, Any]:
    """Return the service's spec without tasks, and without ports if another service gets them."""
    endpoint = dict(spec.get("EndpointSpec") or {})
    if not has_ports:
        endpoint |= {"Ports": []}
    return _marked({**_scaled(spec, 0), "EndpointSpec": endpoint}, {PAUSED: mark(spec)})


def is_paused(spec: Mapping[str, Any]) -> bool:
    """Return whether a service was paused and not changed since."""
    return PAUSED in (spec.get("Labels") or {}) and is_as_written(spec)


def resumed(spec: Mapping[str, Any], replicas: int) -> dict[str, Any]:
    """Return the spec of a service before its pause. Raises ValueError if the mark differs."""
    before = _marked(_scaled(spec, replicas), {PAUSED: None})
    if mark(before) != (spec.get("Labels") or {}).get(PAUSED):
        raise ValueError("the settings before the pause are not those that its label names")
    return before


def forced(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec with a raised counter: the Swarm replaces every task (TaskSpec.ForceUpdate)."""
    task = dict(spec["TaskTemplate"])
    return {**spec, "TaskTemplate": task | {"ForceUpdate": (task.get("ForceUpdate") or 0) + 1}}


def _scaled(spec: Mapping[str, Any], replicas: int) -> dict[str, Any]:
    return {**spec, "Mode": {"Replicated": {"Replicas": replicas}}}


def _marked(spec: Mapping[str, Any], changes: Mapping[str, str | None]) -> dict[str, Any]:
    labels = {**(spec.get("Labels") or {}), **changes}
    written = {**spec, "Labels": {key: value for key, value in labels.items() if value is not None}}
    return {**written, "Labels": {**written["Labels"], MARK: mark(written)}}
