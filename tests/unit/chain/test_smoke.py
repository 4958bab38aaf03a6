"""The container of the smoke run is as tight as production should be."""

from __future__ import annotations

from release.chain.smoke import container_spec
from release.config import Smoke
from release.reference import Digest

IMAGE = Digest("sha256:" + "1" * 64)


def test_the_container_has_limits_and_no_privileges() -> None:
    """Read-only root, no capabilities, memory and processes limited, one free port of loopback."""
    spec = container_spec(
        IMAGE, Smoke.model_validate({"port": 8000, "memory": "256m"}), {"release.role": "smoke"}
    )
    assert (spec.read_only, spec.cap_drop, spec.no_new_privileges) == (True, ("ALL",), True)
    assert (spec.memory, spec.pids, spec.tmpfs) == (256 * 1024**2, 256, ("/tmp",))
    assert (spec.publish, spec.publish_ephemeral) == ((), (8000,))


def test_the_image_is_named_by_what_was_built_never_by_a_tag() -> None:
    """The id in the store is the identity."""
    assert container_spec(IMAGE, Smoke(port=8000), {}).image == IMAGE
