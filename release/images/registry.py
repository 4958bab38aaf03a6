"""A registry through the OCI Distribution API: reading back what was pushed, and promoting it.

Source: OCI Distribution Specification 1.1; tokens: Distribution's "Token Authentication Specification" and
its "OAuth2 Token Authentication". Uploads of layers are the engine's work, not ours.

What can be asked again is asked again after a broken connection, a 429 or a 5xx, a few times, and each time
is told; a download goes on where it broke. Anything else a registry answers stands, and so does a 429 or 5xx
that asks for more patience than a release has, as a used-up quota does.
"""

from __future__ import annotations

import base64
import hashlib
import io
import ipaddress
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NoReturn, cast
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.utils import DEFAULT_CA_BUNDLE_PATH, parse_dict_header

from release.errors import RegistryError, RegistryUnreachable
from release.frozen import Struct
from release.images import faults, trust
from release.patience import Again, Patience
from release.process import Cancellation
from release.reference import DOCKER_HUB, Digest, Reference, Repository

if TYPE_CHECKING:
    from release.images.credentials import Credentials

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"

_HUB_HOST: Final = "registry-1.docker.io"
_ACCEPT: Final = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST))
"""All four: with fewer, Distribution 2.8 answers another digest, or 404, for an image that is there."""
_LONGEST_PAUSE: Final = 30.0
"""Seconds; a registry that asks for more is believed at once."""
_ATTEMPTS: Final = 5
_TEMPORARY: Final = frozenset({429, 500, 502, 503, 504})
_CHUNK: Final = 256 * 1024
_BUNDLE: Final = str(DEFAULT_CA_BUNDLE_PATH)
"""Said outright, so that requests does not take the one that the environment names."""
_LONGEST_QUOTE: Final = 500
"""Characters of a registry's own words in a message."""
_DAMAGED: Final = "the registry or a proxy is damaged: read its log; is it a registry at all?"
_FAILURES: Final = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


class Pace(Struct, frozen=True, kw_only=True):
    """How long a registry is waited for, and how often it is asked again."""

    seconds: tuple[float, float]
    """To connect, and between two bytes."""
    patience: Patience


CALM: Final = Pace(
    seconds=(5.0, 30.0), patience=Patience(attempts=_ATTEMPTS, first=0.3, longest=5.0, timeout=120.0)
)
"""For a release: what it would lose is more than some minutes."""
PRESSED: Final = Pace(
    seconds=(5.0, 10.0), patience=Patience(attempts=2, first=0.3, longest=2.0, timeout=10.0)
)
"""For an operator who waits: a registry that stays silent is given up within 10 s."""


class Blob(Struct, frozen=True, kw_only=True):
    """A descriptor: digest, size in bytes, media type."""

    digest: Digest
    size: int
    media_type: str


class Manifest(Struct, frozen=True, kw_only=True):
    """An image manifest, as bytes and as what they say. `digest` was computed here from `content`."""

    digest: Digest
    media_type: str
    content: bytes
    config: Blob
    layers: tuple[Blob, ...]

    @classmethod
    def parse(cls, content: bytes, media_type: str | None = None) -> Manifest:
        """Parse an image manifest. Raises RegistryError for an index, a list, or anything else.

        Args:
            content: the bytes, as the registry has them.
            media_type: what they were sent as; without it, what they say of themselves.

        Source: OCI Image Specification 1.1, "Image Manifest"; Docker's image manifest version 2, schema 2.
        """
        digest = Digest.of(content)
        attempted = f"read the image manifest {digest.short}"
        data = _json_object(content, attempted)
        found = _media_type(data, media_type, attempted)
        try:
            return cls(
                digest=digest,
                media_type=found,
                content=content,
                config=_blob(data["config"]),
                layers=tuple(_blob(layer) for layer in data["layers"] or ()),  # Go writes none as null
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RegistryError(attempted, f"it is damaged: {error!r}", _DAMAGED) from error


def _json_object(content: bytes, attempted: str) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except ValueError as error:
        raise RegistryError(attempted, f"it is not JSON: {error}", _DAMAGED) from error
    if not isinstance(data, dict):
        raise RegistryError(attempted, "it is not a JSON object", _DAMAGED)
    return data


def _media_type(data: Mapping[str, Any], sent_as: str | None, attempted: str) -> str:
    """An OCI manifest may leave out `mediaType`; where it is there, it is what was sent."""
    within = data.get("mediaType") or (OCI_INDEX if "manifests" in data else OCI_MANIFEST)
    if "mediaType" in data and sent_as is not None and sent_as != within:
        raise RegistryError(attempted, f"it was sent as {sent_as}, and says that it is {within}", _DAMAGED)
    found = str(sent_as or within)
    if found in {OCI_INDEX, DOCKER_LIST}:
        raise RegistryError(
            attempted,
            f"it is an index of several images ({found}), and a release is one image",
            "build with --provenance=false --sbom=false and for one platform",
        )
    if found not in {OCI_MANIFEST, DOCKER_MANIFEST}:
        raise RegistryError(
            attempted,
            f"it is no image manifest but {found}",
            "an image has to be under that name, as `docker push` of today writes it: see who pushes there",
        )
    return found


def _blob(data: Mapping[str, Any]) -> Blob:
    return Blob(digest=Digest(data["digest"]), size=int(data["size"]), media_type=str(data["mediaType"]))


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
        self._authorization: str | None = None

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
            with suppress(*_FAILURES):
                self._send("DELETE", path, headers=None, body=None, is_streamed=False).close()

    def is_trusted_by_engines(self) -> bool:
        """Whether its certificate is believed without what was given to us alone, as an engine here does.

        Without TLS the question does not arise: true.
        """
        with closing(requests.Session()) as session:
            session.mount("https://", trust.Adapter(trust.engine_context(self._host)))
            try:
                url, seconds = f"{self._base}/v2/", self._pace.seconds
                session.get(url, timeout=seconds, auth=_anonymous, verify=_BUNDLE).close()
            except requests.exceptions.SSLError:
                return False
            except _FAILURES:
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
            tags = _json_object(response.content, attempted).get("tags") or []
            following = self._following(response, attempted)
            if following is not None and not {str(tag) for tag in tags} - found.keys():
                raise RegistryError(attempted, f"after {page} it names a next page and nothing new", _DAMAGED)
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
        stream = _Hashed(
            open_at, self._again(attempted), lambda error: self._unreachable(attempted, error), check
        )
        try:
            yield cast(BinaryIO, io.BufferedReader(stream, _CHUNK))
            stream.finish(blob, attempted)
        finally:
            stream.hang_up()

    # manifests

    def _read(self, reference: Reference) -> tuple[bytes, str] | None:
        """The bytes and the media type under a tag or digest, whatever they are; hashed, but not parsed."""
        attempted = f"read the manifest {reference}"
        name = reference.digest or reference.tag or "latest"
        response = self._ask("GET", f"{self._path}/manifests/{name}", attempted, headers={"Accept": _ACCEPT})
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
            if response.status_code in _TEMPORARY and not _asks_for_more_patience(response):
                raise _Temporary(response)
            return response

        try:
            return self._pace.patience.trying(send, self._again(attempted), self._cancellation)
        except _Temporary as error:
            return error.response
        except _FAILURES as error:
            raise self._unreachable(attempted, error) from error

    def _again(self, attempted: str) -> Again:
        """Decides after a failure whether to try again, and tells it."""

        def decide(error: Exception, left: int) -> bool | float:
            pause = _pause(error)
            if pause is not False:
                soon = "" if pause is True else f" in {pause:.0f} s"
                self._tell(f"{attempted}: {_what_happened(error)}; trying again{soon} ({left} left)")
            return pause

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
                method, url, headers=headers, data=body, stream=is_streamed, auth=self._authorize
            )

        response = send()
        if response.status_code == requests.codes.unauthorized and self._is_ours(response):
            response.close()
            if self._introduce(response.headers.get("WWW-Authenticate", "")):
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
            self._exchange("GET", f"https://{self._host}/v2/", auth=_anonymous).close()
        except requests.exceptions.SSLError as error:
            if faults.find(error, SSLCertVerificationError):
                raise
            return "http"
        return "https"

    # who we are

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._authorization is not None:
            request.headers["Authorization"] = self._authorization
        return request

    def _is_ours(self, response: requests.Response) -> bool:
        """A storage server that we were sent on to is not told who we are."""
        return urlsplit(response.url).netloc == urlsplit(self._base).netloc

    def _introduce(self, challenge: str) -> bool:
        """Answer a challenge (RFC 9110, 11.6.1); False when there is nothing to say that was not said."""
        from release.images.credentials import credentials

        known, before = credentials(self._host), self._authorization
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "bearer":
            self._authorization = f"Bearer {self._token(_parameters(rest), known)}"
        elif scheme.lower() == "basic" and known is not None:
            self._authorization = _basic(known)
        return self._authorization != before

    def _token(self, challenge: Mapping[str, str | None], known: Credentials | None) -> str:
        """A token for what the challenge names, from the server that it names."""
        realm = challenge.get("realm") or ""
        attempted = f"get a token for {self._repository} from {realm}"
        if urlsplit(realm).scheme != "https" and self._base.startswith("https:"):
            raise RegistryError(attempted, "it would send the password over a connection without TLS")
        asked = {key: value for key in ("service", "scope") if (value := challenge.get(key))}
        answered = self._patiently(lambda: self._ask_for_token(realm, asked, known), attempted)
        response = self._expect(answered, attempted, 200)
        answer = _json_object(response.content, attempted)
        token = answer.get("token") or answer.get("access_token")
        if not token:
            raise RegistryError(attempted, "the answer holds no token", "read the registry's log")
        return str(token)

    def _ask_for_token(
        self, realm: str, asked: dict[str, str], known: Credentials | None
    ) -> requests.Response:
        if known is not None and known.identity_token:
            grant = {
                "grant_type": "refresh_token",
                "client_id": "release",
                "refresh_token": known.identity_token,
            }
            return self._exchange("POST", realm, data=asked | grant, auth=_anonymous)
        if known is None:
            return self._exchange("GET", realm, params=asked, auth=_anonymous)
        basic = _basic(known)
        return self._exchange(
            "GET", realm, params=asked | {"account": known.user}, auth=lambda r: _with_authorization(r, basic)
        )

    # what it answers

    def _expect(self, response: requests.Response, attempted: str, *statuses: int) -> requests.Response:
        """The response, if it has one of these statuses. Raises RegistryError."""
        if response.status_code not in statuses:
            self._refuse(response, attempted)
        return response

    def _refuse(self, response: requests.Response, attempted: str) -> NoReturn:
        found = f"the registry answers {response.status_code}{_said(response)}"
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
            return f"wait{_for_how_long(response)} and run the same again, or log in to be given more"
        if status in _TEMPORARY:
            return (
                f"wait{_for_how_long(response)} and run the same again; if it stays, read the registry's log"
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


class _Temporary(Exception):
    """An answer that may be another one in a moment."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


_HINTS: Final[Mapping[int, str]] = {
    405: "the registry takes nothing: is it read-only, in maintenance, or a mirror?",
    413: "the registry takes no more from us: remove old images there, or ask for more room",
    507: "the registry takes no more from us: remove old images there, or ask for more room",
}


def _pause(error: Exception) -> bool | float:
    """Whether to ask again; a number of seconds where the registry names it (RFC 9110, 10.2.3)."""
    if isinstance(error, _Temporary):
        error.response.close()
        return _retry_after(error.response.headers.get("Retry-After")) or True
    if isinstance(error, requests.exceptions.SSLError):
        return False
    return isinstance(error, _BROKEN)


_BROKEN: Final = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.TimeoutError,
)


def _what_happened(error: Exception) -> str:
    if isinstance(error, _Temporary):
        return f"the registry answers {error.response.status_code}"
    return faults.words(error)


def _retry_after(text: str | None) -> float | None:
    """Seconds from now (RFC 9110, 10.2.3: a number of them, or a date); None for anything else."""
    if text is None:
        return None
    try:
        seconds = float(text) if text.isdigit() else _seconds_until(parsedate_to_datetime(text))
    except ValueError:
        return None
    return max(seconds, 0.0)


def _asks_for_more_patience(response: requests.Response) -> bool:
    """Whether asking again soon is useless: it names a later time, or refuses for another reason than haste.

    A used-up quota comes as 429 with the code DENIED, with a long Retry-After, or with nothing remaining in a
    long window (`RateLimit-Remaining: 0;w=21600`, as Docker Hub writes it: seconds).
    """
    wait = max(_retry_after(response.headers.get("Retry-After")) or 0.0, _window(response))
    return wait > _LONGEST_PAUSE or "DENIED" in _codes(response)


def _window(response: requests.Response) -> float:
    """Seconds of the rate limit's window, where nothing of it remains; else 0."""
    remaining, _, window = response.headers.get("RateLimit-Remaining", "").partition(";w=")
    return float(window) if remaining.strip() == "0" and window.isdigit() else 0.0


def _for_how_long(response: requests.Response) -> str:
    seconds = max(_retry_after(response.headers.get("Retry-After")) or 0.0, _window(response))
    if seconds < 1:
        return ""
    return f" {seconds:.0f} s" if seconds < 120 else f" {seconds / 60:.0f} min"


def _seconds_until(moment: datetime) -> float:
    """A date without a zone, or with the unknown one (-0000), is read as the GMT that it has to be."""
    known = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (known - datetime.now(UTC)).total_seconds()


class _Hashed(io.RawIOBase):
    """The body of a response as a file that hashes what is read, and goes on where a connection broke."""

    def __init__(
        self,
        open_at: Callable[[int], requests.Response],
        again: Again,
        unreachable: Callable[[BaseException], RegistryUnreachable],
        check: Callable[[], None],
    ) -> None:
        """Send the first request. `check` is called before each piece is read, and may raise."""
        self._check = check
        self._open_at, self._again, self._unreachable = open_at, again, unreachable
        self._left = _ATTEMPTS - 1
        self._hash, self._position = hashlib.sha256(), 0
        self._response = open_at(0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._chunk(len(buffer))
        self._hash.update(chunk)
        self._position += len(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def _chunk(self, size: int) -> bytes:
        self._check()
        while True:
            try:
                return bytes(self._response.raw.read(size))
            except _FAILURES as error:
                self._check()
                if self._left == 0 or self._again(error, self._left) is False:
                    raise self._unreachable(error) from error
            self._left -= 1
            self._go_on()

    def _go_on(self) -> None:
        """A server that knows no ranges sends all of it again: what we have is passed over."""
        self.hang_up()
        self._response = self._open_at(self._position)
        left = self._position if self._response.status_code == requests.codes.ok else 0
        while left and (chunk := self._response.raw.read(min(left, _CHUNK))):
            left -= len(chunk)

    def hang_up(self) -> None:
        """Close the connection."""
        self._response.close()

    def finish(self, blob: Blob, attempted: str) -> None:
        """Read the rest and compare. Raises RegistryError."""
        while self.read(_CHUNK):
            pass
        found = f"sha256:{self._hash.hexdigest()}"
        if found != blob.digest.text:
            raise RegistryError(attempted, f"its bytes hash to {found}", "the registry or a proxy is damaged")


def is_loopback(host: str) -> bool:
    """Whether a host, with or without a port, is 127.0.0.0/8, ::1 or localhost: engines ask for no TLS."""
    hostname = urlsplit(f"//{host}").hostname or ""
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return hostname == "localhost"


def _parameters(challenge: str) -> Mapping[str, str | None]:
    found: Mapping[str, str | None] = parse_dict_header(challenge)  # type: ignore[no-untyped-call]
    return found


def _errors(response: requests.Response) -> Sequence[Mapping[str, Any]]:
    """The errors in a body (OCI Distribution, "Error Codes"), if it holds any."""
    try:
        errors = response.json()["errors"]
    except (ValueError, LookupError, TypeError, requests.RequestException):
        return ()
    return [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else ()


def _codes(response: requests.Response) -> frozenset[str]:
    return frozenset(str(error.get("code", "")) for error in _errors(response))


def _said(response: requests.Response) -> str:
    """The codes and messages of an error, for people."""
    said = (f": {error.get('code', '')} {error.get('message', '')}".rstrip() for error in _errors(response))
    return "".join(said)[:_LONGEST_QUOTE]


def _basic(known: Credentials) -> str:
    """RFC 7617."""
    return f"Basic {base64.b64encode(f'{known.user}:{known.password}'.encode()).decode()}"


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No credentials: without this, requests would look into ~/.netrc."""
    return request


def _with_authorization(request: requests.PreparedRequest, value: str) -> requests.PreparedRequest:
    request.headers["Authorization"] = value
    return request
