"""The recorded request, made to each pod through the API server: no pod has to be reachable from here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from release.deploy.core.retry_unreachable import until_back
from release.deploy.targets.kubernetes.api import Cluster
from release.deploy.targets.kubernetes.clock import Clock
from release.deploy.targets.kubernetes.pods import PodState
from release.errors import DeploymentFailed
from release.events import Emit, Warned
from release.runspec import Probe, RunSpec
from release.values import Struct

_PAUSE_SECONDS: Final = 0.25


class PodProbe(Struct, frozen=True, kw_only=True):
    """Health requests to each pod of an environment, through the API server."""

    cluster: Cluster
    clock: Clock
    patience: int
    """Milliseconds for a pod to give the right answer."""
    emit: Emit
    check: Callable[[], None]
    """Function that raises an error to stop the wait."""

    def ask(self, pods: Sequence[PodState], spec: RunSpec) -> Iterator[str]:
        """Probe each pod; yield its evidence or a note.

        Without permission for the proxy, or for a request to a named host, the readiness probe alone decides;
        the first of these is said as a warning.

        Raises DeploymentFailed: a pod gives a wrong answer for as long as is waited.
        """
        probes = {name: each.probe for name, each in spec.every.items()}
        found = [(pod, probes.get(pod.process)) for pod in pods]
        known = [(pod, probe) for pod, probe in found if probe is not None and probe.host is None]
        if not known:
            return
        if not self.cluster.may("get", "", "pods", "proxy"):
            text = "the role lacks `get pods/proxy`: only the readiness probe checks the answers of pods"
            self.emit(Warned(text=text))
            return
        for pod, probe in known:
            self._await_answer(pod, probe)
        first = known[0][1]
        yield f"GET {first.path} gave {first.status} on {len(known)} of {len(pods)} pods"

    def _await_answer(self, pod: PodState, probe: Probe) -> None:
        deadline = self.clock.now() + self.patience / 1000
        while (status := self._status(pod, probe)) != probe.status:
            self.check()
            if self.clock.now() > deadline:
                found = (
                    f"after {self.patience / 1000:g} s, GET {probe.path} gave {status}, not {probe.status}"
                )
                raise DeploymentFailed(f"probe {pod}", f"{pod}: {found}", f"kubectl logs {pod.name}")
            self.clock.pause(_PAUSE_SECONDS)

    def _status(self, pod: PodState, probe: Probe) -> int:
        return until_back(
            lambda: self.cluster.pods.ask(pod.name, probe), milliseconds=self.patience, emit=self.emit
        )
