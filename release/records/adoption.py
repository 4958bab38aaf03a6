"""Part of a deployment event about an object that another program made, and `invoke adopt` took over."""

from __future__ import annotations

from release.capped import Brief
from release.records.parts import Part


class Adoption(Part):
    """Container, service or workload that ran before the first deployment of this library."""

    kind: str
    """Kind of the object in the words of its target: container, service, Deployment."""
    name: str
    id: str
    """Id of the object at its target."""
    image: str
    """Image of the object, as its target names it: the digest of a manifest, an index or a config."""
    left_out: tuple[Brief, ...] = ()
    """Settings of the object that the operator chose not to record, so a rollback does not restore them."""

    def __str__(self) -> str:
        """For people: `the container web`."""
        return f"the {self.kind} {self.name}"
