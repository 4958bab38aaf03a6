"""The image of an object that another program made, described as a release records it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final

from release.deploy.core.image_location import EMBEDDED, Tell
from release.errors import EngineError, ReleaseError, TargetUnavailable
from release.images.engine import Engine
from release.images.imageconfig import parse_config
from release.records import Descriptor, Image
from release.reference import Digest, Reference
from release.values import Struct

_EPOCH: Final = "1970-01-01T00:00:00.000Z"
_PUSH: Final = (
    "push the image to a registry and start it from there, then run the command again: docker tag IMAGE "
    "REGISTRY/NAME:TAG; docker push REGISTRY/NAME:TAG; docker pull REGISTRY/NAME:TAG"
)


class AdoptedImage(Struct, frozen=True, kw_only=True):
    """An image as a record describes it, with the facts that its config has."""

    image: Image
    created: str
    """Time of creation as records write it; 1970 if the image has none."""
    labels: Mapping[str, str]

    @property
    def is_dated(self) -> bool:
        """Return whether the image has a time of creation."""
        return self.created != _EPOCH


def describe_image(
    references: Sequence[Reference], platform: str, engine: Engine | None, attempted: str, tell: Tell
) -> AdoptedImage:
    """Return the image of the first reference that a registry, or the engine itself, has whole.

    Args:
        references: by digest, the most likely first.
        platform: as "linux/amd64"; empty if unknown.
        engine: engine whose own store is used for repositories of "localhost"; None: there is none.
        attempted: action, for errors.
        tell: gets a phrase before a registry is asked.

    Raises:
        TargetUnavailable: no place has the image by a digest, with what was found in each.
    """
    problems = list[str]()
    for reference in references:
        try:
            found = _read(reference, platform, engine, tell)
        except ReleaseError as error:
            problems.append(f"{reference}: {error.found}")
            continue
        if found is not None:
            return found
        problems.append(f"{reference}: {reference.repository.host} does not have it")
    found_text = "\n  ".join(problems) or "the image that runs has no digest of a registry"
    raise TargetUnavailable(attempted, found_text, _PUSH)


def _read(reference: Reference, platform: str, engine: Engine | None, tell: Tell) -> AdoptedImage | None:
    if reference.repository.host == EMBEDDED:
        return _in_engine(reference, engine) if engine is not None else None
    from release.images.registry import Registry
    from release.images.registry.platforms import manifest_of_platform

    tell(f"asking the registry {reference.repository.host} for the image")
    with closing(Registry(reference.repository, tell=tell)) as registry:
        manifest = manifest_of_platform(registry, reference, platform)
        return _described(reference, manifest, registry.document(manifest.config)) if manifest else None


def _in_engine(reference: Reference, engine: Engine) -> AdoptedImage | None:
    """Return an image of the engine's own store, without a registry."""
    from release.images.layout import manifest_of, read_layout

    digest = reference.digest
    stored = engine.inspect(digest) if digest is not None else None
    if stored is None or stored.id != digest:
        return None
    if engine.info.image_store != "containerd":
        raise EngineError("read the image", "the engine's image store keeps no digests of manifests")
    with engine.exported(digest) as stream:
        layout = read_layout(stream)
    manifest = manifest_of(layout, digest)
    return _described(reference, manifest, layout.documents[manifest.config.digest])


def _described(reference: Reference, manifest: Any, content: bytes) -> AdoptedImage:
    config = parse_config(content)
    platform = (str(config.get(key) or "") for key in ("os", "architecture", "variant"))
    return AdoptedImage(
        image=Image(
            repository=str(reference.repository),
            digest=str(manifest.digest),
            media_type=manifest.media_type,
            size=len(manifest.content),
            platform="/".join(filter(None, platform)),
            config_digest=str(manifest.config.digest),
            layers=tuple(Descriptor(digest=str(each.digest), size=each.size) for each in manifest.layers),
        ),
        created=_moment(config.get("created")),
        labels=_labels(config),
    )


def _labels(config: Mapping[str, Any]) -> dict[str, str]:
    given = config.get("config")
    labels = given.get("Labels") if isinstance(given, dict) else None
    return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}


def _moment(text: object) -> str:
    """Return a time of an image config (RFC 3339) as records write it."""
    try:
        moment = datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        return _EPOCH
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def own_reference(repository: str, digest: Digest) -> Reference:
    """Return the reference of an image in the engine's own store."""
    return Reference.parse(f"{repository}@{digest}")
