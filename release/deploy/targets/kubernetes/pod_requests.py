"""Requests about pods: the list, its changes, the output, and a request to the service itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

import httpx2
from lightkube import Client
from lightkube.resources.core_v1 import Pod

from release.deploy.targets.kubernetes.faults import translated
from release.runspec import Probe

_WATCH_SECONDS: Final = 1
_GONE: Final = 410
"""Status of a watch from a version that the server has forgotten."""
_MOST: Final = 500
"""Objects in one page of a list."""


class PodRequests:
    """Requests about the pods of a namespace. Every method raises EngineError, EngineUnreachable."""

    def __init__(self, client: Client, plain: httpx2.Client, namespace: str) -> None:
        """Keep the client and its HTTP connection, for requests that the library lacks."""
        self._client, self._plain, self.namespace = client, plain, namespace

    def list(self, labels: Mapping[str, str]) -> tuple[tuple[Pod, ...], str]:
        """Return the pods with these labels, and the list's version, to wait for changes."""
        with translated(f"list Pods in {self.namespace}"):
            found = self._client.list(Pod, labels=dict(labels), chunk_size=_MOST)
            pods = tuple(found)
        return pods, found.resourceVersion

    def await_change(self, labels: Mapping[str, str], version: str) -> None:
        """Wait until a pod with these labels changes after this version, at most one second."""
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        asked = {
            "watch": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
            "resourceVersion": version,
            "labelSelector": selector,
        }
        where = f"/api/v1/namespaces/{self.namespace}/pods"
        with (
            translated(f"watch Pods in {self.namespace}"),
            self._plain.stream("GET", where, params=asked) as said,
        ):
            if said.status_code != _GONE:
                said.raise_for_status()
                next(said.iter_lines(), None)

    def lines(self, pod: str, *, last: int | None, since: datetime | None, follow: bool) -> Iterator[str]:
        """Yield the lines of a pod with their times, oldest first."""
        seconds = max(1, round((datetime.now(UTC) - since).total_seconds())) if since is not None else None
        with translated(f"read the log of {pod}"):
            yield from self._client.log(
                pod, tail_lines=last, since=seconds, follow=follow, timestamps=True, newlines=False
            )

    def ask(self, pod: str, probe: Probe) -> int:
        """Return the status of a pod's answer to a probe, sent through the API server.

        A service that does not answer is a 5xx of the API server.
        """
        where = f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{probe.port}/proxy"
        with translated(f"ask {pod} through the API server"):
            answer = self._plain.get(where + probe.path, headers=dict(probe.headers or {}))
        return answer.status_code

    def log(self, pod: str, *, lines: int) -> tuple[str, ...]:
        """Return the last lines of a pod; if it restarts repeatedly, those of its last run."""
        with translated(f"read the log of {pod}"):
            return tuple(self._client.log(pod, tail_lines=lines, newlines=False))

    def last_lines(self, pod: str, lines: int) -> tuple[str, ...]:
        """Return the last lines of a pod, each with its time."""
        return tuple(self.lines(pod, last=lines, since=None, follow=False))
