"""Client of a registry (OCI Distribution API): read back what was pushed, promote images, add artifacts.

Source: OCI Distribution Specification 1.1; tokens: Distribution's "Token Authentication Specification" and
its "OAuth2 Token Authentication". Uploads of layers are the engine's work, not ours.

Repeatable requests are repeated a few times after a broken connection, a 429 or a 5xx, and each retry is
reported. A broken download continues at its last byte. All other answers are final; so is a 429 or 5xx that
asks for a long wait, as for a used-up quota.
"""

from __future__ import annotations

from release.images.registry.address import is_loopback
from release.images.registry.client import Registry
from release.images.registry.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Blob,
    Manifest,
)
from release.images.registry.retry import CALM, PRESSED, Pace

__all__ = [
    "CALM",
    "DOCKER_LIST",
    "DOCKER_MANIFEST",
    "OCI_INDEX",
    "OCI_MANIFEST",
    "PRESSED",
    "Blob",
    "Manifest",
    "Pace",
    "Registry",
    "is_loopback",
]
