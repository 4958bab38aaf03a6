"""Probes of a container that another program made, as health gates. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from release.runspec import Healthcheck
from release.values import Struct


class Probes(Struct, frozen=True, kw_only=True):
    """Health gates of run settings, and probes without a place in them."""

    settings: dict[str, Any]
    unexpressed: dict[str, str]
    dropped: dict[str, str]


def read_probes(container: Mapping[str, Any]) -> Probes:
    """Return the probes of a container. A liveness probe is left out, as a deployment writes none."""
    settings, odd, dropped = dict[str, Any](), dict[str, str](), dict[str, str]()
    ready, startup = container.get("readinessProbe") or {}, container.get("startupProbe") or {}
    if "httpGet" in ready and (request := _request(container, ready["httpGet"])) is not None:
        settings["probe"] = request
    elif "exec" in ready:
        settings["healthcheck"] = _healthcheck(ready)
    elif ready:
        odd["readinessProbe"] = json.dumps(ready, sort_keys=True)[:200]
    if "exec" in startup:
        settings["health_command"] = tuple(startup["exec"]["command"])
    elif (
        "tcpSocket" in startup and (port := _number(container, startup["tcpSocket"].get("port"))) is not None
    ):
        settings["health_tcp"] = (port,)
    elif startup:
        odd["startupProbe"] = json.dumps(startup, sort_keys=True)[:200]
    if container.get("livenessProbe"):
        dropped["livenessProbe"] = "a deployment writes none: it would restart what is slow"
    return Probes(settings=settings, unexpressed=odd, dropped=dropped)


def _request(container: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an HTTP request as a recorded probe; None for one with TLS or to another address."""
    port = _number(container, given.get("port"))
    if port is None or given.get("scheme") not in (None, "HTTP") or given.get("host"):
        return None
    headers = {each["name"]: each["value"] for each in given.get("httpHeaders") or ()}
    host = headers.pop("Host", None)
    return {"port": port, "path": given.get("path") or "/", "host": host, "headers": headers or None}


def _number(container: Mapping[str, Any], port: Any) -> int | None:
    named = {each.get("name"): each["containerPort"] for each in container.get("ports") or ()}
    found = named.get(port, port)
    return found if isinstance(found, int) else None


def _healthcheck(given: Mapping[str, Any]) -> Healthcheck:
    return Healthcheck(
        command=tuple(given["exec"]["command"]),
        interval=(given.get("periodSeconds") or 10) * 1000,
        timeout=(given.get("timeoutSeconds") or 1) * 1000,
        retries=given.get("failureThreshold") or 3,
    )
