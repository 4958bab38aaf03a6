"""Stores where recovery looks for images: a registry, or an engine."""

from __future__ import annotations

from typing import Protocol

from release.config import Service
from release.images.engine import Engine
from release.images.layout import manifest_of, read_layout
from release.images.registry import Manifest, Registry
from release.reference import Reference


class ImageStore(Protocol):
    """Place that is searched for images."""

    def tags(self) -> tuple[str, ...]:
        """Every tag of the service's repository."""

    def image(self, reference: Reference) -> tuple[Manifest, bytes] | None:
        """Manifest and config of an image, hashed. Raises RegistryError, EngineError: no single image."""


class InRegistry:
    """A registry's repository."""

    def __init__(self, registry: Registry) -> None:
        """Ask nothing yet."""
        self._registry = registry

    def tags(self) -> tuple[str, ...]:
        """As the registry lists them."""
        return self._registry.tags()

    def image(self, reference: Reference) -> tuple[Manifest, bytes] | None:
        """Two requests."""
        manifest = self._registry.manifest(reference)
        if manifest is None:
            return None
        return manifest, self._registry.document(manifest.config)


class InEngine:
    """The image store of an engine, where no registry is configured."""

    def __init__(self, engine: Engine, service: Service) -> None:
        """Ask nothing yet."""
        self._engine, self._service = engine, service

    def tags(self) -> tuple[str, ...]:
        """As the engine lists them."""
        return self._engine.tags(self._service.repository)

    def image(self, reference: Reference) -> tuple[Manifest, bytes] | None:
        """The whole image is exported and hashed."""
        stored = self._engine.inspect(reference)
        if stored is None:
            return None
        with self._engine.exported(reference) as stream:
            layout = read_layout(stream)
        manifest = manifest_of(layout, stored.id)
        return manifest, layout.documents[manifest.config.digest]
