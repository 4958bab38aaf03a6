"""How a container differs from what was recorded, one setting at a time, and without telling secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from release.deploy.core.fingerprints import KEY_VARIABLE, FingerprintKey
from release.deploy.targets.engine.drift import settings_drift
from release.images.container_spec import ContainerSpec, container_config
from release.runspec import RunSpec
from release.secrets.redact import Redacted
from tests.unit.deploy.fakes import digest

KEY = FingerprintKey.load(Path(), {KEY_VARIABLE: "a key of the team"})
SPEC = RunSpec.model_validate(
    {
        "command": ["serve"],
        "env": {"LEVEL": "info"},
        "secrets": {"TOKEN": KEY.fingerprint("TOKEN", Redacted("swordfish"))},
        "publish": ["127.0.0.1:8080:8000", "[::1]:53:5353/udp"],
        "networks": ["back", "front"],
        "volumes": ["data:/data", "/etc/ssl:/etc/ssl:ro"],
        "memory": 256 * 1024**2,
        "cpus": 500,
        "pids": 64,
        "user": "10001",
        "read_only": True,
        "tmpfs": ["/tmp"],
        "cap_add": ["NET_BIND_SERVICE"],
        "cap_drop": ["ALL"],
        "labels": {"team": "core"},
    }
)


def made(spec: RunSpec = SPEC, **environ: str) -> dict[str, Any]:
    """A container as the engine describes it when it was made from these settings."""
    names = set(ContainerSpec.__struct_fields__) & RunSpec.model_fields.keys() - {"files"}
    values: dict[str, Any] = {name: getattr(spec, name) for name in names}
    values["env"] = {"PATH": "/bin", **spec.env, "TOKEN": "swordfish", **environ}
    config = container_config(ContainerSpec(image=digest("image"), **values))
    host = config.pop("HostConfig")
    networks: dict[str, Any] = {name: {} for name in spec.networks} or {"bridge": {}}
    return {"Config": config, "HostConfig": host, "NetworkSettings": {"Networks": networks}}


def drift(about: dict[str, Any], spec: RunSpec = SPEC) -> dict[str, str]:
    return dict(settings_drift(about, spec, KEY))


def test_a_container_that_was_made_from_the_settings_does_not_differ() -> None:
    """Every one of them, and none at all: what settings leave open is the image's."""
    assert drift(made()) == {}
    assert drift(made(RunSpec()), RunSpec()) == {}


@pytest.mark.parametrize(
    ("change", "name", "found"),
    [
        ({"Entrypoint": ["sh"]}, "entrypoint", "sh, but serve is recorded"),
        ({"Cmd": ["--debug"]}, "command", "--debug, but none is recorded"),
    ],
)
def test_a_command_in_the_place_of_the_entrypoint_is_compared_there(
    change: dict[str, Any], name: str, found: str
) -> None:
    """With nothing behind it."""
    spec = SPEC.model_copy(update={"entrypoint": "replace"})
    about = made(spec)
    assert drift(about, spec) == {}
    about["Config"] |= change
    assert drift(about, spec) == {name: found}


@pytest.mark.parametrize(
    ("part", "key", "value", "name", "found"),
    [
        ("HostConfig", "Memory", 512 * 1024**2, "memory", "512m, but 256m is recorded"),
        ("HostConfig", "Memory", 0, "memory", "no limit, but 256m is recorded"),
        ("HostConfig", "NanoCpus", 2_000_000_000, "cpus", "2.0, but 0.5 is recorded"),
        ("HostConfig", "PidsLimit", None, "pids", "no limit, but 64 is recorded"),
        ("HostConfig", "RestartPolicy", {"Name": "no"}, "restart", "no, but unless-stopped is recorded"),
        ("HostConfig", "ReadonlyRootfs", False, "read_only", "False, but True is recorded"),
        ("HostConfig", "CapDrop", [], "cap_drop", "none, but ALL is recorded"),
        ("HostConfig", "Mounts", [], "volumes", "none, but /etc/ssl:/etc/ssl:ro, data:/data is recorded"),
        ("Config", "Cmd", ["sh"], "command", "sh, but serve is recorded"),
        ("Config", "User", "", "user", ", but 10001 is recorded"),
        ("Config", "Labels", {}, "labels.team", "is missing, but core is recorded"),
        ("NetworkSettings", "Networks", {"back": {}}, "networks", "back, but back, front is recorded"),
    ],
)
def test_each_setting_that_is_otherwise_is_told(
    part: str, key: str, value: Any, name: str, found: str
) -> None:
    """What is so, and what should be."""
    about = made()
    about[part][key] = value
    assert drift(about) == {name: found}


def test_an_engine_may_write_capabilities_with_their_prefix() -> None:
    """That is no difference."""
    about = made()
    about["HostConfig"]["CapAdd"] = ["CAP_NET_BIND_SERVICE"]
    assert drift(about) == {}


def test_an_ipv6_address_and_a_udp_port_are_read_back() -> None:
    """As they are written in the configuration."""
    about = made()
    del about["HostConfig"]["PortBindings"]["5353/udp"]
    assert drift(about)["publish"] == (
        "127.0.0.1:8080:8000, but 127.0.0.1:8080:8000, [::1]:53:5353/udp is recorded"
    )


def test_a_plain_value_is_told_and_a_secret_is_not() -> None:
    """Of a secret only that it is another one."""
    found = drift(made(LEVEL="debug", TOKEN="tuna"))
    assert found == {
        "env.LEVEL": "is 'debug', but 'info' is recorded",
        "secrets.TOKEN": "is not the value that was recorded",
    }


def test_fingerprints_of_another_key_tell_nothing() -> None:
    """A machine without the team's key cannot compare, and says nothing of secrets."""
    other = FingerprintKey.load(Path(), {KEY_VARIABLE: "another key"})
    assert list(settings_drift(made(TOKEN="tuna"), SPEC, other)) == []
    assert list(settings_drift(made(TOKEN="tuna"), SPEC, None)) == []
