"""The place that the image of a plan comes from, and the disk space that it needs."""

from __future__ import annotations

from release.deploy.core import image_location
from release.deploy.core.image_location import FreeSpace, ImageLocation
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.planning.request import Request
from release.errors import Problem, UsageError
from release.records import Release
from release.values import Struct, replace


class ImageSource(Struct, frozen=True, kw_only=True):
    """Source of the target's image: engine, registry or build."""

    bytes: ImageLocation
    room: FreeSpace = FreeSpace()
    build_ms: int = 0
    """Duration of the image's build when it was released, if it has to be built again."""

    @property
    def note(self) -> str:
        """Return the plan's note on disk space; empty if there is enough, or none is needed."""
        return self.room.short or self.room.unknown

    def problems(self, request: Request) -> list[Problem]:
        """Return why the image cannot be pulled. A rollback still tries to pull it."""
        is_short = self.room.short and request.reason == "promote"
        return [Problem(path="image", message=self.room.short)] if is_short else []


def find_image(live: LiveEnvironment, request: Request) -> ImageSource:
    """Find the image on the engine, in the registry, or by a build. Raises UsageError, EngineError."""
    body, found = request.target.body, _locate(live, request)
    return ImageSource(
        bytes=found,
        room=live.target.images.room(body.image, found),
        build_ms=_build_ms(body) if found.where == "rebuild" else 0,
    )


def _locate(live: LiveEnvironment, request: Request) -> ImageLocation:
    found = live.target.images.locate(
        request.target.body.image, image_location.as_progress(live.workspace.emit)
    )
    if not request.allowed.rebuild or found.where != "nowhere":
        return found
    if reason := live.target.images.no_builder:
        raise UsageError(
            f"build {request.version} again for {live.place}",
            reason,
            f"`{live.workspace.command(f'verify --rebuild {request.version} --keep')}`, then "
            "`docker push` the image that it keeps",
        )
    return replace(found, where="rebuild")


def _build_ms(body: Release) -> int:
    return sum(gate.duration_ms for gate in body.gates if gate.name == "build")
