"""One attempt to change a namespace: what its steps share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from release.deploy.core.place import DEPLOYMENT, PROCESS, SERVING
from release.deploy.core.retry_unreachable import until_back
from release.deploy.core.rollout import RolloutContext, RolloutRequest
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.documents import deadline
from release.deploy.targets.kubernetes.follow import Follow
from release.deploy.targets.kubernetes.kinds import Document
from release.deploy.targets.kubernetes.manifests import kinds_of
from release.deploy.targets.kubernetes.placed import PlacedWorkloads
from release.deploy.targets.kubernetes.sealed import Sealed
from release.deploy.targets.kubernetes.submit import Submit

T = TypeVar("T")


class Attempt(PlacedWorkloads, frozen=True, kw_only=True):
    """One order for a namespace, with its context."""

    order: RolloutRequest
    means: RolloutContext

    @property
    def _submit(self) -> Submit:
        kinds = frozenset(kinds_of(self.order.spec, self.order.old))
        return Submit(cluster=self.cluster, place=self.order.place, force=self.force, kinds=kinds)

    @property
    def _sealed(self) -> Sealed:
        return Sealed(cluster=self.cluster, place=self.order.place)

    def _follow(
        self,
        document: Document,
        watch: int,
        *,
        is_strict: bool = True,
        check: Callable[[], None] | None = None,
    ) -> Follow:
        labels = document["metadata"]["labels"]
        process = labels.get(PROCESS, "")
        return Follow(
            cluster=self.cluster,
            name=document["metadata"]["name"],
            labels=naming.pod_selector(self.order.place.at(process), SERVING),
            deployment=labels[DEPLOYMENT],
            attempted=self.order.attempt,
            patience=deadline(self.order, process) * 1000,
            watch=watch,
            emit=self.means.emit,
            mask=self.means.mask,
            check=check or self.means.cancellation.check,
            clock=self.clock,
            is_strict=is_strict,
        )

    def _patient(self, call: Callable[[], T]) -> T:
        return until_back(call, milliseconds=self.order.health_timeout, emit=self.means.emit)
