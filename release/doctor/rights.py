"""Check that the login may push and pull images, with a temporary tag."""

from __future__ import annotations

from contextlib import closing

from release.images.registry import PRESSED, Registry
from release.images.registry.push_check import TAG
from release.reference import Repository


def check_registry_rights(repository: Repository) -> str:
    """Push a scratch tag, pull it and remove it. Raise RegistryError if we may not push or pull."""
    with closing(Registry(repository, pace=PRESSED)) as registry:
        is_removed = registry.prove_rights()
    stays = "" if is_removed else f"; the registry deletes nothing, so the tag {TAG} stays (2 bytes)"
    return f"pushed and pulled {repository}:{TAG}{stays}"
