"""Places of a released image: an engine's own store, its registry, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final, Literal

from release.errors import RegistryError, TargetUnavailable
from release.events import Emit, Progress, ignore_text
from release.images.engine import Engine, StoredImage
from release.images.imageconfig import diff_ids
from release.records import Image
from release.reference import Digest, Reference, Repository
from release.values import Struct

if TYPE_CHECKING:
    from release.images.registry import Manifest, Registry

Tell = Callable[[str], None]
"""Function that gets a phrase about a slow step."""

EMBEDDED: Final = "localhost"
"""The host of repositories that live in an engine's own image store: nothing is pulled from there."""


def as_progress(emit: Emit) -> Tell:
    """Return a function that emits its text as progress of a question to a registry."""
    return lambda text: emit(Progress(name="registry", text=text))


class ImageLocation(Struct, frozen=True, kw_only=True):
    """Location of the bytes of a release's image."""

    where: Literal["engine", "registry", "nodes", "rebuild", "nowhere"]
    stored: StoredImage | None = None
    problem: str = ""
    """Reason why no place has it, or why it has to be built again."""
    hint: str = ""
    """Request of a registry that refused access, such as a login."""
    diff_ids: tuple[Digest, ...] = ()
    """Digests of the uncompressed layers of the registry's image, base first."""


class FreeSpace(Struct, frozen=True, kw_only=True):
    """Free space for an image to pull. Both fields are empty if there is enough, or none is needed.

    The size is an estimate: only the end of a pull shows its real size. A failed pull changes nothing.
    """

    short: str = ""
    """Problem if there seems to be too little space."""
    unknown: str = ""
    """Note if the free space is unknown."""


def image_reference(image: Image) -> Reference:
    """Return the reference of the released image by digest."""
    return Repository(image.repository).at(Digest(image.digest))


def find_stored(engine: Engine, image: Image) -> StoredImage | None:
    """Return the released image in the engine's store, proven by its id; None if it is not there."""
    return engine.find(digest=Digest(image.digest), config_digest=Digest(image.config_digest))


def locate(engine: Engine, image: Image, tell: Tell = ignore_text) -> ImageLocation:
    """Return where the image is: on the engine, else in the registry with manifest, config and all layers.

    Args:
        engine: the engine.
        image: the released image.
        tell: called with a phrase before the registry is asked, and whenever it is asked again.
    """
    stored = find_stored(engine, image)
    if stored is not None:
        return ImageLocation(where="engine", stored=stored)
    if Repository(image.repository).host == EMBEDDED:
        return ImageLocation(
            where="nowhere",
            problem=f"the engine at {engine.host} does not have it, and without a configured registry "
            "there is no other place",
        )
    try:
        return _in_registry(image, tell)
    except RegistryError as error:
        found = f"the engine does not have it; {error.attempted}: {error.found}"
        return ImageLocation(where="nowhere", problem=found, hint=error.hint)


def missing_in_registry(image: Image, tell: Tell = ignore_text) -> str:
    """Return the parts of an image that the registry lacks; empty if none. Raises RegistryError."""
    with _registry(image, tell) as registry:
        return _missing(registry, image, registry.manifest(image_reference(image)))


def _in_registry(image: Image, tell: Tell) -> ImageLocation:
    with _registry(image, tell) as registry:
        manifest = registry.manifest(image_reference(image))
        missing = _missing(registry, image, manifest)
        if missing or manifest is None:
            return ImageLocation(where="nowhere", problem=missing)
        return ImageLocation(where="registry", diff_ids=diff_ids(registry.document(manifest.config)))


@contextmanager
def _registry(image: Image, tell: Tell) -> Iterator[Registry]:
    from release.images.registry import PRESSED, Registry  # asked only where the engine lacks the image

    repository = image_reference(image).repository
    tell(f"asking the registry {repository.host} for the image")
    with closing(Registry(repository, tell=tell, pace=PRESSED)) as registry:
        yield registry


def _missing(registry: Registry, image: Image, manifest: Manifest | None) -> str:
    if manifest is None:
        host = image_reference(image).repository.host
        return f"neither the engine nor the registry {host} has it"
    blobs = (manifest.config, *manifest.layers)
    gone = [blob.digest for blob in blobs if not registry.has_blob(blob.digest)]
    names = ", ".join(digest.short for digest in gone)
    return f"the registry has its manifest, but lacks {len(gone)} of its blobs: {names}" if gone else ""


def fetch(engine: Engine, image: Image, emit: Emit) -> StoredImage:
    """Pull the image by digest, show the bytes, and prove the image.

    Raises RegistryError, TargetUnavailable.
    """
    reference = image_reference(image)

    def tell(come: int, known: int) -> None:
        emit(Progress(name="pull", text=f"{come / 1e6:.1f} of {known / 1e6:.1f} MB", passing=True))

    engine.pull(reference, tell)
    stored = find_stored(engine, image)
    if stored is None:
        raise TargetUnavailable(
            f"pull {reference}",
            f"what came is not the recorded content (config {image.config_digest})",
            "the registry, or a mirror in between, serves other bytes: look at its log",
        )
    return stored
