"""Health gates as probes of a container. The cluster asks them; the deployment asks once more itself.

Only a readiness and a startup probe are written: a liveness probe restarts what is slow, and nobody asked.
"""

from __future__ import annotations

from typing import Final

from lightkube.models.core_v1 import ExecAction, HTTPGetAction, HTTPHeader, Probe, TCPSocketAction

from release.runspec import Probe as Request
from release.runspec import RunSpec

_PERIOD_SECONDS: Final = 1
_TIMEOUT_SECONDS: Final = 5
_FAILURES: Final = 3
_PATIENT: Final = 30_000
"""A startup probe may fail so often: the deadline of the deployment ends it."""
_SUCCESSES: Final = (200, 399)
"""Statuses that a kubelet takes for an answer of a healthy service."""


def startup(spec: RunSpec) -> Probe | None:
    """Return the probe of `health_command` or `health_tcp`, before the service counts as started."""
    if spec.health_command is not None:
        known = Probe(exec=ExecAction(command=list(spec.health_command)))
    elif spec.health_tcp:
        known = Probe(tcpSocket=TCPSocketAction(port=spec.health_tcp[0]))
    else:
        return None
    known.periodSeconds, known.timeoutSeconds, known.failureThreshold = (
        _PERIOD_SECONDS,
        _TIMEOUT_SECONDS,
        _PATIENT,
    )
    return known


def readiness(spec: RunSpec) -> Probe | None:
    """Return the probe that decides if a pod gets requests: `healthcheck`, else the recorded request."""
    check = spec.healthcheck
    if check is not None and check.command is not None and not check.disable:
        return Probe(
            exec=ExecAction(command=list(check.command)),
            periodSeconds=_seconds(check.interval, _PERIOD_SECONDS),
            timeoutSeconds=_seconds(check.timeout, _TIMEOUT_SECONDS),
            failureThreshold=check.retries or _FAILURES,
        )
    if spec.probe is None or not _SUCCESSES[0] <= spec.probe.status <= _SUCCESSES[1]:
        return None
    return Probe(
        httpGet=HTTPGetAction(
            port=spec.probe.port,
            path=spec.probe.path,
            scheme="HTTP",
            httpHeaders=_headers(spec.probe) or None,
        ),
        periodSeconds=_PERIOD_SECONDS,
        timeoutSeconds=_TIMEOUT_SECONDS,
        failureThreshold=_FAILURES,
    )


def _headers(probe: Request) -> list[HTTPHeader]:
    given = ({"Host": probe.host} if probe.host is not None else {}) | dict(probe.headers or {})
    return [HTTPHeader(name=name, value=value) for name, value in given.items()]


def _seconds(milliseconds: int | None, default: int) -> int:
    return max(1, -(-milliseconds // 1000)) if milliseconds is not None else default
