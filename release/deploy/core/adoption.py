"""Objects of a target that another program made, and that `invoke adopt` can take over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from release.deploy.core.adopted_image import AdoptedImage
from release.deploy.core.image_location import Tell
from release.deploy.core.instance import Instance
from release.deploy.core.rollout import RolloutContext
from release.records import Adoption
from release.reference import Digest, Reference
from release.runspec import RunSpec
from release.secrets.redact import Redacted
from release.values import Struct


class Candidate(Struct, frozen=True, kw_only=True):
    """A running object that no deployment made."""

    id: str
    name: str
    image: str
    """Image as the object names it: `registry.example/acme/web:1.4`."""
    ports: frozenset[int] = frozenset()
    """Published ports."""
    detail: str = ""
    """State in a few words."""

    def __str__(self) -> str:
        """Return the object as text: `web (registry.example/acme/web:1.4)`."""
        return f"{self.name} ({', '.join(filter(None, [self.image, self.detail]))})"


class Reading(Struct, frozen=True, kw_only=True):
    """Image and settings of a running object."""

    image: Digest | None
    """Image that runs, as the target names it; None if its instances run several or none."""
    references: tuple[Reference, ...]
    """References of the image by digest, the most likely first."""
    platform: str
    """Platform of the machine, as "linux/amd64"; empty if unknown."""
    spec: RunSpec
    """Settings. Variables that the image sets are left out."""
    secrets: Mapping[str, Redacted | None] = {}
    """Secrets of the target that the object uses, by variable; None for a value that cannot be read."""
    unexpressed: Mapping[str, str] = {}
    """Settings that run settings cannot express: the value of each, by name."""
    dropped: Mapping[str, str] = {}
    """Settings that belong to the program that made the object: the value of each, by name."""
    notes: tuple[str, ...] = ()
    """Facts that the operator must know before the next deployment."""
    trouble: str = ""
    """Reason why the object does not run well; empty if it does."""


class Adoptions(Protocol):
    """Objects at the target that another program made. Every method raises EngineError."""

    @property
    def kind(self) -> str:
        """Return the kind of object in the target's words: container, service, Deployment."""

    @property
    def stops_first(self) -> bool:
        """Return whether the object must be stopped before the first deployment starts."""

    def candidates(self) -> Sequence[Candidate]:
        """Return the running objects that no deployment of any place made, by name."""

    def read(self, candidate: Candidate) -> Reading:
        """Return image and settings of a candidate."""

    def describe(self, reading: Reading, attempted: str, tell: Tell) -> AdoptedImage:
        """Return the image as a release records it. See `adopted_image.describe_image`."""

    def instances(self, adopted: Adoption) -> Sequence[Instance]:
        """Return the running instances of an adopted object, without our labels; empty if none runs."""

    def exists(self, adopted: Adoption) -> bool:
        """Return whether the adopted object exists, running or stopped."""

    def stop(self, adopted: Adoption, context: RolloutContext) -> None:
        """Stop the object and keep it. No error if it is stopped or gone."""

    def start(self, adopted: Adoption, context: RolloutContext, timeout: int) -> str:
        """Start the object again as it was, and return the evidence that it runs.

        Args:
            adopted: the object. It must exist.
            context: context of the rollout.
            timeout: milliseconds.

        Raises:
            DeploymentFailed: it does not run well in time.
        """
