"""Trusted certificates of a registry: those of the engine, and those in the configuration.

Source: Docker's documentation, "Verify repository client with certificates": the system's authorities, and
beside them those in `/etc/docker/certs.d/<host>[:<port>]/*.crt`.
"""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from release.errors import UsageError
from release.images import http_limits

ENGINE_FOLDER: Final = Path("/etc/docker/certs.d")
"""Folder with certificates that an engine on the same machine reads."""

VARIABLE: Final = "RELEASE_REGISTRY_CA"
"""Variable with the path of a PEM file of certificates for every registry, as set by a CI system."""

_given: dict[str, Path] = {}


def trust_certificates(host: str, file: Path) -> None:
    """Trust these certificates for all later connections of this process to a registry.

    The setting is global, because a parameter would have to pass through every request to a registry.

    Args:
        host: the registry, with its port.
        file: certificates in PEM.
    """
    _given[host] = file


def engine_certificate_folder(host: str) -> Path:
    """Return the folder in which an engine looks for certificates of this registry."""
    return ENGINE_FOLDER / host


def engine_tls_context(host: str) -> ssl.SSLContext:
    """Return TLS settings with the certificates that an engine on this machine trusts."""
    made = ssl.create_default_context()
    for file in sorted(engine_certificate_folder(host).glob("*.crt")):
        with suppress(OSError):  # ssl.SSLError is one: the engine passes over such a file too
            made.load_verify_locations(file)
    return made


def registry_tls_context(host: str) -> ssl.SSLContext:
    """Return TLS settings that also trust the configured certificates. Raise UsageError."""
    made, named = engine_tls_context(host), os.environ.get(VARIABLE)
    for file in (_given.get(host), Path(named) if named else None):
        if file is not None:
            _add(made, file)
    return made


def _add(made: ssl.SSLContext, file: Path) -> None:
    try:
        made.load_verify_locations(file)
    except OSError as error:
        found = "it holds no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise UsageError(
            f"read the registry's authority {file}",
            str(found),
            f"correct `registry_ca` (or {VARIABLE})",
        ) from error


class Adapter(http_limits.Adapter):
    """Adapter of requests that uses the given TLS settings instead of a bundle of requests."""

    def __init__(self, settings: ssl.SSLContext) -> None:
        """Open no connection yet."""
        self._settings = settings
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create connections to the registry."""
        super().init_poolmanager(*args, ssl_context=self._settings, **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Create connections through a proxy."""
        return super().proxy_manager_for(proxy, ssl_context=self._settings, **kwargs)
