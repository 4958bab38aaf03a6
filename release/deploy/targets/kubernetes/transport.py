"""Requests to the API server: credentials of a plugin are added, and the server's clock is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2
from lightkube.config.client_adapter import verify_cluster

from release.deploy.targets.kubernetes.access import Access, Plugin
from release.errors import CommandFailed, EngineError, EngineUnreachable
from release.parsing import jsontext
from release.programs.environment import EVERYTHING
from release.programs.process import Command, run

_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_UNAUTHORIZED: Final = 401
_LARGEST: Final = 64 * 1024 * 1024
"""Bytes of an answer: a list of some thousand pods."""
_BOUNDS: Final = jsontext.Bounds(size=1024 * 1024)


class ClusterTransport(httpx2.BaseTransport):
    """HTTP transport that trusts the cluster's CA and sends the credentials of the kubeconfig's plugin."""

    def __init__(self, access: Access, inner: httpx2.BaseTransport | None = None) -> None:
        """Prepare the transport without a connection."""
        config = access.config
        if inner is None:
            assert config.user is not None  # noqa: S101 - `read_access` sets one
            is_safe = config.cluster.server.startswith("https:")
            verify = verify_cluster(config.cluster, config.user, config.abs_file) if is_safe else False
            inner = httpx2.HTTPTransport(verify=verify, retries=0)
        self._inner = inner
        self._plugin = access.plugin
        self._token = ""
        self.clock_ahead = 0
        """Milliseconds that the server's clock is ahead of this machine's, to a second."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request. If a plugin's token is refused, get a new one once."""
        if self._plugin is None:
            return self._sent(request)
        is_fresh = not self._token
        self._token = self._token or token_of(self._plugin)
        request.headers["Authorization"] = f"Bearer {self._token}"
        response = self._sent(request)
        if response.status_code == _UNAUTHORIZED and not is_fresh:
            response.close()
            self._token = token_of(self._plugin)
            request.headers["Authorization"] = f"Bearer {self._token}"
            response = self._sent(request)
        return response

    def _sent(self, request: httpx2.Request) -> httpx2.Response:
        response = self._inner.handle_request(request)
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = _Limited(response.stream)
        try:
            told = parsedate_to_datetime(response.headers.get("Date", ""))
        except ValueError:
            return response
        self.clock_ahead = round((told - datetime.now(UTC)).total_seconds()) * 1000
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class _Limited(httpx2.SyncByteStream):
    """A response body of at most `_LARGEST` bytes."""

    def __init__(self, stream: httpx2.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        come = 0
        for part in self._stream:
            come += len(part)
            if come > _LARGEST:
                raise EngineError("read an answer of the API server", f"it has more than {_LARGEST} bytes")
            yield part

    def close(self) -> None:
        self._stream.close()


def token_of(plugin: Plugin) -> str:
    """Run the plugin and return its token. Raises EngineError, EngineUnreachable.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
    """
    attempted = f"run the credential plugin {plugin.argv[0]}"
    if plugin.version not in _VERSIONS:
        raise EngineError(attempted, f"it speaks {plugin.version}, not {' or '.join(_VERSIONS)}", plugin.hint)
    asked = {
        "apiVersion": plugin.version,
        "kind": "ExecCredential",
        "spec": {"interactive": False, **({"cluster": plugin.cluster} if plugin.cluster else {})},
    }
    env = {**plugin.env, "KUBERNETES_EXEC_INFO": json.dumps(asked)}
    said = list[str]()
    try:
        done = run(Command(argv=plugin.argv, env=env, inherits=EVERYTHING), apart=said)
    except CommandFailed as error:
        raise EngineUnreachable(attempted, "; ".join([error.found, *said[-3:]]), plugin.hint) from error
    try:
        status = jsontext.read_object(done.output, _BOUNDS).get("status") or {}
        token = status.get("token")
    except ValueError as error:
        raise EngineError(attempted, f"it printed no JSON: {error}", plugin.hint) from error
    if not token:
        raise EngineError(
            attempted, "it returned no token; client certificates of plugins are not supported", plugin.hint
        )
    return str(token)
