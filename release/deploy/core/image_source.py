"""Images of releases in registries and in an engine's store; no question is asked twice.

Releases share most of their layers: each blob is asked for once, a few at a time, and a registry that does
not answer is asked no more. Pauses that a registry wishes for are made in `release.images.registry`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, Literal, Self

from release.deploy.core.image_location import EMBEDDED, image_reference
from release.errors import EngineError, RegistryError, RegistryUnreachable
from release.images.engine import Engine, StoredImage
from release.images.layout import manifest_of, read_layout
from release.images.registry import Blob, Manifest, Registry
from release.records import Image
from release.reference import Digest, Repository
from release.values import Struct

_AT_ONCE: Final = 4
"""Most requests to one registry at the same time."""
_CHUNK: Final = 1 << 20


class Holding(Struct, frozen=True, kw_only=True):
    """Answer of a registry: whether it has the whole image."""

    state: Literal["whole", "lacking", "silent", "none"]
    """`silent`: it does not answer; `none`: the image is in no registry, only in engines."""
    problem: str = ""
    """Missing or wrong part, or reason why it is unknown."""


class ImageAvailability:
    """Availability of images in their registries. Use it in one thread; it has threads of its own."""

    def __init__(self, *, deep: bool = False) -> None:
        """Prepare; no registry is asked yet.

        Args:
            deep: download and hash every blob, instead of trusting the registry's answer.
        """
        self._deep = deep
        self._free: dict[str, list[Registry]] = {}
        self._lock = threading.Lock()
        self._silent: dict[str, str] = {}
        """Hosts that do not answer, and why."""
        self._found: dict[tuple[str, Digest], str] = {}
        """Problem of a blob in a repository; empty if there is none."""
        self._images: dict[tuple[str, str], Holding] = {}
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="stock")

    def __enter__(self) -> Self:
        """Return this object."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads and close all connections."""
        self._pool.shutdown(cancel_futures=True)
        for registry in (each for free in self._free.values() for each in free):
            registry.close()

    def holding(self, image: Image) -> Holding:
        """Return whether the registry has manifest, config and every layer of an image. It is asked once."""
        key = (image.repository, image.digest)
        if key not in self._images:
            self._images[key] = self._asked(image)
        return self._images[key]

    def _asked(self, image: Image) -> Holding:
        repository = Repository(image.repository)
        if repository.host == EMBEDDED:
            return Holding(state="none")
        if repository.host not in self._silent:
            try:
                problem = self._problem(repository, image)
                return Holding(state="lacking" if problem else "whole", problem=problem)
            except RegistryUnreachable as error:
                self._silent[repository.host] = f"{error.attempted}: {error.found}"
            except RegistryError as error:
                return Holding(state="lacking", problem=f"{error.attempted}: {error.found}")
        return Holding(state="silent", problem=self._silent[repository.host])

    def _problem(self, repository: Repository, image: Image) -> str:
        with self._registry(repository) as registry:
            manifest = registry.manifest(image_reference(image))
        if manifest is None:
            return f"the registry {repository.host} does not have it"
        if str(manifest.config.digest) != image.config_digest:
            return f"its manifest has the config {manifest.config.digest}, not {image.config_digest}"
        wrong = self._wrong(repository, manifest)
        listed = "; ".join(wrong)
        return (
            f"the registry {repository.host} has its manifest, but not all blobs: {listed}" if wrong else ""
        )

    def _wrong(self, repository: Repository, manifest: Manifest) -> list[str]:
        """Return the defect of the image's blobs. Raises RegistryUnreachable, RegistryError."""
        blobs = {blob.digest: blob for blob in (manifest.config, *manifest.layers)}
        unknown = [blob for digest, blob in blobs.items() if (repository.text, digest) not in self._found]

        def ask(blob: Blob) -> str:
            with self._registry(repository) as registry:
                return _hashed(registry, blob) if self._deep else _known(registry, blob)

        for blob, found in zip(unknown, self._pool.map(ask, unknown), strict=True):
            self._found[repository.text, blob.digest] = found
        told = (self._found[repository.text, digest] for digest in blobs)
        return [found for found in told if found]

    @contextmanager
    def _registry(self, repository: Repository) -> Iterator[Registry]:
        """Return a connection that no other thread uses meanwhile."""
        with self._lock:
            free = self._free.setdefault(repository.text, [])
            registry = free.pop() if free else Registry(repository)
        try:
            yield registry
        finally:
            with self._lock:
                free.append(registry)


def _known(registry: Registry, blob: Blob) -> str:
    return "" if registry.has_blob(blob.digest) else f"{blob.digest.short} is missing"


def _hashed(registry: Registry, blob: Blob) -> str:
    """Return the defect of a downloaded blob. Raises RegistryUnreachable if there is no answer."""
    try:
        with registry.blob(blob) as stream:
            while stream.read(_CHUNK):
                pass
    except RegistryUnreachable:
        raise
    except RegistryError as error:
        return f"{blob.digest.short}: {error.found}"
    return ""


def engine_problem(engine: Engine, image: Image, stored: StoredImage, check: Callable[[], None]) -> str:
    """Return the defect of an image in an engine's store, after a hash of every exported blob.

    Args:
        engine: engine with the store.
        image: the image as recorded.
        stored: the image as the engine describes it.
        check: called repeatedly; raises an error to stop the work.

    A graph driver exports uncompressed layers, which are named by the config; containerd the recorded blobs.
    """
    try:
        with engine.exported(stored.id) as stream:
            layout = read_layout(stream, lambda *_: check())
        if engine.info.image_store == "containerd":
            manifest_of(layout, Digest(image.digest))
            return ""
    except EngineError as error:
        return f"{error.attempted}: {error.found}"
    wanted = (Digest(image.config_digest), *stored.diff_ids)
    missing = [digest.short for digest in wanted if digest not in layout.blobs]
    return f"the engine's export lacks {', '.join(missing)}" if missing else ""
