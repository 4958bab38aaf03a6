"""The lock as a Lease: `kubectl get lease` shows who deploys.

Creating one is the atomic test; a free Lease is taken, and a taken one freed, by replacing the version that
was read (`resourceVersion`), so of two commands one wins. A freed Lease stays, without a holder.

Source: https://kubernetes.io/docs/concepts/architecture/leases/ and coordination.k8s.io/v1 LeaseSpec.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from lightkube.models.coordination_v1 import LeaseSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.coordination_v1 import Lease

from release.deploy.core.lock_store import Kept, as_labels, from_labels
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.api import Cluster
from release.deploy.targets.kubernetes.faults import Missing, Outdated
from release.errors import NameTaken
from release.programs import owner
from release.values import Struct

_WHO: Final = "release.lock.who"
_EXPIRES: Final = "release.lock.expires"
_LONGEST: Final = 2**31 - 1
"""Maximum of leaseDurationSeconds, an int32."""


class KubernetesLockStore(Struct, frozen=True, kw_only=True):
    """See `release.deploy.core.lock_store.LockStore`."""

    cluster: Cluster

    def put(self, name: str, metadata: Mapping[str, str], payload: str) -> None:
        """Create the Lease, or take a free one. Metadata and payload are annotations."""
        called = naming.lock_name(name)
        wanted = self._lease(called, metadata, payload)
        try:
            self.cluster.create(wanted)
        except NameTaken:
            there = self.cluster.get(Lease, called)
            if there is None or _is_held(there) or there.metadata is None:
                raise
            assert wanted.metadata is not None  # noqa: S101 - made above
            wanted.metadata.resourceVersion = there.metadata.resourceVersion
            self._replace(wanted)

    def _replace(self, wanted: Lease) -> None:
        try:
            self.cluster.replace(wanted)
        except Outdated as error:
            raise NameTaken(error.attempted, error.found) from error

    def _lease(self, name: str, metadata: Mapping[str, str], payload: str) -> Lease:
        now = self.now()
        moment = now.replace(microsecond=now.microsecond or 1)  # a MicroTime has a fraction
        end = owner.parse_label_time(metadata.get(_EXPIRES, ""))
        seconds = min(max(1, round((end - now).total_seconds())), _LONGEST) if end is not None else None
        return Lease(
            metadata=ObjectMeta(name=name, annotations=as_labels(metadata, payload)),
            spec=LeaseSpec(
                holderIdentity=metadata.get(_WHO) or "release",
                leaseDurationSeconds=seconds,
                acquireTime=moment,
                renewTime=moment,
            ),
        )

    def get(self, name: str) -> Kept | None:
        """Return the Lease, if it has a holder."""
        called = naming.lock_name(name)
        found = self.cluster.get(Lease, called)
        if found is None or found.metadata is None or not _is_held(found):
            return None
        metadata, payload = from_labels(found.metadata.annotations or {})
        return Kept(
            id=f"{called}/{found.metadata.uid}/{found.metadata.resourceVersion}",
            metadata=metadata,
            payload=payload,
            way_out=f"kubectl -n {self.cluster.namespace} delete lease {called}",
        )

    def drop(self, kept: str) -> None:
        """Free the Lease, if it did not change since it was read."""
        name, uid, version = kept.split("/")
        freed = Lease(metadata=ObjectMeta(name=name, uid=uid, resourceVersion=version), spec=LeaseSpec())
        with suppress(Outdated, Missing):
            self.cluster.replace(freed)

    def now(self) -> datetime:
        """Return the API server's time, by its last answer."""
        return datetime.now(UTC) + timedelta(milliseconds=self.cluster.clock_ahead)


def _is_held(lease: Lease) -> bool:
    return bool(lease.spec is not None and lease.spec.holderIdentity)
