"""A registry through the OCI Distribution API: reading back what was pushed, and promoting it.

Source: OCI Distribution Specification 1.1; tokens: Distribution's "Token Authentication Specification" and
its "OAuth2 Token Authentication". Uploads of layers are the engine's work, not ours.

What can be asked again is asked again after a broken connection, a 429 or a 5xx, a few times; anything else a
registry answers stands.
"""

from __future__ import annotations

import base64
import hashlib
import io
import ipaddress
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NoReturn, cast
from urllib.parse import urljoin, urlsplit

import requests
import stamina
import urllib3
from requests.utils import parse_dict_header

from release.errors import RegistryError, RegistryUnreachable
from release.images import faults
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
_SECONDS: Final = (5.0, 30.0)
"""To connect, and between two bytes."""
_LONGEST_PAUSE: Final = 30.0
"""Seconds; a registry that asks for more is asked again after this, and then believed."""
_TEMPORARY: Final = frozenset({429, 500, 502, 503, 504})
_CHUNK: Final = 256 * 1024
_FAILURES: Final = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A descriptor: digest, size in bytes, media type."""

    digest: Digest
    size: int
    media_type: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
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
                layers=tuple(_blob(layer) for layer in data["layers"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RegistryError(attempted, f"it is damaged: {error!r}") from error


def _json_object(content: bytes, attempted: str) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except ValueError as error:
        raise RegistryError(attempted, f"it is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise RegistryError(attempted, "it is not a JSON object")
    return data


def _media_type(data: Mapping[str, Any], sent_as: str | None, attempted: str) -> str:
    """An OCI manifest may leave out `mediaType`; where it is there, it is what was sent."""
    within = data.get("mediaType") or (OCI_INDEX if "manifests" in data else OCI_MANIFEST)
    if "mediaType" in data and sent_as is not None and sent_as != within:
        raise RegistryError(attempted, f"it was sent as {sent_as}, and says that it is {within}")
    found = str(sent_as or within)
    if found in {OCI_INDEX, DOCKER_LIST}:
        raise RegistryError(
            attempted,
            f"it is an index of several images ({found}), and a release is one image",
            "build with --provenance=false --sbom=false and for one platform",
        )
    if found not in {OCI_MANIFEST, DOCKER_MANIFEST}:
        raise RegistryError(attempted, f"it is no image manifest but {found}")
    return found


def _blob(data: Mapping[str, Any]) -> Blob:
    return Blob(digest=Digest(data["digest"]), size=int(data["size"]), media_type=str(data["mediaType"]))


class Registry:
    """One registry host, with the credentials Docker has for it."""

    def __init__(self, repository: Repository) -> None:
        """Make no request yet."""
        self._repository = repository
        self._session = requests.Session()
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
                raise RegistryError(attempted, f"after {page} it names a next page and nothing new")
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
            raise RegistryError(attempted, f"the next page is said to be on another server, {parts.netloc}")
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
            attempted = f"put the manifest {manifest.digest} under {reference}"
            self._put(reference, manifest, attempted)
            if not self._holds(reference, manifest.digest):
                raise RegistryError(attempted, "the registry took it, and does not have it")

    def has_blob(self, digest: Digest) -> bool:
        """Whether the registry has a config or layer."""
        attempted = f"look for the blob {digest} in {self._repository}"
        response = self._ask("HEAD", f"{self._path}/blobs/{digest}", attempted)
        return self._expect(response, attempted, 200, 404).status_code == 200

    @contextmanager
    def blob(self, blob: Blob) -> Iterator[BinaryIO]:
        """A stream of the blob's bytes; closing it checks that they hash to the digest. Raises RegistryError.

        The rest is read at the end of the block, unless the block failed.
        """
        attempted = f"read the blob {blob.digest} from {self._repository}"
        response = self._ask("GET", f"{self._path}/blobs/{blob.digest}", attempted, is_streamed=True)
        try:
            self._expect(response, attempted, 200)
            stream = _Hashed(response, lambda error: self._unreachable(attempted, error))
            yield cast(BinaryIO, io.BufferedReader(stream, _CHUNK))
            stream.finish(blob, attempted)
        finally:
            response.close()

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

    def _put(self, reference: Reference, manifest: Manifest, attempted: str) -> None:
        path, headers = f"{self._path}/manifests/{reference.tag}", {"Content-Type": manifest.media_type}
        self._expect(
            self._ask("PUT", path, attempted, headers=headers, body=manifest.content), attempted, 201
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

        def send() -> requests.Response:
            response = self._send(method, path, headers=headers, body=body, is_streamed=is_streamed)
            if response.status_code in _TEMPORARY:
                raise _Temporary(response)
            return response

        try:
            return _RETRY(_pause, send)
        except _Temporary as error:
            return error.response
        except _FAILURES as error:
            raise self._unreachable(attempted, error) from error

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
        host = urlsplit(url).hostname or ""
        proxies = {"no_proxy": host} if _is_loopback(host) else None
        return self._session.request(method, url, timeout=_SECONDS, proxies=proxies, **kwargs)

    @property
    def _base(self) -> str:
        if self._known_base is None:
            self._known_base = f"{self._scheme()}://{_HUB_HOST if self._host == DOCKER_HUB else self._host}"
        return self._known_base

    def _scheme(self) -> str:
        """TLS, but on loopback plain HTTP where TLS is not spoken: Docker's rule."""
        if not _is_loopback(urlsplit(f"//{self._host}").hostname or ""):
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
        response = self._expect(self._ask_for_token(realm, asked, known), attempted, 200)
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
        if response.status_code in {401, 403}:
            return f"docker login {self._host}"
        if response.status_code == requests.codes.too_many_requests:
            return "the registry limits requests: wait, or log in to be given more"
        if response.status_code in _TEMPORARY:
            return "try again; if it stays, read the registry's log"
        return f"see that {self._repository} exists and is spelled right"

    def _unreachable(self, attempted: str, error: BaseException) -> RegistryUnreachable:
        untrusted = faults.find(error, SSLCertVerificationError) is not None
        return RegistryUnreachable(
            f"{attempted} at {self._host}",
            faults.words(error),
            "set REQUESTS_CA_BUNDLE to a file with its authority's certificate"
            if untrusted
            else "see that the registry runs and that this machine reaches it",
        )


class _Temporary(Exception):
    """An answer that may be another one in a moment."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


logging.getLogger("stamina").addHandler(logging.NullHandler())  # else each pause is a line on standard error

_RETRY: Final = stamina.RetryingCaller(
    attempts=4, timeout=60.0, wait_initial=0.2, wait_max=5.0, wait_jitter=0.2
)


def _pause(error: Exception) -> bool | float:
    """Whether to ask again; a number of seconds where the registry names it (RFC 9110, 10.2.3)."""
    if isinstance(error, _Temporary):
        error.response.close()
        return _retry_after(error.response.headers.get("Retry-After")) or True
    if isinstance(error, requests.exceptions.SSLError):
        return False
    return isinstance(
        error, requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError
    )


def _retry_after(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text) if text.isdigit() else _seconds_until(parsedate_to_datetime(text))
    except ValueError:
        return None
    return min(max(seconds, 0.0), _LONGEST_PAUSE)


def _seconds_until(moment: datetime) -> float:
    return (moment - datetime.now(UTC)).total_seconds()


class _Hashed(io.RawIOBase):
    """The body of a response as a file that hashes what is read."""

    def __init__(
        self, response: requests.Response, unreachable: Callable[[BaseException], RegistryUnreachable]
    ) -> None:
        self._response = response
        self._unreachable = unreachable
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._response.raw.read(len(buffer))
        except _FAILURES as error:
            raise self._unreachable(error) from error
        self._hash.update(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def finish(self, blob: Blob, attempted: str) -> None:
        """Read the rest and compare. Raises RegistryError."""
        while self.read(_CHUNK):
            pass
        found = f"sha256:{self._hash.hexdigest()}"
        if found != blob.digest.text:
            raise RegistryError(attempted, f"its bytes hash to {found}", "the registry or a proxy is damaged")


def _is_loopback(hostname: str) -> bool:
    """127.0.0.0/8, ::1 and localhost: where Docker allows plain HTTP."""
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return hostname == "localhost"


def _parameters(challenge: str) -> Mapping[str, str | None]:
    found: Mapping[str, str | None] = parse_dict_header(challenge)  # type: ignore[no-untyped-call]
    return found


def _said(response: requests.Response) -> str:
    """The codes and messages of an error (OCI Distribution, "Error Codes"), if the body holds any."""
    try:
        errors = response.json()["errors"]
        return "".join(f": {error['code']} {error.get('message', '')}".rstrip() for error in errors)
    except (ValueError, LookupError, TypeError, AttributeError, requests.RequestException):
        return ""


def _basic(known: Credentials) -> str:
    """RFC 7617."""
    return f"Basic {base64.b64encode(f'{known.user}:{known.password}'.encode()).decode()}"


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No credentials: without this, requests would look into ~/.netrc."""
    return request


def _with_authorization(request: requests.PreparedRequest, value: str) -> requests.PreparedRequest:
    request.headers["Authorization"] = value
    return request
