"""Access to a cluster: a context of a kubeconfig, or the service account of the pod that runs the command.

Source: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/: with several
files in KUBECONFIG, the first one that has a name wins, and a relative path is relative to its own file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from lightkube.config.kubeconfig import SERVICE_ACCOUNT, KubeConfig, SingleConfig
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError

from release.config.kubernetes import Kubernetes
from release.errors import UsageError
from release.values import Struct

_DEFAULT: Final = "~/.kube/config"
_LARGEST: Final = 4 * 1024 * 1024
_PATHS: Final = {
    "clusters": ("cluster", ("certificate-authority",)),
    "users": ("user", ("client-certificate", "client-key", "tokenFile")),
}
"""Lists of a kubeconfig with the key of their entries, and which of its values are paths."""
_HINT: Final = "`kubectl config get-contexts` lists the contexts; set `kubernetes.context` to one of them"


class Plugin(Struct, frozen=True, kw_only=True):
    """A program that returns credentials (client.authentication.k8s.io)."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    version: str
    """The API version that it is asked in."""
    cluster: Mapping[str, Any]
    """Address and authority of the cluster; empty if the program does not want them."""
    hint: str = ""
    """Words of the kubeconfig on how to install it."""


class Access(Struct, frozen=True, kw_only=True):
    """Address of a cluster, credentials, and namespace."""

    config: SingleConfig
    namespace: str
    plugin: Plugin | None = None
    options: tuple[str, ...] = ()
    """Options of kubectl for the same access."""

    def __str__(self) -> str:
        """Return the access as text: address and namespace."""
        return f"{self.config.cluster.server} namespace {self.namespace}"


def read_access(table: Kubernetes, environ: Mapping[str, str]) -> Access:
    """Return the access of an environment, without a request to the cluster. Raises UsageError."""
    attempted = f"read the access to the cluster (context {table.context or 'current'})"
    files = _files(table, environ)
    try:
        if not files and table.context is None and Path(SERVICE_ACCOUNT, "token").is_file():
            return _access(KubeConfig.from_service_account(SERVICE_ACCOUNT).get(), table, {})
        if not files:
            raise UsageError(attempted, f"no kubeconfig: {table.kubeconfig or _DEFAULT} is missing", _HINT)
        document = _merged(files, attempted)
        config = KubeConfig.from_dict(_without_plugins(document)).get(table.context)
    except (ConfigError, KeyError, TypeError, AttributeError, ValueError) as error:
        words = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(attempted, f"{', '.join(map(str, files))}: {words}", _HINT) from error
    return _access(config, table, document)


def _access(config: SingleConfig | None, table: Kubernetes, document: Mapping[str, Any]) -> Access:
    if config is None:
        raise ConfigError("the context is empty")
    if config.user is None:
        config = config._replace(user=User())
    users = {each["name"]: each.get("user") or {} for each in document.get("users") or ()}
    asked = users.get(config.context.user or "", {}).get("exec")
    return Access(
        config=config,
        namespace=table.namespace or config.namespace,
        plugin=_plugin(asked, config) if asked else None,
        options=_options(table),
    )


def _options(table: Kubernetes) -> tuple[str, ...]:
    given = {"--kubeconfig": table.kubeconfig, "--context": table.context}
    return tuple(f"{name}={value}" for name, value in given.items() if value is not None)


def _plugin(asked: Mapping[str, Any], config: SingleConfig) -> Plugin:
    cluster = {"server": config.cluster.server, "insecure-skip-tls-verify": config.cluster.insecure}
    if config.cluster.certificate_auth_data:
        cluster["certificate-authority-data"] = config.cluster.certificate_auth_data
    return Plugin(
        argv=(str(asked["command"]), *map(str, asked.get("args") or ())),
        env={str(each["name"]): str(each["value"]) for each in asked.get("env") or ()},
        version=str(asked["apiVersion"]),
        cluster=cluster if asked.get("provideClusterInfo") else {},
        hint=str(asked.get("installHint") or ""),
    )


def _files(table: Kubernetes, environ: Mapping[str, str]) -> list[Path]:
    """Return the existing files. As in kubectl, a missing one of several is no error."""
    given = table.kubeconfig or environ.get("KUBECONFIG") or _DEFAULT
    names = [table.kubeconfig] if table.kubeconfig else given.split(os.pathsep)
    return [path for name in names if name and (path := Path(name).expanduser()).is_file()]


def _merged(files: Iterable[Path], attempted: str) -> dict[str, Any]:
    """Return one kubeconfig: the first entry of each name, with absolute paths."""
    found: dict[str, Any] = {"clusters": [], "contexts": [], "users": []}
    for path in files:
        document = _document(path, attempted)
        found.setdefault("current-context", document.get("current-context") or None)
        if found["current-context"] is None:
            del found["current-context"]
        for key in ("clusters", "contexts", "users"):
            known = {each["name"] for each in found[key]}
            found[key] += [
                _absolute(key, each, path) for each in document.get(key) or () if each["name"] not in known
            ]
    return found


def _document(path: Path, attempted: str) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(attempted, f"{path} has more than {_LARGEST} bytes, so it is not a kubeconfig")
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(attempted, f"{path}: {error}", _HINT) from error
    if not isinstance(document, dict):
        raise UsageError(attempted, f"{path} is not a kubeconfig", _HINT)
    return document


def _absolute(kind: str, entry: Mapping[str, Any], path: Path) -> dict[str, Any]:
    if kind not in _PATHS:
        return dict(entry)
    key, names = _PATHS[kind]
    inner = dict(entry.get(key) or {})
    for name in names:
        if inner.get(name):
            inner[name] = str(path.absolute().parent / inner[name])
    return {**entry, key: inner}


def _without_plugins(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the kubeconfig without `exec`, because the module `transport` runs the plugins."""
    users = [
        {**each, "user": {name: value for name, value in (each.get("user") or {}).items() if name != "exec"}}
        for each in document["users"]
    ]
    return {**document, "users": users}
