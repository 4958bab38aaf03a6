"""A real API server keeps what the tests' own one promises."""

from __future__ import annotations

from tests.cluster.contract import ApiContract


class TestRealServer(ApiContract):
    """The row of the cluster that KUBECONFIG names."""
