"""Credentials of a registry, for transfers of the engine and for requests of this library."""

from __future__ import annotations

import base64
import json
import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

from docker.auth import AuthConfig, load_config, resolve_index_name
from docker.credentials.errors import StoreError
from docker.errors import DockerException
from docker.utils.config import find_config_file

from release.errors import UsageError
from release.files.regular import CREDENTIALS, read_regular
from release.parsing import jsontext
from release.values import Reticent

VARIABLE: Final = "DOCKER_AUTH_CONFIG"
"""Variable with the text of a config.json, which CI systems give to a job."""

_FILE: Final = "config.json"
_CONFIG: Final = jsontext.Bounds(size=CREDENTIALS)


class Credentials(Reticent, frozen=True, kw_only=True):
    """Credentials of Docker for a registry: a user with a password, or an identity token. Never shown."""

    unshown = frozenset({"password", "identity_token"})

    user: str = ""
    password: str = ""
    identity_token: str = ""


def credentials(host: str, environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """Return the credentials of a registry: from DOCKER_AUTH_CONFIG, config.json, a store or a helper.

    A missing or broken helper counts as a helper without credentials, as for `docker` itself.

    Raises:
        UsageError: the variable or the file is damaged. The message quotes nothing of them.
    """
    given = _given(environ.get(VARIABLE, ""), host)
    return _credentials(_resolved(given, host) or {}) or _credentials(_resolved(_kept(host), host) or {})


def write_docker_config(folder: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Write a Docker configuration with the logins of DOCKER_AUTH_CONFIG, for the `docker` command.

    Args:
        folder: an empty folder that only this user can read; the caller removes it.
        environ: variables, maybe with DOCKER_AUTH_CONFIG.

    Returns:
        Variables with which `docker` reads the folder; none if there are no logins.
    """
    known = _all_given(environ.get(VARIABLE, ""))
    if not known:
        return {}
    home = Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker").absolute()
    for entry in home.glob("*"):
        if entry.name != _FILE:  # plugins, contexts, builders
            (folder / entry.name).symlink_to(entry)
    kept = _document(home / _FILE)
    kept = kept if isinstance(kept, dict) else {}
    names = {*known, *map(resolve_index_name, known)}
    document = kept | {
        "auths": {**(kept.get("auths") or {}), **{name: _entry(login) for name, login in known.items()}},
        "credHelpers": {**(kept.get("credHelpers") or {}), **dict.fromkeys(names, "")},  # no helper: `auths`
    }
    with os.fdopen(os.open(folder / _FILE, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        json.dump(document, file)
    return {"DOCKER_CONFIG": str(folder)}


def _all_given(text: str) -> dict[str, Credentials]:
    """Return the logins in the variable by registry; leave damaged entries out."""
    found = dict[str, Credentials]()
    with suppress(ValueError, AttributeError):
        for name in jsontext.read(text or "{}", _CONFIG).get("auths") or {}:
            with suppress(UsageError):
                if login := _credentials(_resolved(_given(text, name), name) or {}):
                    found[name] = login
    return found


def _entry(login: Credentials) -> dict[str, str]:
    """Return a login in the form that `docker login` writes."""
    if login.identity_token:
        return {"identitytoken": login.identity_token}
    return {"auth": _encoded(login.user, login.password)}


def _encoded(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def _given(text: str, host: str) -> AuthConfig:
    """Return the login of a host in the variable. Raise UsageError; the message quotes nothing.

    Raise UsageError without a quote of the text, which may be a secret.
    """
    try:
        return _of(host, jsontext.read(text or "{}", _CONFIG))
    except (DockerException, ValueError, AttributeError, TypeError):
        raise UsageError(
            f"read the credentials for {host}",
            f"{VARIABLE} does not hold a config.json",
            'set it to the text of a config.json: {"auths": {"HOST": {"auth": "base64 of user:password"}}}',
        ) from None


def _kept(host: str) -> AuthConfig:
    file = find_config_file()
    document = _document(Path(str(file))) if file is not None else {}
    try:
        return _of(host, document) if document is not None else load_config()
    except (DockerException, ValueError, AttributeError, TypeError) as error:
        raise UsageError(
            f"read the credentials for {host}",
            f"Docker's config.json is damaged: {error}",
            f"docker login {host}",
        ) from error


def _document(file: Path) -> Any:
    """Return a file's JSON; None if the file cannot be read, or has another format."""
    with suppress(OSError, ValueError):
        return jsontext.read(read_regular(file, CREDENTIALS), _CONFIG)
    return None


def _of(host: str, document: Any) -> AuthConfig:
    """Return the entry of a host; damaged entries of other hosts are ignored."""
    if not document:
        return AuthConfig({})
    logins = {
        name: _with_auth(entry)
        for name, entry in (document.get("auths") or {}).items()
        if resolve_index_name(name) == resolve_index_name(host)
    }
    return AuthConfig.load_config(None, document | {"auths": logins})


def _with_auth(entry: Any) -> Any:
    """Return the entry with `auth` from user and password: `docker` reads both forms, docker-py one."""
    if not isinstance(entry, dict) or entry.get("auth") or not entry.get("username"):
        return entry
    return entry | {"auth": _encoded(entry["username"], entry.get("password") or "")}


def _resolved(config: AuthConfig, host: str) -> Mapping[str, Any] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # docker-py warns of a missing helper; the fallback is the answer
        try:
            return cast("Mapping[str, Any] | None", config.resolve_authconfig(host))
        except (DockerException, StoreError, OSError, ValueError, KeyError):
            return cast(
                "Mapping[str, Any] | None", AuthConfig({"auths": config.auths}).resolve_authconfig(host)
            )


def _credentials(entry: Mapping[str, Any]) -> Credentials | None:
    """Return the credentials in an entry of a file (lower case) or a helper (camel case)."""
    known = {key.lower(): value for key, value in entry.items() if value}
    found = Credentials(
        user=known.get("username", ""),
        password=known.get("password", ""),
        identity_token=known.get("identitytoken", ""),
    )
    return None if found == Credentials() else found
