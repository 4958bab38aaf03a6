"""A namespace of a cluster keeps the contract of a target."""

from __future__ import annotations

from tests.contract import TargetContract


class TestKubernetesTarget(TargetContract):
    """The row of the strict cluster of the tests: two pods."""
