"""The client of one repository: manifests, tags and blobs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO, Final, cast

from release.errors import RegistryError
from release.events import ignore_text
from release.images.registry.blob_download import CHUNK, HashedBody
from release.images.registry.error_text import shortened_quote
from release.images.registry.http import DOCUMENT, Answer, Session
from release.images.registry.manifest import ACCEPT, DAMAGED, OCI_MANIFEST, Blob, Manifest
from release.images.registry.push_check import prove_push_and_pull
from release.images.registry.requester import Conversation
from release.images.registry.retry import CALM, Pace
from release.images.registry.tags import (
    MOST_PAGES,
    MOST_TAGS,
    TOO_MANY,
    link_path,
    next_link,
    origin_of_link,
    parse_tags,
)
from release.programs.cancellation import Cancellation
from release.reference import Digest, Reference, Repository

SLOWEST: Final = 64 * 1024
"""Lowest average speed of a blob's download in bytes per second; a slower one is ended."""


class Registry:
    """Client of one repository, with the credentials that Docker has for the registry."""

    def __init__(
        self,
        repository: Repository,
        *,
        tell: Callable[[str], None] = ignore_text,
        cancellation: Cancellation | None = None,
        pace: Pace = CALM,
    ) -> None:
        """Make no request yet.

        Args:
            repository: repository that is read and written.
            tell: called with a text before each retry.
            cancellation: ends every pause between two attempts.
            pace: time limits.

        Raises:
            UsageError: a configured file of certificates cannot be read.
        """
        self._repository = repository
        self._with = Conversation(repository, tell, cancellation or Cancellation(), pace)

    def close(self) -> None:
        """Close all connections; a later call opens new connections."""
        self._with.close()

    def ping(self) -> None:
        """Check that the registry answers and accepts the login. Raise RegistryError, RegistryUnreachable."""
        attempted = f"reach the registry {self._host}"
        self._with.expect(self._with.ask("GET", "/v2/", attempted), attempted, 200)

    def check_upload(self) -> None:
        """Check that uploads are allowed, and leave nothing. Raise RegistryError, RegistryUnreachable.

        An upload is started and cancelled; then a manifest is sent under a wrong digest. No registry accepts
        it: with permission to write the answer is 400, without permission it is a refusal.
        """
        attempted = f"ask for an upload to {self._repository}"
        begun = self._with.expect(
            self._with.ask("POST", f"{self._path}/blobs/uploads/", attempted), attempted, 202
        )
        self._take_back(begun)
        wrong = f"{self._path}/manifests/{Digest.of(b'')}"
        headers = {"Content-Type": OCI_MANIFEST}
        offered = self._with.ask("PUT", wrong, attempted, headers=headers, body=b"{}")
        self._with.expect(offered, attempted, 400, 404, 422)

    def prove_rights(self) -> bool:
        """Push, pull and remove a scratch tag. Return False if the registry does not remove it.

        Raises RegistryError, RegistryUnreachable.
        """
        return prove_push_and_pull(self._with, str(self._repository), self._path)

    def _take_back(self, begun: Answer) -> None:
        """Cancel an upload; a registry that cannot cancel an upload removes it later by itself."""
        place = link_path(begun, begun.headers.get("Location", ""))
        if place is not None and self._with.is_ours(place[0]):
            self._with.try_once("DELETE", place[1])

    def is_trusted_by_engines(self) -> bool:
        """Return whether this machine's engine trusts the registry's certificate by its own settings.

        Return True for a registry without TLS.
        """
        with closing(Session(self._host, as_engine=True)) as session:
            return self._with.trusts(session)

    def manifest(self, reference: Reference) -> Manifest | None:
        """Return the manifest of a tag or digest, checked against its digest; None for 404.

        Raises RegistryError, RegistryUnreachable.
        """
        found = self.content(reference)
        return None if found is None else Manifest.parse(*found)

    def tags(self) -> tuple[str, ...]:
        """Return all tags of the repository in the registry's order; none for 404, a missing repository.

        Raises RegistryError, RegistryUnreachable. Source: OCI Distribution Specification 1.1, "Listing Tags":
        a registry may give them in pages, each naming the next in a `Link` header (RFC 8288).
        """
        attempted = f"list the tags of {self._repository}"
        with self._with.within(self._with.total):
            return self._all_tags(attempted)

    def _all_tags(self, attempted: str) -> tuple[str, ...]:
        page, found = f"{self._path}/tags/list", dict[str, None]()
        for _ in range(MOST_PAGES):
            response = self._with.expect(self._with.ask("GET", page, attempted), attempted, 200, 404)
            if response.status == 404:
                return ()
            fresh = dict.fromkeys(parse_tags(response, attempted))
            following = self._following(response, attempted)
            if following is None:
                return tuple(found | fresh)
            if not fresh.keys() - found.keys():
                raise RegistryError(attempted, f"after {page} it names a next page without new tags", DAMAGED)
            found |= fresh
            if len(found) > MOST_TAGS:
                raise RegistryError(attempted, f"it has more than {MOST_TAGS} tags", TOO_MANY)
            page = following
        raise RegistryError(attempted, f"it has more than {MOST_PAGES} pages", TOO_MANY)

    def _following(self, response: Answer, attempted: str) -> str | None:
        """Return path and query of the next page. Raise RegistryError if it is on another server."""
        link = next_link(response.headers.get("Link", ""))
        if link is None:
            return None
        place = link_path(response, link)
        if place is None or not self._with.is_ours(place[0]):
            raise RegistryError(
                attempted,
                f"the next page is on another server, {origin_of_link(place)}",
                "set the public host name in the registry, or in the proxy before it",
            )
        return place[1]

    def digest(self, reference: Reference) -> Digest | None:
        """Return the computed digest of the tagged content, an image or anything else; None for 404.

        Raises RegistryError, RegistryUnreachable.
        """
        found = self.content(reference)
        return None if found is None else Digest.of(found[0])

    def put_manifest(self, manifest: Manifest, tag: str) -> None:
        """Put a manifest under a tag and read the manifest back. Raise RegistryError.

        A tag that is there is never moved: the same digest is success, another one is an error before
        anything is written.
        """
        reference = self._repository.tagged(tag)
        if not self._holds(reference, manifest.digest):
            self._put(reference, manifest)

    def move_tag(self, manifest: Manifest, tag: str) -> Digest | None:
        """Put a manifest under a tag, also if the tag names another one, and read the manifest back.

        Return the tag's previous digest if it differs. Raise RegistryError.
        """
        reference = self._repository.tagged(tag)
        before = self.digest(reference)
        if before == manifest.digest:
            return None
        self._put(reference, manifest)
        return before

    def has_blob(self, digest: Digest, *, size: int | None = None) -> bool:
        """Return whether the registry has a config or layer, with this size in bytes if a size is given."""
        attempted = f"look for the blob {digest} in {self._repository}"
        response = self._with.ask("HEAD", f"{self._path}/blobs/{digest}", attempted)
        is_there = self._with.expect(response, attempted, 200, 404).status == 200
        return is_there and (size is None or response.headers.get("Content-Length") == str(size))

    @contextmanager
    def blob(self, blob: Blob, *, cancellation: Cancellation | None = None) -> Iterator[BinaryIO]:
        """Yield a stream of a blob's bytes; closing it compares the bytes with the digest.

        Raise RegistryError; Cancelled between two reads.

        A broken connection is reopened a few times at the last byte (RFC 9110, 14.2). The rest is read at the
        end of the block, unless the block failed.
        """
        attempted = f"read the blob {blob.digest} from {self._repository}"
        path = f"{self._path}/blobs/{blob.digest}"

        def open_at(position: int) -> Answer:
            response = self._with.ask(
                "GET",
                path,
                attempted,
                headers={"Range": f"bytes={position}-"} if position else None,
                is_streamed=True,
                more_seconds=blob.size / SLOWEST,
            )
            return self._with.expect(response, attempted, 206 if position else 200, 200)

        stream = HashedBody(
            blob,
            attempted,
            open_at=open_at,
            again=self._with.again(attempted),
            failure=lambda error: self._with.failure(attempted, error),
            check=(cancellation or Cancellation()).check,
        )
        try:
            yield cast(BinaryIO, io.BufferedReader(stream, CHUNK))
            stream.finish()
        finally:
            stream.hang_up()

    def document(self, blob: Blob) -> bytes:
        """Return the bytes of a small blob, as an image's config. Raise RegistryError if it is too large."""
        if blob.size > DOCUMENT:
            raise RegistryError(
                f"read the blob {blob.digest} from {self._repository}",
                f"its manifest gives it {blob.size} bytes, but a config has at most {DOCUMENT}",
                DAMAGED,
            )
        with self.blob(blob) as stream:
            return stream.read()

    # manifests

    def content(self, reference: Reference) -> tuple[bytes, str] | None:
        """Return bytes and media type of a tag or digest, compared with the digest, but not parsed."""
        attempted = f"read the manifest {reference}"
        name = reference.digest or reference.tag or "latest"
        response = self._with.ask(
            "GET", f"{self._path}/manifests/{name}", attempted, headers={"Accept": ACCEPT}
        )
        if self._with.expect(response, attempted, 200, 404).status == 404:
            return None
        self._compare(response, reference, attempted)
        return response.content, response.headers.get("Content-Type", "").partition(";")[0].strip()

    def _compare(self, response: Answer, reference: Reference, attempted: str) -> None:
        """Raise RegistryError if the bytes do not match the requested digest or the registry's own digest."""
        found = Digest.of(response.content)
        said = response.headers.get("Docker-Content-Digest", found.text)
        for wanted in (said, str(reference.digest or found)):
            if wanted != found.text:
                raise RegistryError(
                    attempted,
                    f"its bytes hash to {found}, not to {shortened_quote(wanted[:200])}",
                    "the registry or a proxy is damaged: read its log, then run it again",
                )

    def _holds(self, reference: Reference, digest: Digest) -> bool:
        """Return whether the tag names this digest. Raise RegistryError if it names another one."""
        found = self.content(reference)
        if found is not None and Digest.of(found[0]) != digest:
            raise RegistryError(
                f"put the manifest {digest} under {reference}",
                f"the tag exists with another digest, {Digest.of(found[0])}",
                "a released tag is never moved: delete it yourself, or release another version",
            )
        return found is not None

    def _put(self, reference: Reference, manifest: Manifest) -> None:
        attempted = f"put the manifest {manifest.digest} under {reference}"
        path, headers = f"{self._path}/manifests/{reference.tag}", {"Content-Type": manifest.media_type}
        self._with.expect(
            self._with.ask("PUT", path, attempted, headers=headers, body=manifest.content), attempted, 201
        )
        if not self._holds(reference, manifest.digest):
            raise RegistryError(
                attempted,
                "the registry accepted it, but does not have it",
                "run it again; if it fails again, read the registry's log",
            )

    @property
    def _host(self) -> str:
        return self._repository.host

    @property
    def _path(self) -> str:
        return f"/v2/{self._repository.path}"
