"""Images of releases in a Swarm: in the registry that all nodes ask, and in the stores of the nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from release.deploy.core import image_location
from release.deploy.core.image_location import FreeSpace, ImageLocation, Tell
from release.deploy.core.image_source import engine_problem
from release.deploy.core.image_survey import ImageState, ImageSurvey
from release.deploy.targets.swarm import prepull
from release.deploy.targets.swarm.nodes import Machines, look_into, spread
from release.deploy.targets.swarm.service import PlacedService
from release.errors import EngineError, Problem, RegistryError, RegistryUnreachable
from release.events import Emit, Warned, ignore_text
from release.images.engine import Engine
from release.records import Image, Release
from release.reference import Digest, Repository
from release.runspec import RunSpec
from release.values import Struct, replace


class SwarmImages(PlacedService, frozen=True, kw_only=True):
    """The images of a Swarm. See `release.deploy.core.target.Images`."""

    @property
    def builder(self) -> None:
        """Return None: see `no_builder`."""
        return

    @property
    def no_builder(self) -> str:
        """Return that an image built on one node is of no use to other nodes."""
        return "it is a Swarm, and its nodes pull images from the registry"

    @property
    def without(self) -> str:
        """Return an empty text: `ImageState.notes` name the nodes."""
        return ""

    def id_of(self, image: Image) -> Digest:
        """Return the manifest's digest, by which services name images."""
        return Digest(image.digest)

    def labels_of(self, image: Image) -> Mapping[str, str] | None:
        """Return the labels of the image in the manager's store."""
        stored = image_location.find_stored(self.engine, image)
        return stored.labels if stored is not None else None

    def room(self, image: Image, found: ImageLocation) -> FreeSpace:  # noqa: ARG002 - each node has a disk of its own
        """Return that free space is not checked: the disks of nodes are unknown."""
        return FreeSpace()

    def platform_problems(self, image: Image) -> list[Problem]:  # noqa: ARG002 - see below
        """Return nothing: placement compares the nodes' platforms."""
        return []

    def locate(self, image: Image, tell: Tell = ignore_text) -> ImageLocation:
        """Return where the image is: in the registry, or in the engine of the only node.

        If the registry cannot provide the image, look on the nodes.
        """
        if Repository(image.repository).host == image_location.EMBEDDED:
            return self._alone(image, image_location.find_stored(self.engine, image) is not None)
        try:
            missing = image_location.missing_in_registry(image, tell)
        except RegistryError as error:
            why, is_silent = f"{error.attempted}: {error.found}", isinstance(error, RegistryUnreachable)
            return replace(self._on_nodes(image, why, is_silent=is_silent), hint=error.hint)
        return self._on_nodes(image, missing, is_silent=False) if missing else ImageLocation(where="registry")

    def _on_nodes(self, image: Image, why: str, *, is_silent: bool) -> ImageLocation:
        """Return the nodes as location if they have the image: they ask no registry for it.

        If the registry is silent, one node with the image is enough; if it lacks the image, all must have it.
        """
        if not self.is_manager():
            return ImageLocation(where="nowhere", problem=why)
        with ExitStack() as stack:
            found = spread(look_into(self.swarm, self.ways, stack), image)
        if found.is_everywhere or (is_silent and found.has):
            stored = image_location.find_stored(self.engine, image)
            return ImageLocation(where="nodes", stored=stored, problem=f"{why}; of the nodes {found}")
        return ImageLocation(where="nowhere", problem=f"{why}; of the nodes {found or 'none takes tasks'}")

    def _alone(self, image: Image, is_stored: bool) -> ImageLocation:  # noqa: FBT001 - private, one caller
        if not self.is_manager():
            return image_location.locate(self.engine, image)
        count = len(self.swarm.nodes())
        if count == 1:
            return image_location.locate(self.engine, image)
        has = "this engine has it" if is_stored else "this engine does not have it either"
        return ImageLocation(
            where="nowhere",
            problem=f"the Swarm has {count} nodes, but without a registry only an engine's own store "
            f"has images: {has}. Set `registry` to one that all nodes can reach, and release "
            "again",
        )

    def fetch(self, release: Release, spec: RunSpec, found: ImageLocation, emit: Emit) -> None:
        """Pull the image on reachable nodes; in an engine's own store, add a protecting name.

        Other nodes pull when they get a task. Warns of volumes that could not be checked.
        """
        if found.where == "nodes":
            emit(Warned(text=f"{found.problem}; a node without the image cannot run it"))
        with ExitStack() as stack:
            machines = [self.fitting(one, release.image, stack) for one in spec.every.values()]
            for each, one in zip(machines, spec.every.values(), strict=True):
                for text in prepull.unseen_volumes(each, one):
                    emit(Warned(text=text))
            if found.where == "registry":
                prepull.pull_missing(prepull.joined(machines), release.image, emit)
        name = Repository(release.image.repository).tagged(release.candidate_tag)
        if found.stored is not None and str(name) not in found.stored.references:
            self.engine.tag(found.stored.id, name)

    def survey(self, stack: ExitStack) -> ImageSurvey:
        """Return a survey of the stores of all reachable nodes."""
        try:
            machines = look_into(self.swarm, self.ways, stack)
        except EngineError:
            machines = None
        return SwarmSurvey(images=self, machines=machines)


class SwarmSurvey(Struct, frozen=True, kw_only=True):
    """Survey of the nodes' stores. The manager's store does not help other nodes."""

    images: SwarmImages
    machines: Machines | None

    def look(self, image: Image, *, deep: bool, check: Callable[[], None]) -> ImageState:
        """Return the image's state on every node."""
        if self.machines is None:
            return ImageState()
        if Repository(image.repository).host == image_location.EMBEDDED:
            return self._alone(image, deep=deep, check=check)
        found_on = spread(self.machines, image)
        problems = [
            f"{machine}: {wrong}"
            for machine in (found_on.has if deep else ())
            if machine.engine is not None
            if (wrong := _stored_problem(machine.engine, image, deep=deep, check=check))
        ]
        return ImageState(
            places=("nodes",) if found_on.is_everywhere else (),
            problems=tuple(problems),
            notes=tuple(filter(None, [str(found_on)])),
        )

    def _alone(self, image: Image, *, deep: bool, check: Callable[[], None]) -> ImageState:
        found = self.images.locate(image)
        notes = tuple(filter(None, [found.problem]))
        if found.where != "engine":
            return ImageState(notes=notes)
        wrong = _stored_problem(self.images.engine, image, deep=deep, check=check)
        return ImageState(
            places=("engine",) if wrong == "" else (), problems=(wrong,) if wrong else (), notes=notes
        )


def _stored_problem(engine: Engine, image: Image, *, deep: bool, check: Callable[[], None]) -> str | None:
    """Return the defect of an image in an engine's store; empty for a whole one, None without one."""
    stored = image_location.find_stored(engine, image)
    if stored is None:
        return None
    return engine_problem(engine, image, stored, check) if deep else ""
