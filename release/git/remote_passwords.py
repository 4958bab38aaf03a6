"""Passwords in addresses of git remotes, kept off every command line.

git hands an address to its helper programs as an argument, and every user of the machine can read arguments.
Here the address goes without its login, and git asks a credential helper for user and password
(gitcredentials). The helper is a line of shell that prints two variables of git's own environment, which only
its owner can read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

from release.values import Struct

NETWORK: Final = frozenset({"fetch", "push", "ls-remote"})
"""The git commands that talk to a server."""

_LOGIN: Final = re.compile(r"(?<=://)[^/\s@]*:[^/\s]*@")
_SCHEMES: Final = ("http", "https", "ftp", "ftps")
_USER: Final = "RELEASE_GIT_USER"
_PASSWORD: Final = "RELEASE_GIT_PASSWORD"  # noqa: S105 - a name
_SAYS: Final = rf'printf "username=%s\npassword=%s\n" "${_USER}" "${_PASSWORD}"'
_HELPER: Final = f'!f() {{ test "$1" != get || {_SAYS}; }}; f'


def mask_logins(text: str) -> str:
    """Return the text without users and passwords in its addresses."""
    return _LOGIN.sub("", text)


def contains_password(text: str) -> bool:
    """Return whether the text has an address with a password."""
    return _LOGIN.search(text) is not None


class Login(Struct, frozen=True, kw_only=True):
    """Address without its login, and the login."""

    address: str
    live: str
    """Scheme, host and port."""
    user: str
    password: str

    @classmethod
    def of(cls, address: str) -> Login | None:
        """Return address and login; None if the address has no password that git would use."""
        parts = urlsplit(address)
        if parts.scheme not in _SCHEMES or parts.password is None:
            return None
        place = parts.netloc.rpartition("@")[2]
        return cls(
            address=parts._replace(netloc=place).geturl(),
            live=f"{parts.scheme}://{place}",
            user=unquote(parts.username or ""),
            password=unquote(parts.password),
        )


def strip_logins(arguments: Sequence[str]) -> list[str]:
    """Return the words of a command line with logins removed from addresses."""
    return [login.address if (login := Login.of(word)) is not None else word for word in arguments]


def login_environment(pairs: Iterable[tuple[str, str]], environ: Mapping[str, str]) -> dict[str, str]:
    """Return variables with which git logs in, without a login in an address.

    Args:
        pairs: each configured or given address, with the address that git resolves from it.
        environ: the environment that git gets; its own GIT_CONFIG_COUNT settings stay.

    Returns:
        No variables if no address has a password.
    """
    logins = [(given, login) for given, address in pairs if (login := Login.of(address)) is not None]
    if not logins:
        return {}
    first = logins[0][1]
    key = f"credential.{first.live}.helper"
    settings = [*_rewritten(logins), (key, ""), (key, _HELPER)]
    count = int(environ.get("GIT_CONFIG_COUNT") or 0)
    named = {_USER: first.user, _PASSWORD: first.password, "GIT_CONFIG_COUNT": str(count + len(settings))}
    for number, (key, value) in enumerate(settings, start=count):
        named |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return named


def _rewritten(logins: Iterable[tuple[str, Login]]) -> Iterator[tuple[str, str]]:
    """Yield git's rules for both forms of each address; git uses the longest match (git-config, `url`)."""
    for given, login in logins:
        for word in dict.fromkeys((given, login.address)):
            yield f"url.{login.address}.insteadOf", word
            yield f"url.{login.address}.pushInsteadOf", word
