"""Base images from a mirror: find the image that a Dockerfile names in a mirror, and pin the image by digest.

The Dockerfile stays unchanged: BuildKit's source policy replaces the image. An image that the mirror lacks
comes from the registry in the Dockerfile.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from string import Template
from typing import Final

from release.errors import RegistryUnreachable
from release.images.registry import Registry
from release.programs.cancellation import Cancellation
from release.reference import Digest, Reference, Repository

_ARG: Final = re.compile(r"\s*ARG\s+(?P<name>\w+)(?:=(?P<value>\S+))?\s*", re.IGNORECASE)
_FROM: Final = re.compile(
    r"\s*FROM\s+(?:--\S+\s+)*(?P<image>\S+)(?:\s+AS\s+(?P<stage>\S+))?\s*", re.IGNORECASE
)
_COPY: Final = re.compile(r"\s*COPY\s+(?:--\S+\s+)*?--from=(?P<image>\S+)\s.*", re.IGNORECASE)


def base_images_of(dockerfile: str, args: Mapping[str, str]) -> tuple[Reference, ...]:
    """Return the images of other repositories that a Dockerfile is built on, with tag or digest, in order.

    Args:
        dockerfile: the text. An image is named by FROM or by COPY --from; variables come from ARG before
            the first FROM ("Understand how ARG and FROM interact" in the Dockerfile reference).
        args: build arguments, which win over the defaults.

    Names that are not references after the variables are replaced are left to BuildKit.
    """
    values: dict[str, str] = {}
    stages, found = {"scratch"}, dict[Reference, None]()
    for line in dockerfile.splitlines():
        if not stages - {"scratch"} and not found and (match := _ARG.fullmatch(line)):
            values[match["name"]] = args.get(match["name"], match["value"] or "").strip("\"'")
        elif match := _FROM.fullmatch(line) or _COPY.fullmatch(line):
            image = Template(match["image"]).safe_substitute(values)
            if image.lower() not in stages and not image.isdigit():
                found |= dict.fromkeys(_parse_base_image(image))
            stages.add((match.groupdict().get("stage") or "scratch").lower())
    return tuple(found)


def _parse_base_image(image: str) -> Iterator[Reference]:
    """Return the reference with the default host, path and tag filled in."""
    try:
        written = Reference.parse(image)
    except ValueError:
        return
    repository = Repository(f"{written.repository.host}/{written.repository.path}")
    tag = written.tag or (None if written.digest else "latest")
    yield Reference(repository=repository, tag=tag, digest=written.digest)


def resolve_in_mirrors(
    images: tuple[Reference, ...],
    mirrors: Mapping[str, str],
    pinned_digests: Mapping[str, Digest],
    tell: Callable[[str], None],
    cancellation: Cancellation | None = None,
) -> dict[str, str]:
    """Return the source of each image: the named image, and the same image in a mirror, by digest.

    Args:
        images: the named images.
        mirrors: registry's host → the place in a mirror that holds its repositories.
        pinned: required digests by name; other images have the digest of the mirror's tag.
        tell: called with a sentence for each replaced image, and for each mirror that does not answer.
        cancellation: ends the pauses between attempts.

    Raises:
        RegistryError: a mirror refused a request.
    """
    found = {}
    for image in images:
        place = mirrors.get(image.repository.host)
        if place is not None:
            wanted = image.digest or pinned_digests.get(str(image))
            copy = Reference(
                repository=Repository(f"{place}/{image.repository.path}"), tag=image.tag, digest=wanted
            )
            digest = _read_mirror_digest(copy, tell, cancellation)
            if digest is not None:
                found[str(image)] = f"{copy.repository}:{image.tag or 'latest'}@{digest}"
    return found


def _read_mirror_digest(
    copy: Reference, tell: Callable[[str], None], cancellation: Cancellation | None
) -> Digest | None:
    try:
        with closing(Registry(copy.repository, tell=tell, cancellation=cancellation)) as registry:
            digest = registry.digest(copy)
    except RegistryUnreachable as error:
        tell(
            f"the mirror does not answer ({error.found}): pulling {copy} from its own registry. No "
            "action needed."
        )
        return None
    tell(
        f"base image from the mirror: {copy.repository}@{digest}"
        if digest
        else f"the mirror does not have {copy}: pulling it from its own registry. No action needed."
    )
    return digest


def name_in_dockerfile(reference: str, mirrors: Mapping[str, str]) -> str:
    """Return the name in the Dockerfile of an image that came from a mirror; any other name unchanged."""
    for host, place in mirrors.items():
        if reference.startswith(f"{place}/"):
            return f"{host}/{reference.removeprefix(f'{place}/')}"
    return reference
