"""Who we are to a registry: answering its challenges with the credentials that Docker has.

Source: RFC 9110, 11; Distribution's "Token Authentication Specification" and "OAuth2 Token Authentication".
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import requests
from requests.utils import parse_dict_header

from release.errors import RegistryError
from release.images.registry.manifest import json_object
from release.reference import Repository

if TYPE_CHECKING:
    from release.images.credentials import Credentials


class Exchange(Protocol):
    """Sends one request."""

    def __call__(self, method: str, url: str, **kwargs: object) -> requests.Response:
        """Return the response."""


class Login:
    """The authorization of requests to one repository's registry."""

    def __init__(
        self,
        repository: Repository,
        exchange: Exchange,
        patiently: Callable[[Callable[[], requests.Response], str], requests.Response],
    ) -> None:
        """Ask nothing yet.

        Args:
            repository: what is read and written.
            exchange: sends one request.
            patiently: sends a request that may be sent again, and checks that its status is 200.
        """
        self._repository = repository
        self._exchange = exchange
        self._patiently = patiently
        self._authorization: str | None = None

    def authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add what the registry asked for, if it did."""
        if self._authorization is not None:
            request.headers["Authorization"] = self._authorization
        return request

    def introduce(self, challenge: str, *, is_tls: bool) -> bool:
        """Answer a challenge (RFC 9110, 11.6.1); False when there is nothing to say that was not said."""
        from release.images.credentials import credentials

        known, before = credentials(self._repository.host), self._authorization
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "bearer":
            self._authorization = f"Bearer {self._token(_parameters(rest), known, is_tls=is_tls)}"
        elif scheme.lower() == "basic" and known is not None:
            self._authorization = _basic(known)
        return self._authorization != before

    def _token(self, challenge: Mapping[str, str | None], known: Credentials | None, *, is_tls: bool) -> str:
        """A token for what the challenge names, from the server that it names."""
        realm = challenge.get("realm") or ""
        attempted = f"get a token for {self._repository} from {realm}"
        if urlsplit(realm).scheme != "https" and is_tls:
            raise RegistryError(attempted, "it would send the password over a connection without TLS")
        asked = {key: value for key in ("service", "scope") if (value := challenge.get(key))}
        response = self._patiently(lambda: self._ask_for_token(realm, asked, known), attempted)
        answer = json_object(response.content, attempted)
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
            return self._exchange("POST", realm, data=asked | grant, auth=anonymous)
        if known is None:
            return self._exchange("GET", realm, params=asked, auth=anonymous)
        basic = _basic(known)
        return self._exchange(
            "GET", realm, params=asked | {"account": known.user}, auth=lambda r: _with_authorization(r, basic)
        )


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


def _basic(known: Credentials) -> str:
    """RFC 7617."""
    return f"Basic {base64.b64encode(f'{known.user}:{known.password}'.encode()).decode()}"


def anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No credentials: without this, requests would look into ~/.netrc."""
    return request


def _with_authorization(request: requests.PreparedRequest, value: str) -> requests.PreparedRequest:
    request.headers["Authorization"] = value
    return request
