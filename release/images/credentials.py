"""What `docker login` left for a registry. Read here for the engine's transfers and our own requests."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from docker.auth import AuthConfig, load_config
from docker.credentials.errors import StoreError
from docker.errors import DockerException

from release.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What Docker knows for a registry: a user and a password, or an identity token (never shown)."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


def credentials(host: str) -> Credentials | None:
    """What `docker login` has left for a registry's host: config.json, its credsStore and credHelpers.

    A helper that is missing or broken counts as one that knows nothing, as it does for `docker` itself.
    """
    try:
        config = load_config()
    except (DockerException, ValueError) as error:
        raise UsageError(
            f"read the credentials for {host}",
            f"Docker's config.json is damaged: {error}",
            f"docker login {host}",
        ) from error
    return _credentials(_resolved(config, host) or {})


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
