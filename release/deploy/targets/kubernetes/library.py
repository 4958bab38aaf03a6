"""The client library is an optional dependency: it is asked for only when a cluster is."""

from __future__ import annotations

from importlib.util import find_spec

from release.errors import UsageError


def require_library(attempted: str) -> None:
    """Raise UsageError if the client library is not installed."""
    if find_spec("lightkube") is None:
        raise UsageError(
            attempted,
            "the Kubernetes client library lightkube is not installed",
            "install it: `pip install 'nox-release[kubernetes]'`, or add the extra to your development group",
        )
