"""Login at a registry: answers to its challenges, with Docker's credentials.

A login is sent only over TLS or to this machine, and never after a redirect to another scheme or host.

Source: RFC 9110, 11; RFC 6750, 2.1; Distribution's "Token Authentication Specification" and "OAuth2 Token
Authentication".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from requests.utils import parse_dict_header

from release.errors import RegistryError
from release.images.registry.address import Address, is_loopback
from release.images.registry.error_text import shortened_quote
from release.images.registry.http import Answer, Request
from release.images.registry.manifest import json_object
from release.reference import Repository

if TYPE_CHECKING:
    from release.images.credentials import Credentials

_TOKEN: Final = re.compile(r"[!-~]{1,65536}")
"""Pattern of a token: wider than RFC 6750, but without line ends, which would begin another header."""
_LONGEST_CHALLENGE: Final = 8 * 1024
_HINT: Final = "check which token server the registry's settings name"


class Answered(Protocol):
    """Function that sends a repeatable request and checks that the status is 200."""

    def __call__(self, request: Request, attempted: str, /) -> Answer:
        """Return the answer. Raise RegistryError."""


class Login:
    """Authorization of requests to the registry of one repository."""

    def __init__(self, repository: Repository, answered: Answered) -> None:
        """Create a login without a request."""
        self._repository = repository
        self._answered = answered
        self.value: str | None = None
        """Value of the Authorization header; None while the registry has not asked for a login."""

    def introduce(self, challenge: str) -> bool:
        """Answer a challenge (RFC 9110, 11.6.1). Return False if there is no new answer to give."""
        from release.images.credentials import credentials

        known, before = credentials(self._repository.host), self.value
        scheme, _, rest = challenge[:_LONGEST_CHALLENGE].partition(" ")
        if scheme.lower() == "bearer":
            self.value = f"Bearer {self._token(_parameters(rest), known)}"
        elif scheme.lower() == "basic" and known is not None:
            self.value = _basic(known)
        return self.value != before

    def _token(self, challenge: Mapping[str, str | None], known: Credentials | None) -> str:
        """Return a token for the challenge from the token server that the challenge names."""
        realm = challenge.get("realm") or ""
        attempted = f"get a token for {self._repository} from {shortened_quote(realm[:200])}"
        asked = {key: value for key in ("service", "scope") if (value := challenge.get(key))}
        answer = self._answered(_request(self._server(realm, attempted), asked, known), attempted)
        found = json_object(answer.content, attempted)
        token = found.get("token") or found.get("access_token")
        if not token:
            raise RegistryError(attempted, "the answer holds no token", "read the registry's log")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise RegistryError(attempted, "the token in the answer is malformed", _HINT)
        return token

    def _server(self, realm: str, attempted: str) -> Address:
        """Return the token server's address.

        Raise RegistryError if the address is invalid, or would expose a login.
        """
        try:
            address = Address.parse(realm)
        except ValueError as error:
            found = f"the registry names a token server without an address: {error}"
            raise RegistryError(attempted, found, _HINT) from None
        is_here = address.is_loopback and is_loopback(self._repository.host)
        if address.scheme != "https" and not is_here:
            raise RegistryError(attempted, "it would send the password over a connection without TLS", _HINT)
        return address


def _request(server: Address, asked: Mapping[str, str], known: Credentials | None) -> Request:
    if known is not None and known.identity_token:
        grant = {"grant_type": "refresh_token", "client_id": "release", "refresh_token": known.identity_token}
        return Request(method="POST", url=server.text, body={**asked, **grant}, stays=True)
    if known is None:
        return Request(method="GET", url=server.text, parameters=asked, stays=True)
    return Request(
        method="GET",
        url=server.text,
        parameters={**asked, "account": known.user},
        headers={"Authorization": _basic(known)},
        stays=True,
    )


def _parameters(challenge: str) -> Mapping[str, str | None]:
    found: Mapping[str, str | None] = parse_dict_header(challenge)  # type: ignore[no-untyped-call]
    return found


def _basic(known: Credentials) -> str:
    """Return the header value of a user and a password (RFC 7617)."""
    return f"Basic {base64.b64encode(f'{known.user}:{known.password}'.encode()).decode()}"
