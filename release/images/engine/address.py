"""Address of the engine: given by the caller, or the one that the `docker` command would use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import requests
from docker.context import ContextAPI
from docker.context.config import get_current_context_name, get_tls_dir
from docker.errors import DockerException
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env, parse_host

from release.errors import EngineUnreachable, UsageError
from release.images import connection_failures, ssh
from release.values import Struct

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"


class Address(Struct, frozen=True, kw_only=True):
    """Address of an engine, its source, and its TLS settings."""

    host: str
    origin: str
    tls: TLSConfig | None = None
    certificates: Path | None = None

    @property
    def is_ssh(self) -> bool:
        """Return whether the engine is reached by an `ssh` program instead of a socket."""
        return self.host.startswith("ssh://")

    def __str__(self) -> str:
        """Return the address and the setting that it comes from."""
        return f"{self.host} ({self.origin})" if self.origin else self.host


def find_address(host: str | None, context: str | None, environment: Mapping[str, str]) -> Address:
    """Return the engine's address: of host, context, DOCKER_HOST, DOCKER_CONTEXT or Docker's settings."""
    if host and context:
        raise UsageError(
            "choose an engine",
            f"both the host {host} and the context {context} are given",
            "give only one of them",
        )
    if host:
        return _given(host, "", environment)
    if context:
        return _of_context(context, "", environment)
    if environment.get("DOCKER_HOST"):
        return _given(environment["DOCKER_HOST"], "from DOCKER_HOST", environment)
    if environment.get("DOCKER_CONTEXT"):
        return _of_context(environment["DOCKER_CONTEXT"], "from DOCKER_CONTEXT", environment)
    return _of_context(get_current_context_name(), "the current Docker context", environment)


def _given(host: str, origin: str, environment: Mapping[str, str]) -> Address:
    """Return the address of a host; DOCKER_TLS_VERIFY and DOCKER_CERT_PATH choose its TLS settings."""
    attempted = f"reach the Docker engine at {host}"
    try:
        parse_host(host)
        tls = kwargs_from_env(dict(environment)).get("tls") if host.startswith("tcp://") else None
    except DockerException as error:
        raise UsageError(
            attempted, str(error), "write it as unix:///path, tcp://host:port or ssh://user@host"
        ) from error
    folder = environment.get("DOCKER_CERT_PATH") or str(Path.home() / ".docker")
    return Address(host=host, origin=origin, tls=tls, certificates=Path(folder) if tls else None)


def _of_context(name: str, origin: str, environment: Mapping[str, str]) -> Address:
    said = f"context {name!r}" + (f" {origin}" if origin.startswith("from") else "")
    if name == "default":
        return _given(environment.get("DOCKER_HOST") or DEFAULT_HOST, "", environment)
    found = _load_context(name, f"use the Docker {said}")
    tls = found.TLSConfig
    folder = Path(get_tls_dir(name, "docker")) if tls else None
    return Address(host=str(found.Host or DEFAULT_HOST), origin=said, tls=tls, certificates=folder)


def _load_context(name: str, attempted: str) -> Any:
    try:
        found = ContextAPI.get_context(name)
    except Exception as error:  # docker-py raises a plain Exception for a damaged context
        raise UsageError(attempted, f"it is damaged: {error}", f"docker context inspect {name}") from error
    if found is None:
        raise UsageError(attempted, "there is no such context", "list the contexts: docker context ls")
    return found


def unreachable_error(address: Address, error: BaseException) -> EngineUnreachable:
    """Return the error for an engine that does not answer at this address."""
    attempted = f"reach the Docker engine at {address}"
    return EngineUnreachable(
        attempted, connection_failures.failure_text(error), connection_hint(address, error)
    )


def connection_hint(address: Address, error: BaseException) -> str:
    """Return the next step for a failed connection to an engine, by the kind of the failure."""
    if connection_failures.find_cause(error, PermissionError):
        return "join the group `docker` (`sudo usermod -aG docker $USER`) and log in again"
    if connection_failures.find_cause(error, requests.exceptions.SSLError):
        return "check DOCKER_CERT_PATH, or the certificates of the Docker context"
    if address.is_ssh:
        command = ssh.ssh_command(address.host)
        return f"run `{command}` to see its message; Docker's command must be installed there"
    other = "or use another engine (DOCKER_HOST, a Docker context)"
    return f"start Docker there (`systemctl status docker` shows why it is down), {other}"
