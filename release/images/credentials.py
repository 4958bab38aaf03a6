"""What is known of a registry's users. Read here for the engine's transfers and our own requests."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from docker.auth import AuthConfig, load_config
from docker.credentials.errors import StoreError
from docker.errors import DockerException

from release.errors import UsageError

VARIABLE: Final = "DOCKER_AUTH_CONFIG"
"""Holds the text of a config.json, as CI systems give it to a job."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What Docker knows for a registry: a user and a password, or an identity token (never shown)."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


def credentials(host: str, environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """What is known for a registry's host: in DOCKER_AUTH_CONFIG, else in config.json, a store or a helper.

    A helper that is missing or broken counts as one that knows nothing, as it does for `docker` itself.

    Raises:
        UsageError: one of the two is damaged. The message holds nothing of what it says.
    """
    given = _given(environ.get(VARIABLE, ""), host)
    return _credentials(_resolved(given, host) or {}) or _credentials(_resolved(_kept(host), host) or {})


def _given(text: str, host: str) -> AuthConfig:
    """The variable's text may be a secret from its first character on: an error must not quote it."""
    try:
        document = json.loads(text or "{}")
        return AuthConfig.load_config(None, document) if document else AuthConfig({})
    except (DockerException, ValueError, AttributeError, TypeError):
        raise UsageError(
            f"read the credentials for {host}",
            f"{VARIABLE} does not hold a config.json",
            'give it the text of one: {"auths": {"HOST": {"auth": "base64 of user:password"}}}',
        ) from None


def _kept(host: str) -> AuthConfig:
    try:
        return load_config()
    except (DockerException, ValueError) as error:
        raise UsageError(
            f"read the credentials for {host}",
            f"Docker's config.json is damaged: {error}",
            f"docker login {host}",
        ) from error


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
    """docker-py writes the keys in lower case out of a file and in camel case out of a helper."""
    known = {key.lower(): value for key, value in entry.items() if value}
    found = Credentials(
        user=known.get("username", ""),
        password=known.get("password", ""),
        identity_token=known.get("identitytoken", ""),
    )
    return None if found == Credentials() else found
