"""Image store of an engine: find, name, upload, download and export images."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import docker
from docker.errors import APIError, NotFound

from release.errors import EngineError, TransferBroken
from release.images.engine.cancellable_connection import Deadline, DeadlinePassed
from release.images.engine.connection import Connection, engine_error_text
from release.images.engine.transfers import (
    STILL,
    OnBytes,
    TransferFailed,
    auth_config,
    extend_deadline_on_progress,
    raise_transfer_failure,
    report_transferred_bytes,
    transfer_error,
)
from release.images.values import StoredImage, read_labels, stored_image
from release.programs.cancellation import Cancellation
from release.reference import Digest, Reference, Repository
from release.retry import RetryPolicy

if TYPE_CHECKING:
    from release.images.registry import Registry

_LISTINGS: Final = 9
"""Attempts of a list of images while other programs remove some."""
_PULL: Final = RetryPolicy(attempts=3, first=1.0, longest=5.0)
_CHUNK: Final = 256 * 1024


class Images(Connection):
    """Requests about the image store of an engine."""

    def find(self, *, digest: Digest, config_digest: Digest) -> StoredImage | None:
        """Return the image with this content, whatever its name is; None if there is none.

        A containerd store knows images by manifest digest, a graph driver by config digest; either covers
        every byte of every layer.
        """
        wanted = digest if self.info.image_store == "containerd" else config_digest
        found = self.inspect(wanted)
        return found if found is not None and found.id == wanted else None

    def inspect(self, reference: Reference | Digest) -> StoredImage | None:
        """Return the image of a reference or digest; None if there is none. A digest goes before a tag."""
        with self._asking(f"inspect the image {reference}"), suppress(NotFound):
            return stored_image(self._client.inspect_image(_image_name(reference)))  # type: ignore[no-untyped-call]
        return None

    def told(self, image: Digest) -> str:
        """Return settings, labels and layer history of an image as JSON text."""
        with self._asking(f"read the history of the image {image.short}"):
            about = self._client.inspect_image(image.text)  # type: ignore[no-untyped-call]
            return json.dumps([about, self._client.history(image.text)])  # type: ignore[no-untyped-call]

    def named_images(self, repository: Repository | None) -> Sequence[StoredImage]:
        """Return the images with a name in this repository, or without a repository all named images."""
        with self._asking(f"list the images of {repository or 'every repository'}"):
            listed = self._listed()
            named = {
                item["Id"]: [*(item.get("RepoTags") or ()), *(item.get("RepoDigests") or ())]
                for item in listed
            }
            wanted = [Digest(image) for image, names in named.items() if _has_name_in(names, repository)]
        found = (self.inspect(image) for image in wanted)
        return [image for image in found if image is not None]

    def _listed(self, **question: Any) -> Sequence[Mapping[str, Any]]:
        """Return the engine's list of images; ask again after a 404, as an image was removed meanwhile."""
        for _ in range(_LISTINGS):
            with suppress(NotFound):
                return cast("Sequence[Mapping[str, Any]]", self._client.images(**question))
        return cast("Sequence[Mapping[str, Any]]", self._client.images(**question))

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return all tags of a repository in the engine's store, sorted."""
        with self._asking(f"list the images of {repository}"):
            listed = self._listed(name=repository.text)
            names = (name for image in listed for name in image.get("RepoTags") or ())
            found = (name.rpartition(":") for name in names)
            return tuple(sorted(tag for place, _, tag in found if place == repository.text))

    def tag(self, image: Digest, reference: Reference) -> None:
        """Add a name to an image. Raise ValueError for a reference without a tag."""
        _need_tag(reference)
        with self._asking(f"tag the image {image.short} as {reference}"):
            self._client.tag(image.text, reference.repository.text, reference.tag)

    def labelled_images(self, labels: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
        """Return the labels of each image that carries these labels, by the image's name."""
        wanted = [f"{key}={value}" for key, value in labels.items()]
        with self._asking(f"list the images labelled {', '.join(wanted)}"):
            listed = self._listed(filters={"label": wanted})
            return {str(name): read_labels(image) for image in listed for name in image.get("RepoTags") or ()}

    def untag(self, reference: Reference) -> None:
        """Remove a name; the engine removes an image with its last name. No error if the name is unknown."""
        with self._asking(f"remove the image name {reference}"), suppress(NotFound):
            self._client.remove_image(_image_name(reference))

    @contextmanager
    def exported(
        self, reference: Reference | Digest, *, cancellation: Cancellation | None = None
    ) -> Iterator[BinaryIO]:
        """Yield the image as a tar stream, as `docker save` writes the image.

        The rest of the stream is read at the end of the block. Otherwise the engine keeps the export's lease
        and all bytes of the image for ever (containerd, "Garbage Collection", leases).

        Raise Cancelled if the cancellation closed the stream.
        """
        with (
            self._line(cancellation) as line,
            io.BufferedReader(_Chunks(self._export(line, reference)), _CHUNK) as stream,
        ):
            stream.peek(1)
            yield cast(BinaryIO, stream)
            while stream.read(_CHUNK):
                pass

    def _export(self, line: docker.APIClient, reference: Reference | Digest) -> Iterator[bytes]:
        with self._asking(f"export the image {reference}"):
            yield from line.get_image(_image_name(reference), chunk_size=_CHUNK)

    def push(
        self,
        reference: Reference,
        *,
        cancellation: Cancellation,
        registry: Registry | None = None,
        still: int = STILL,
        on_bytes: OnBytes | None = None,
    ) -> None:
        """Upload an image to its registry with Docker's credentials for this registry.

        The engine's answer is not a proof, because it may have pushed other content: read the tag back from
        the registry.

        Args:
            reference: repository with a tag.
            cancellation: ends the upload.
            registry: client of the registry, which is asked for the cause if the upload fails.
            still: milliseconds without any progress after which the upload is ended.
            on_bytes: gets the sent bytes, and all bytes that are known until now.

        Raises:
            TransferBroken: the upload ended early, and can be repeated.
            RegistryError: the registry refuses the upload.
            RegistryUnreachable: the registry does not answer.
            ValueError: the reference has no tag.
        """
        _need_tag(reference)
        name, tag = reference.repository.text, reference.tag
        auth = auth_config(reference.repository.host)
        deadline = Deadline.after(still)
        with self._transferring("push", reference, cancellation, registry, deadline) as line:
            progress = line.push(name, tag=tag, stream=True, decode=True, auth_config=auth)
            raise_transfer_failure(
                report_transferred_bytes(extend_deadline_on_progress(progress, deadline, still), on_bytes)
            )

    def pull(
        self,
        reference: Reference,
        on_bytes: OnBytes | None = None,
        *,
        cancellation: Cancellation | None = None,
    ) -> StoredImage:
        """Download an image by digest and report the bytes to `on_bytes`.

        Raise RegistryError, RegistryUnreachable; Cancelled if the cancellation ended the download.

        A download that breaks or makes no progress is repeated twice if the registry has the image. The
        engine keeps complete layers.
        """
        cancellation = cancellation or Cancellation()
        _PULL.trying(
            partial(self._pull, reference, on_bytes, cancellation),
            lambda error, _: isinstance(error, TransferBroken),
            cancellation,
        )
        found = self.inspect(reference)
        if found is None:
            raise EngineError(
                f"pull {reference}",
                "the engine reports that it has the image, but cannot find it",
                "run it again; another program may remove images there, as `docker image prune`",
            )
        return found

    def _pull(self, reference: Reference, on_bytes: OnBytes | None, cancellation: Cancellation) -> None:
        auth, deadline = auth_config(reference.repository.host), Deadline.after(STILL)
        with self._transferring("pull", reference, cancellation, None, deadline) as line:
            progress = line.pull(_image_name(reference), stream=True, decode=True, auth_config=auth)
            raise_transfer_failure(
                report_transferred_bytes(extend_deadline_on_progress(progress, deadline, STILL), on_bytes)
            )

    @contextmanager
    def _transferring(
        self,
        verb: str,
        reference: Reference,
        cancellation: Cancellation,
        registry: Registry | None = None,
        deadline: Deadline | None = None,
    ) -> Iterator[docker.APIClient]:
        """In the block, translate errors of a transfer into errors of the registry."""
        from release.images.registry import Registry

        attempted = f"{verb} {reference}"
        with self._asking(attempted):
            try:
                with self._line(cancellation, deadline=deadline) as line:
                    yield line
            except (TransferFailed, APIError, DeadlinePassed) as error:
                with closing(registry or Registry(reference.repository)) as asked:
                    found = transfer_error(verb, reference, engine_error_text(error), asked)
                raise found from error


class _Chunks(io.RawIOBase):
    """Chunks of bytes as a file to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _need_tag(reference: Reference) -> None:
    """Raise ValueError for a reference without a tag: the engine would take all tags, or `latest`."""
    if reference.tag is None:
        raise ValueError(f"{reference} has no tag")


def _has_name_in(names: Iterable[str], repository: Repository | None) -> bool:
    if repository is None:
        return any(names)
    return any(name.startswith((f"{repository.text}:", f"{repository.text}@")) for name in names)


def _image_name(reference: Reference | Digest) -> str:
    if isinstance(reference, Digest) or reference.digest is None:
        return str(reference)
    return str(reference.repository.at(reference.digest))
