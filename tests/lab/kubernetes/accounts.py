"""Accounts of a namespace with exactly the permissions that a test gives them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from release.deploy.targets.kubernetes.role import role
from tests.lab.kubernetes.world import ClusterWorld

ACCOUNT: Final = "deployer"


def account(world: ClusterWorld, permissions: Iterable[tuple[str, str, str]]) -> str:
    """Make an account with exactly these permissions in the namespace; a token of it."""
    world.kubectl("create", "serviceaccount", ACCOUNT)
    grant(world, permissions)
    name = f"--serviceaccount={world.namespace}:{ACCOUNT}"
    world.kubectl("create", "rolebinding", ACCOUNT, "--role=release", name)
    return world.kubectl("create", "token", ACCOUNT).strip()


def grant(world: ClusterWorld, permissions: Iterable[tuple[str, str, str]]) -> None:
    world.kubectl("apply", "--filename", "-", given=role(permissions))
