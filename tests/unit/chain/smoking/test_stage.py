"""The container of the smoke run is as tight as production should be."""

from __future__ import annotations

from release.chain.smoking.stage import smoke_container_spec
from release.config import Smoke
from release.images.container_spec import container_config
from release.reference import Digest

IMAGE = Digest("sha256:" + "1" * 64)


def test_the_container_has_limits_and_no_privileges() -> None:
    """Read-only root, no capabilities, memory and processes limited, one free port of loopback."""
    spec = smoke_container_spec(
        IMAGE, Smoke.model_validate({"port": 8000, "memory": "256m"}), {}, host="unix:///x"
    )
    assert (spec.read_only, spec.cap_drop, spec.no_new_privileges) == (True, ("ALL",), True)
    assert (spec.memory, spec.pids, spec.tmpfs) == (256 * 1024**2, 256, ("/tmp",))
    assert (spec.publish, spec.publish_ephemeral) == ((), (8000,))


def test_the_image_is_named_by_what_was_built_never_by_a_tag() -> None:
    """The id in the store is the identity."""
    assert smoke_container_spec(IMAGE, Smoke(port=8000), {}, host="unix:///x").image == IMAGE


def test_the_port_of_an_engine_elsewhere_can_be_asked() -> None:
    """On another machine the port is published on every address; here on loopback alone."""
    addresses = [
        smoke_container_spec(IMAGE, Smoke(port=8000), {}, host=host).ephemeral_address
        for host in ("unix:///x", "tcp://docker:2376")
    ]
    assert addresses == ["127.0.0.1", "0.0.0.0"]  # noqa: S104 - nothing is bound


def test_the_tests_have_the_right_of_way() -> None:
    """They are waited for longer; and the engine runs no health check beside a service that is asked here."""
    spec = smoke_container_spec(IMAGE, Smoke(port=8000), {}, host="unix:///x")
    config = container_config(spec)
    assert config["HostConfig"]["CpuShares"] < 1024
    assert config["Healthcheck"] == {"Test": ["NONE"]}
