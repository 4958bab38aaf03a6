"""Replacement of a place's pods: what can fail beforehand, the rollout, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from release.config import Environment
from release.config.kubernetes import unsupported_settings
from release.deploy.core.failed_output import keep_on_failure
from release.deploy.core.instance import InstanceSet
from release.deploy.core.problems import listed
from release.deploy.core.rollout import RolloutContext, RolloutRequest, Strategy, Way
from release.deploy.targets.kubernetes.failed_output import KubernetesFailedOutput
from release.deploy.targets.kubernetes.instances import KubernetesInstances
from release.deploy.targets.kubernetes.manifests import problems_of, settings_of
from release.deploy.targets.kubernetes.placed import PlacedWorkloads
from release.deploy.targets.kubernetes.pod import is_replaced_first
from release.deploy.targets.kubernetes.preflight import Preflight
from release.deploy.targets.kubernetes.render import rendered
from release.deploy.targets.kubernetes.rollout import Rollout, longest
from release.errors import Problem, UsageError
from release.records import Image, Release
from release.runspec import RunSpec
from release.tmpfs import Tmpfs, texts

_WORDS: Final = {
    "rolling": "rolling: the cluster replaces the pods, a few at a time, by the recorded max_surge and "
    "max_unavailable",
    "stop-first": "stop-first: the old pods end before new ones start",
    "in-order": "in-order: one process after the other",
}


class KubernetesRollouts(PlacedWorkloads, frozen=True, kw_only=True):
    """See `release.deploy.core.target.Rollouts`."""

    @property
    def keeps_seals(self) -> bool:
        """Return False: existing secrets are read and compared."""
        return False

    def settings_problems(self, spec: RunSpec, image: Image | None = None) -> list[Problem]:
        """Return settings that a cluster lacks, and a missing namespace, permission or volume claim."""
        found = {"kubernetes": list(Preflight(cluster=self.cluster).problems(spec, image))}
        for name, each in spec.every.items():
            folders = [Tmpfs.model_validate(text) for text in texts(each.tmpfs, each.tmpfs_options)]
            where = "settings" if not name else f"processes.{name}"
            found.setdefault(where, []).extend(unsupported_settings(each, folders))
        return listed(self.place, found)

    def completed(
        self, spec: RunSpec, settings: Environment, release: Release, root: Path
    ) -> tuple[RunSpec, list[Problem]]:
        """Return the settings with the rendered manifests, if the configuration has any."""
        table = settings.kubernetes
        if table is None or not table.has_manifests:
            return spec, []
        where = f"environments.{self.place.environment}.kubernetes"
        try:
            found = rendered(table, root, service=self.place.service, namespace=self.cluster.namespace)
        except UsageError as error:
            text = f"{error.attempted}: {error.found}; {error.hint}"
            return spec, [Problem(path=where, message=text)]
        wrong = problems_of(found, release.image, self.cluster.namespace)
        if wrong:
            return spec, [Problem(path=where, message=each) for each in wrong]
        return settings_of(found, release.image, spec), []

    def occupation_problems(self, spec: RunSpec, ours: InstanceSet) -> list[Problem]:  # noqa: ARG002 - a Service has an address of its own
        """Return a Deployment with our name that is not ours."""
        return listed(self.place, {"name": self._name()})

    def _name(self) -> Iterator[str]:
        at = KubernetesInstances(cluster=self.cluster, place=self.place)
        found = at.stranger()
        if found is not None:
            yield (
                f"the Deployment {found.name} exists, and no deployment made it, so it is not changed. "
                f"To show it: `kubectl -n {self.cluster.namespace} get deployment {found.name} -o yaml`"
            )

    def cautions(self) -> tuple[str, ...]:
        """Return nothing: a pod serves until its Services have removed it."""
        return ()

    def strategy(self, spec: RunSpec) -> Strategy:
        """Return "in-order" for several processes, else "stop-first" or "rolling", by the settings."""
        if spec.processes is not None:
            return "in-order"
        return "stop-first" if is_replaced_first(spec, exclusive=False) else "rolling"

    def describe(self, strategy: Strategy) -> str:
        """Return the strategy in words."""
        return _WORDS[strategy]

    def patience(self, spec: RunSpec, health_timeout: int) -> int:
        """Return the milliseconds for all pods."""
        return longest(spec, health_timeout)

    def roll_out(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Apply the documents, follow the pods and probe them. On failure, restore the previous release."""
        rollout = self._of(order, means)
        with self._keeping(rollout):
            return rollout.run()

    def _keeping(self, rollout: Rollout) -> AbstractContextManager[None]:
        """Store the output of pods that fail in the block."""
        shelf = KubernetesFailedOutput(cluster=self.cluster, place=self.place).shelf
        return keep_on_failure(shelf, rollout.written, rollout.means.emit)

    def objection(self, order: RolloutRequest, way: Way) -> UsageError | None:
        """Refuse to finish if nothing was applied. Reverting is always possible."""
        if way == "revert" or any(each.deployment == order.identity.deployment for each in self.workloads()):
            return None
        return UsageError(
            f"finish {order}", "nothing of it was applied, or it is reverted already", "revert it: --revert"
        )

    def resume(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Apply missing documents, and prove the release."""
        rollout = self._of(order, means)
        with self._keeping(rollout):
            return rollout.resume()

    def retract(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Apply the previous release, and prove it."""
        return self._of(order, means).retract()

    def verify(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Check the pods again, and probe them."""
        return self._of(order, means).verify()

    def _of(self, order: RolloutRequest, means: RolloutContext) -> Rollout:
        return Rollout(
            cluster=self.cluster,
            place=self.place,
            force=self.force,
            clock=self.clock,
            order=order,
            means=means,
        )
