"""Images of releases: nodes pull them from a registry by digest, and keep them for a while."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from release.deploy.core import image_location
from release.deploy.core.image_location import FreeSpace, ImageLocation, Tell
from release.deploy.core.image_survey import ImageState, ImageSurvey
from release.deploy.targets.kubernetes.api import Cluster
from release.errors import EngineError, Problem, RegistryError
from release.events import Emit, Warned, ignore_text
from release.records import Image, Release
from release.reference import Digest, Repository
from release.runspec import RunSpec
from release.values import Struct

Missing = Callable[[Image, Tell], str]
"""Returns what a registry lacks of an image; empty if it is whole. Raises RegistryError."""


class KubernetesImages(Struct, frozen=True, kw_only=True):
    """See `release.deploy.core.target.Images`."""

    cluster: Cluster
    missing: Missing = image_location.missing_in_registry

    @property
    def builder(self) -> None:
        """Return None: see `no_builder`."""
        return

    @property
    def no_builder(self) -> str:
        """Return that nothing is built on a node."""
        return "it is a Kubernetes cluster, and its nodes pull images from the registry"

    @property
    def without(self) -> str:
        """Return an empty text."""
        return ""

    def id_of(self, image: Image) -> Digest:
        """Return the manifest's digest, by which pods name images."""
        return Digest(image.digest)

    def labels_of(self, image: Image) -> Mapping[str, str] | None:  # noqa: ARG002 - no node tells them
        """Return None: a cluster does not report the labels of images."""
        return None

    def locate(self, image: Image, tell: Tell = ignore_text) -> ImageLocation:
        """Return where the image is: in the registry, else on the nodes."""
        repository = Repository(image.repository)
        if repository.host == image_location.EMBEDDED:
            why = "the image is in the store of the engine that built it, and no node can pull it from there"
            return ImageLocation(where="nowhere", problem=f"{why}: set `registry`, and release again")
        try:
            lacking = self.missing(image, tell)
        except RegistryError as error:
            return self._on_nodes(image, f"{error.attempted}: {error.found}", error.hint)
        return ImageLocation(where="registry") if not lacking else self._on_nodes(image, lacking, "")

    def _on_nodes(self, image: Image, why: str, hint: str) -> ImageLocation:
        """Return the nodes as location if all of them have the image: they ask no registry for it."""
        having, count = self._spread(image)
        if count and having == count:
            return ImageLocation(where="nodes", problem=f"{why}; all {count} nodes have it")
        nodes = f"; {having} of {count} nodes have it" if count else ""
        return ImageLocation(where="nowhere", problem=f"{why}{nodes}", hint=hint)

    def _spread(self, image: Image) -> tuple[int, int]:
        """Return the numbers of nodes with the image and of nodes that take pods; 0 and 0 if unknown.

        A node tells of its 50 largest images only (kubelet, nodeStatusMaxImages): others count as absent.
        """
        try:
            nodes = [each for each in self.cluster.nodes() if not (each.spec and each.spec.unschedulable)]
        except EngineError:
            return 0, 0
        having = [
            each
            for each in nodes
            for known in (each.status.images if each.status is not None else None) or ()
            if any(name.endswith(f"@{image.digest}") for name in known.names or ())
        ]
        return len(having), len(nodes)

    def room(self, image: Image, found: ImageLocation) -> FreeSpace:  # noqa: ARG002 - each node has a disk of its own
        """Return that free space is not checked: the disks of nodes are unknown."""
        return FreeSpace()

    def platform_problems(self, image: Image) -> list[Problem]:  # noqa: ARG002 - see `preflight`
        """Return nothing here: the problems of the settings name the nodes' platforms."""
        return []

    def fetch(self, release: Release, spec: RunSpec, found: ImageLocation, emit: Emit) -> None:  # noqa: ARG002
        """Do nothing: nodes pull while the previous release serves."""
        if found.where == "nodes":
            emit(Warned(text=f"{found.problem}; a node that is added later cannot run it"))

    def survey(self, stack: ExitStack) -> ImageSurvey:  # noqa: ARG002 - there is one connection
        """Return this object: nodes report their images."""
        return self

    def look(self, image: Image, *, deep: bool, check: Callable[[], None]) -> ImageState:  # noqa: ARG002
        """Return whether every node has the image."""
        check()
        having, count = self._spread(image)
        notes = (f"{having} of {count} nodes have it",) if count else ()
        return ImageState(places=("nodes",) if count and having == count else (), notes=notes)
