"""The client of one repository's registry.

What can be asked again is asked again after a broken connection, a 429 or a 5xx, a few times, and each time
is told; a download goes on where it broke. Anything else a registry answers stands, and so does a 429 or 5xx
that asks for more patience than a release has, as a used-up quota does.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from ssl import SSLCertVerificationError
from typing import Any, BinaryIO, Final, NoReturn, cast
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from release.errors import RegistryError, RegistryUnreachable
from release.images import faults, trust
from release.images.registry.auth import Login, anonymous, is_loopback
from release.images.registry.manifest import ACCEPT, DAMAGED, OCI_MANIFEST, Blob, Manifest, json_object
from release.images.registry.retry import (
    CALM,
    FAILURES,
    TEMPORARY,
    Pace,
    Temporary,
    asks_for_more_patience,
    for_how_long,
    pause,
    said,
    what_happened,
)
from release.images.registry.stream import CHUNK, Hashed
from release.patience import Again
from release.process import Cancellation
from release.reference import DOCKER_HUB, Digest, Reference, Repository

_HUB_HOST: Final = "registry-1.docker.io"
_BUNDLE: Final = str(DEFAULT_CA_BUNDLE_PATH)
"""Said outright, so that requests does not take the one that the environment names."""


def _unheard(_text: str) -> None:
    """Nobody is told."""


class Registry:
    """One registry host, with the credentials Docker has for it."""

    def __init__(
        self,
        repository: Repository,
        *,
        tell: Callable[[str], None] = _unheard,
        cancellation: Cancellation | None = None,
        pace: Pace = CALM,
    ) -> None:
        """Make no request yet.

        Args:
            repository: what is read and written.
            tell: called with a phrase whenever something is tried again.
            cancellation: ends every pause between two attempts, and what would come after it.
            pace: how long it is waited for.

        Raises:
            UsageError: a file of certificates that we were given cannot be read.
        """
        self._repository = repository
        self._tell = tell
        self._pace = pace
        self._cancellation = cancellation or Cancellation()
        self._session = requests.Session()
        self._session.mount("https://", trust.Adapter(trust.context(repository.host)))
        self._session.headers.update({"User-Agent": "release", "Accept-Encoding": "identity"})
        self._known_base: str | None = None
        self._login = Login(repository, self._exchange, self._answered)

    def close(self) -> None:
        """Close its connections; a later call opens new ones."""
        self._session.close()

    def ping(self) -> None:
        """See that it answers and lets us in. Raises RegistryError, RegistryUnreachable."""
        attempted = f"reach the registry {self._host}"
        self._expect(self._ask("GET", "/v2/", attempted), attempted, 200)

    def check_upload(self) -> None:
        """See that it takes uploads from us; nothing stays there. Raises RegistryError, RegistryUnreachable.

        An upload is begun and taken back; then a manifest is offered under a digest that is not its own. No
        registry can take it: whoever may write is told so (400), anybody else is refused before.
        """
        attempted = f"ask for an upload to {self._repository}"
        begun = self._expect(self._ask("POST", f"{self._path}/blobs/uploads/", attempted), attempted, 202)
        self._take_back(begun)
        wrong = f"{self._path}/manifests/{Digest.of(b'')}"
        headers = {"Content-Type": OCI_MANIFEST}
        offered = self._ask("PUT", wrong, attempted, headers=headers, body=b"{}")
        self._expect(offered, attempted, 400, 404, 422)

    def _take_back(self, begun: requests.Response) -> None:
        """Cancel an upload; where that is not offered, registries forget it by themselves."""
        where = urlsplit(urljoin(begun.url, begun.headers.get("Location", "")))
        if where.netloc == urlsplit(self._base).netloc:
            path = f"{where.path}?{where.query}" if where.query else where.path
            with suppress(*FAILURES):
                self._send("DELETE", path, headers=None, body=None, is_streamed=False).close()

    def is_trusted_by_engines(self) -> bool:
        """Whether its certificate is believed without what was given to us alone, as an engine here does.

        Without TLS the question does not arise: true.
        """
        with closing(requests.Session()) as session:
            session.mount("https://", trust.Adapter(trust.engine_context(self._host)))
            try:
                url, seconds = f"{self._base}/v2/", self._pace.seconds
                session.get(url, timeout=seconds, auth=anonymous, verify=_BUNDLE).close()
            except requests.exceptions.SSLError:
                return False
            except FAILURES:
                return True
        return True

    def manifest(self, reference: Reference) -> Manifest | None:
        """The manifest under a tag or digest, hashed here; None when it is not there (404).

        Raises RegistryError, RegistryUnreachable.
        """
        found = self._read(reference)
        return None if found is None else Manifest.parse(*found)

    def tags(self) -> tuple[str, ...]:
        """Every tag of the repository, in the registry's order; none where there is no such repository (404).

        Raises RegistryError, RegistryUnreachable. Source: OCI Distribution Specification 1.1, "Listing Tags":
        a registry may give them in pages, each naming the next in a `Link` header (RFC 8288).
        """
        attempted = f"list the tags of {self._repository}"
        page: str | None = f"{self._path}/tags/list"
        found: dict[str, str | None] = {}
        while page is not None:
            response = self._expect(self._ask("GET", page, attempted), attempted, 200, 404)
            if response.status_code == 404:
                return ()
            tags = json_object(response.content, attempted).get("tags") or []
            following = self._following(response, attempted)
            if following is not None and not {str(tag) for tag in tags} - found.keys():
                raise RegistryError(attempted, f"after {page} it names a next page and nothing new", DAMAGED)
            found |= dict.fromkeys(map(str, tags))
            page = following
        return tuple(found)

    def _following(self, response: requests.Response, attempted: str) -> str | None:
        """Path and query of the next page; it has to be on the same server, which knows who we are."""
        link = response.links.get("next", {}).get("url")
        if link is None:
            return None
        parts = urlsplit(urljoin(response.url, link))
        if parts.netloc != urlsplit(self._base).netloc:
            raise RegistryError(
                attempted,
                f"the next page is said to be on another server, {parts.netloc}",
                "the registry, or a proxy before it, has to be told its public name",
            )
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def digest(self, reference: Reference) -> Digest | None:
        """The digest of what is under a tag, an image or anything else, hashed here; None when nothing is.

        Raises RegistryError, RegistryUnreachable.
        """
        found = self._read(reference)
        return None if found is None else Digest.of(found[0])

    def put_manifest(self, manifest: Manifest, tag: str) -> None:
        """Put these bytes under a tag and read them back. Raises RegistryError.

        A tag that is there is never moved: the same digest is success, another one is an error before
        anything is written.
        """
        reference = self._repository.tagged(tag)
        if not self._holds(reference, manifest.digest):
            self._put(reference, manifest)

    def move_tag(self, manifest: Manifest, tag: str) -> Digest | None:
        """Put these bytes under a tag that may be another's, and read them back. Raises RegistryError.

        Returns:
            What was there instead and is not any more.
        """
        reference = self._repository.tagged(tag)
        before = self.digest(reference)
        if before == manifest.digest:
            return None
        self._put(reference, manifest)
        return before

    def has_blob(self, digest: Digest, *, size: int | None = None) -> bool:
        """Whether the registry says that it has a config or layer, of this size in bytes if one is given."""
        attempted = f"look for the blob {digest} in {self._repository}"
        response = self._ask("HEAD", f"{self._path}/blobs/{digest}", attempted)
        is_there = self._expect(response, attempted, 200, 404).status_code == 200
        return is_there and (size is None or response.headers.get("Content-Length") == str(size))

    @contextmanager
    def blob(self, blob: Blob, *, cancellation: Cancellation | None = None) -> Iterator[BinaryIO]:
        """A stream of the blob's bytes; closing it checks that they hash to the digest.

        Raises RegistryError; Cancelled between two pieces of it.

        A connection that breaks is opened again where it broke (RFC 9110, 14.2), a few times. The rest is
        read at the end of the block, unless the block failed.
        """
        attempted = f"read the blob {blob.digest} from {self._repository}"
        path = f"{self._path}/blobs/{blob.digest}"

        def open_at(position: int) -> requests.Response:
            headers = {"Range": f"bytes={position}-"} if position else None
            response = self._ask("GET", path, attempted, headers=headers, is_streamed=True)
            return self._expect(response, attempted, 206 if position else 200, 200)

        check = (cancellation or Cancellation()).check
        stream = Hashed(
            open_at, self._again(attempted), lambda error: self._unreachable(attempted, error), check
        )
        try:
            yield cast(BinaryIO, io.BufferedReader(stream, CHUNK))
            stream.finish(blob, attempted)
        finally:
            stream.hang_up()

    # manifests

    def _read(self, reference: Reference) -> tuple[bytes, str] | None:
        """The bytes and the media type under a tag or digest, whatever they are; hashed, but not parsed."""
        attempted = f"read the manifest {reference}"
        name = reference.digest or reference.tag or "latest"
        response = self._ask("GET", f"{self._path}/manifests/{name}", attempted, headers={"Accept": ACCEPT})
        if self._expect(response, attempted, 200, 404).status_code == 404:
            return None
        self._compare(response, reference, attempted)
        return response.content, response.headers.get("Content-Type", "").partition(";")[0].strip()

    def _compare(self, response: requests.Response, reference: Reference, attempted: str) -> None:
        """Hold the bytes against the digest that was asked for and the one that the registry gives."""
        found = Digest.of(response.content)
        said = response.headers.get("Docker-Content-Digest", found.text)
        for wanted in (said, str(reference.digest or found)):
            if wanted != found.text:
                raise RegistryError(
                    attempted,
                    f"its bytes hash to {found}, not to {wanted}",
                    "the registry or a proxy is damaged",
                )

    def _holds(self, reference: Reference, digest: Digest) -> bool:
        """Whether the tag is there with this digest. Raises RegistryError where it has another."""
        found = self._read(reference)
        if found is not None and Digest.of(found[0]) != digest:
            raise RegistryError(
                f"put the manifest {digest} under {reference}",
                f"the tag exists with another digest, {Digest.of(found[0])}",
                "a released tag is never moved: remove it by hand, or release another version",
            )
        return found is not None

    def _put(self, reference: Reference, manifest: Manifest) -> None:
        attempted = f"put the manifest {manifest.digest} under {reference}"
        path, headers = f"{self._path}/manifests/{reference.tag}", {"Content-Type": manifest.media_type}
        self._expect(
            self._ask("PUT", path, attempted, headers=headers, body=manifest.content), attempted, 201
        )
        if not self._holds(reference, manifest.digest):
            raise RegistryError(
                attempted,
                "the registry took it, and does not have it",
                "run the same again; if it stays, read the registry's log",
            )

    # requests

    @property
    def _host(self) -> str:
        return self._repository.host

    @property
    def _path(self) -> str:
        return f"/v2/{self._repository.path}"

    def _ask(
        self,
        method: str,
        path: str,
        attempted: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        is_streamed: bool = False,
    ) -> requests.Response:
        """The registry's answer, whatever it is, after as many attempts as are reasonable."""
        return self._patiently(
            lambda: self._send(method, path, headers=headers, body=body, is_streamed=is_streamed), attempted
        )

    def _patiently(self, request: Callable[[], requests.Response], attempted: str) -> requests.Response:
        """The answer to a request that may be sent again. Raises RegistryUnreachable."""

        def send() -> requests.Response:
            response = request()
            if response.status_code in TEMPORARY and not asks_for_more_patience(response):
                raise Temporary(response)
            return response

        try:
            return self._pace.patience.trying(send, self._again(attempted), self._cancellation)
        except Temporary as error:
            return error.response
        except FAILURES as error:
            raise self._unreachable(attempted, error) from error

    def _answered(self, request: Callable[[], requests.Response], attempted: str) -> requests.Response:
        """The answer to a request that may be sent again, and has to succeed."""
        return self._expect(self._patiently(request, attempted), attempted, 200)

    def _again(self, attempted: str) -> Again:
        """Decides after a failure whether to try again, and tells it."""

        def decide(error: Exception, left: int) -> bool | float:
            wait = pause(error)
            if wait is not False:
                soon = "" if wait is True else f" in {wait:.0f} s"
                self._tell(f"{attempted}: {what_happened(error)}; trying again{soon} ({left} left)")
            return wait

        return decide

    def _send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        is_streamed: bool,
    ) -> requests.Response:
        """One request; where the registry asks who we are, once more with the answer."""

        def send() -> requests.Response:
            url = f"{self._base}{path}"
            return self._exchange(
                method, url, headers=headers, data=body, stream=is_streamed, auth=self._login.authorize
            )

        response = send()
        if response.status_code == requests.codes.unauthorized and self._is_ours(response):
            response.close()
            challenge = response.headers.get("WWW-Authenticate", "")
            if self._login.introduce(challenge, is_tls=self._base.startswith("https:")):
                return send()
        return response

    def _exchange(self, method: str, url: str, **kwargs: Any) -> requests.Response:
        """The one door to the network. Loopback is never asked of a proxy, as by Docker."""
        parts = urlsplit(url)
        proxies = {"no_proxy": parts.hostname or ""} if is_loopback(parts.netloc) else None
        return self._session.request(method, url, timeout=self._pace.seconds, proxies=proxies, **kwargs)

    @property
    def _base(self) -> str:
        if self._known_base is None:
            self._known_base = f"{self._scheme()}://{_HUB_HOST if self._host == DOCKER_HUB else self._host}"
        return self._known_base

    def _scheme(self) -> str:
        """TLS, but on loopback plain HTTP where TLS is not spoken: Docker's rule."""
        if not is_loopback(self._host):
            return "https"
        try:
            self._exchange("GET", f"https://{self._host}/v2/", auth=anonymous).close()
        except requests.exceptions.SSLError as error:
            if faults.find(error, SSLCertVerificationError):
                raise
            return "http"
        return "https"

    def _is_ours(self, response: requests.Response) -> bool:
        """A storage server that we were sent on to is not told who we are."""
        return urlsplit(response.url).netloc == urlsplit(self._base).netloc

    # what it answers

    def _expect(self, response: requests.Response, attempted: str, *statuses: int) -> requests.Response:
        """The response, if it has one of these statuses. Raises RegistryError."""
        if response.status_code not in statuses:
            self._refuse(response, attempted)
        return response

    def _refuse(self, response: requests.Response, attempted: str) -> NoReturn:
        found = f"the registry answers {response.status_code}{said(response)}"
        response.close()
        raise RegistryError(attempted, found, self._hint(response))

    def _hint(self, response: requests.Response) -> str:
        """What to do next, by status (RFC 9110, 15; RFC 4918, 11.5)."""
        status = response.status_code
        if status == requests.codes.unauthorized:
            return f"docker login {self._host}"
        if status == requests.codes.forbidden:
            return f"docker login {self._host} as somebody who may do this in {self._repository}"
        if status == requests.codes.too_many_requests:
            return f"wait{for_how_long(response)} and run the same again, or log in to be given more"
        if status in TEMPORARY:
            return (
                f"wait{for_how_long(response)} and run the same again; if it stays, read the registry's log"
            )
        return _HINTS.get(status, f"see that {self._repository} exists and is spelled right")

    def _unreachable(self, attempted: str, error: BaseException) -> RegistryUnreachable:
        untrusted = faults.find(error, SSLCertVerificationError) is not None
        return RegistryUnreachable(
            f"{attempted} at {self._host}",
            faults.words(error),
            "put its authority's certificate where the engine and we both look, "
            f"{trust.engine_folder(self._host)}/ca.crt, or name the file in `registry_ca` or {trust.VARIABLE}"
            if untrusted
            else "see that the registry runs and that this machine reaches it",
        )


_HINTS: Final[Mapping[int, str]] = {
    405: "the registry takes nothing: is it read-only, in maintenance, or a mirror?",
    413: "the registry takes no more from us: remove old images there, or ask for more room",
    507: "the registry takes no more from us: remove old images there, or ask for more room",
}
