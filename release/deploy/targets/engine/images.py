"""Images of releases in the store of one engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from release.deploy.core import image_location
from release.deploy.core.image_location import FreeSpace, ImageLocation, Tell
from release.deploy.core.image_source import engine_problem
from release.deploy.core.image_survey import ImageState, ImageSurvey
from release.deploy.core.steps import step
from release.deploy.targets.engine import preflight
from release.errors import Problem
from release.events import Emit, ignore_text
from release.images.engine import Engine
from release.records import Image, Release
from release.reference import Digest, Repository
from release.runspec import RunSpec
from release.values import Struct


class EngineImages(Struct, frozen=True, kw_only=True):
    """The images of one engine. See `release.deploy.core.target.Images`."""

    engine: Engine

    @property
    def builder(self) -> Engine:
        """Return the engine itself."""
        return self.engine

    @property
    def no_builder(self) -> str:
        """Return nothing: an engine can build."""
        return ""

    @property
    def without(self) -> str:
        """Return that the engine's store lacks the image."""
        return "the engine does not have it; "

    def id_of(self, image: Image) -> Digest:
        """Return the manifest's digest in a containerd store, or the config's in a graph driver."""
        is_containerd = self.engine.info.image_store == "containerd"
        return Digest(image.digest if is_containerd else image.config_digest)

    def labels_of(self, image: Image) -> Mapping[str, str] | None:
        """Return the labels of the image in the engine's store."""
        stored = image_location.find_stored(self.engine, image)
        return stored.labels if stored is not None else None

    def locate(self, image: Image, tell: Tell = ignore_text) -> ImageLocation:
        """Return where the image is: in the engine's store, else in the registry."""
        return image_location.locate(self.engine, image, tell)

    def room(self, image: Image, found: ImageLocation) -> FreeSpace:
        """Compare the size to pull with the disk, if the engine is on this machine."""
        return preflight.room(self.engine, image, found)

    def platform_problems(self, image: Image) -> list[Problem]:
        """Return a problem if the image is for another platform."""
        return preflight.image_problems(self.engine, image)

    def fetch(
        self,
        release: Release,
        spec: RunSpec,  # noqa: ARG002 - there is one place
        found: ImageLocation,
        emit: Emit,
    ) -> None:
        """Pull the image if it is missing, and add a name that protects it from cleanup."""
        image = found.stored
        if image is None:
            with step(emit, "pull") as say:
                image = image_location.fetch(self.engine, release.image, emit)
                say(str(image_location.image_reference(release.image)))
        name = Repository(release.image.repository).tagged(release.candidate_tag)
        if str(name) not in image.references:
            self.engine.tag(image.id, name)

    def survey(self, stack: ExitStack) -> ImageSurvey:  # noqa: ARG002 - nothing more is opened
        """Return a survey of the open engine's store."""
        return EngineSurvey(engine=self.engine)


class EngineSurvey(Struct, frozen=True, kw_only=True):
    """Survey of the image store of one engine."""

    engine: Engine

    def look(self, image: Image, *, deep: bool, check: Callable[[], None]) -> ImageState:
        """Compare the image's platform, and check the image in the store."""
        problems = []
        if _machine(image.platform) != _machine(self.engine.info.platform):
            problems.append(
                f"it is built for {image.platform}, but the engine is {self.engine.info.platform}"
            )
        wrong = stored_problem(self.engine, image, deep=deep, check=check)
        if wrong:
            problems.append(wrong)
        return ImageState(places=("engine",) if wrong == "" else (), problems=tuple(problems))


def stored_problem(engine: Engine, image: Image, *, deep: bool, check: Callable[[], None]) -> str | None:
    """Return the defect of an image in an engine's store; empty for a whole one, None without one."""
    stored = image_location.find_stored(engine, image)
    if stored is None:
        return None
    return engine_problem(engine, image, stored, check) if deep else ""


def _machine(platform: str) -> list[str]:
    """Return system and architecture. A variant is ignored, because names do not compare reliably."""
    return platform.split("/")[:2]
