"""Stores where recovery looks for images: a registry, or an engine."""

from __future__ import annotations

from typing import Protocol

from release.config import Service
from release.images.engine import Engine
from release.images.layout import manifest_of, read_layout
from release.images.registry import Manifest, Registry
from release.reference import Reference


class ImageStore(Protocol):
    """Place where recovery looks for images."""

    def list_tags(self) -> tuple[str, ...]:
        """Return all tags of the service's repository."""

    def read_image(self, reference: Reference) -> tuple[Manifest, bytes] | None:
        """Return manifest and config of an image, hashed. Raises RegistryError, EngineError."""


class RegistryImageStore:
    """The repository in a registry."""

    def __init__(self, registry: Registry) -> None:
        """Keep the registry; nothing is read yet."""
        self._registry = registry

    def list_tags(self) -> tuple[str, ...]:
        """Return the tags that the registry lists."""
        return self._registry.tags()

    def read_image(self, reference: Reference) -> tuple[Manifest, bytes] | None:
        """Return manifest and config, in two requests."""
        manifest = self._registry.manifest(reference)
        if manifest is None:
            return None
        return manifest, self._registry.document(manifest.config)


class EngineImageStore:
    """The image store of an engine, for a service without a registry."""

    def __init__(self, engine: Engine, service: Service) -> None:
        """Keep the engine; nothing is read yet."""
        self._engine, self._service = engine, service

    def list_tags(self) -> tuple[str, ...]:
        """Return the tags that the engine lists."""
        return self._engine.tags(self._service.repository)

    def read_image(self, reference: Reference) -> tuple[Manifest, bytes] | None:
        """Return manifest and config from an export of the complete image."""
        stored = self._engine.inspect(reference)
        if stored is None:
            return None
        with self._engine.exported(reference) as stream:
            layout = read_layout(stream)
        manifest = manifest_of(layout, stored.id)
        return manifest, layout.documents[manifest.config.digest]
