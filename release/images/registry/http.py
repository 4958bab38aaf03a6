"""One request to a registry or its token server, and its answer within limits.

Redirects are followed here, because `requests` reads their bodies without a limit, and sends logins of
~/.netrc to the next host. Proxies of the environment are used; ~/.netrc is not read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, Final

import requests
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies

from release.images import trust
from release.images.http_limits import AnswerTooLarge, read_body, refuse_packed_body
from release.images.registry.address import Address, redirect_address
from release.values import Struct, field

DOCUMENT: Final = 4 * 1024 * 1024
"""Largest size of a manifest, a config, a page of tags, or a token server's answer, in bytes."""

ERROR: Final = 64 * 1024
"""Largest size of an answer with an error, in bytes; of a larger one only the status counts."""

MOST_REDIRECTS: Final = 5

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SUCCESSES: Final = range(200, 300)


class Answer(Struct, frozen=True, kw_only=True):
    """Answer to a request: status, headers, body, and the address that answered."""

    status: int
    url: str
    headers: Mapping[str, str]
    content: bytes = b""
    response: requests.Response | None = None
    """Unread body of a streamed answer."""

    def close(self) -> None:
        """Close the connection of a streamed body."""
        if self.response is not None:
            self.response.close()


class Request(Struct, frozen=True, kw_only=True):
    """Request to a registry."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Mapping[str, str] | None = None
    parameters: Mapping[str, str] | None = None
    is_streamed: bool = False
    stays: bool = False
    """True if the request holds a login, so that no redirect to another host or scheme is followed."""


class Session(requests.Session):
    """Connections that follow no redirect and read no login from a file."""

    def __init__(self, host: str, *, as_engine: bool = False) -> None:
        """Open no connection yet. Raises UsageError: a file of certificates cannot be read.

        Args:
            host: the registry, whose configured certificates are trusted.
            as_engine: trust only the certificates that an engine on this machine trusts.
        """
        super().__init__()
        self.trust_env = False
        adapter = trust.Adapter(
            trust.engine_tls_context(host) if as_engine else trust.registry_tls_context(host)
        )
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        self.verify = str(DEFAULT_CA_BUNDLE_PATH) if as_engine or not named else named
        self.headers.update({"User-Agent": "release", "Accept-Encoding": "identity"})

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        """Return None, because `exchange` follows redirects."""
        return None


def exchange(
    session: Session,
    request: Request,
    seconds: tuple[float, float],
    authorization: Callable[[Address], str | None] = lambda _address: None,
) -> Answer:
    """Send a request, follow its redirects, and read its answer.

    Args:
        session: the connections.
        request: the request to send.
        seconds: to connect, and between two bytes.
        authorization: the value of the header for an address; none for a host that gets no login.

    Raises:
        requests.RequestException, urllib3.exceptions.HTTPError, OSError: no answer came.
        AnswerTooLarge: the answer is larger than its limit.
        ValueError: an address or a redirect is refused; the text says why.
    """
    address, parameters = Address.parse(request.url), request.parameters
    for _ in range(MOST_REDIRECTS + 1):
        headers = dict(request.headers)
        if (login := authorization(address)) is not None:
            headers["Authorization"] = login
        response = _sent(session, request, address, parameters, headers, seconds)
        if response.status_code not in _REDIRECTS:
            return _answer(request, response)
        response.close()
        place = response.headers.get("Location", "")
        address = redirect_address(request.method, address, place, response.status_code, stays=request.stays)
        parameters = None
    raise ValueError(f"it redirects more than {MOST_REDIRECTS} times")


def _sent(
    session: Session,
    request: Request,
    address: Address,
    parameters: Mapping[str, str] | None,
    headers: dict[str, str],
    seconds: tuple[float, float],
) -> requests.Response:
    return session.request(
        request.method,
        address.text,
        params=parameters,
        data=request.body,
        headers=headers,
        auth=_as_it_is,
        timeout=seconds,
        stream=True,
        allow_redirects=False,
        proxies={} if address.is_loopback else get_environ_proxies(address.text),
    )


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Return the request unchanged: without this function, requests takes a login out of the address."""
    return request


def _answer(request: Request, response: requests.Response) -> Answer:
    about: dict[str, Any] = {
        "status": response.status_code,
        "url": response.url,
        "headers": CaseInsensitiveDict(response.headers),
    }
    if request.is_streamed and response.status_code in _SUCCESSES:
        refuse_packed_body(response)
        return Answer(**about, response=response)
    with closing(response):
        return Answer(**about, content=b"" if request.method == "HEAD" else _body(response))


def _body(response: requests.Response) -> bytes:
    if response.status_code in _SUCCESSES:
        return read_body(response, DOCUMENT)
    try:
        return read_body(response, ERROR)
    except AnswerTooLarge:  # the status says enough
        return b""
