"""Settings of a container that another program started, read from the engine's answer."""

from __future__ import annotations

from typing import Any

import pytest

from release.deploy.targets.engine.container_settings import read_container
from release.runspec import Healthcheck, RunSpec
from release.scalars import size_text

IMAGE: dict[str, Any] = {
    "Env": ["PATH=/bin", "LANG=C.UTF-8"],
    "Cmd": ["serve"],
    "Entrypoint": ["/entry"],
    "User": "1000",
    "WorkingDir": "/srv",
    "Labels": {"vendor": "acme"},
    "StopSignal": "SIGQUIT",
    "Healthcheck": {"Test": ["CMD", "well"]},
}


def container(config: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **more: Any) -> Any:
    """A container of the image, as Engine 26 describes one that was started without options."""
    usual = {
        "NetworkMode": "default",
        "PortBindings": {},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "LogConfig": {"Type": "json-file", "Config": {}},
        "ShmSize": 67108864,
        "IpcMode": "private",
        "CgroupnsMode": "host",
        "Runtime": "runc",
        "Memory": 0,
        "MaskedPaths": ["/proc/acpi"],
        "ConsoleSize": [0, 0],
    }
    return {
        "Id": "0123456789ab" + "0" * 52,
        "Name": "/web",
        "Config": {**IMAGE, "Hostname": "0123456789ab", **(config or {})},
        "HostConfig": {**usual, **(host or {})},
        "Mounts": [],
        "NetworkSettings": {"Networks": {"bridge": {}}},
        **more,
    }


def test_a_container_without_options_has_the_settings_of_its_image() -> None:
    """Nothing is repeated that the image gives."""
    found = read_container(container(), IMAGE)
    assert found.spec == RunSpec(restart="no")
    assert (found.unexpressed, found.dropped) == ({}, {})


def test_each_setting_has_its_place() -> None:
    """Units are those of a record: bytes, milliseconds, thousandths of a processor."""
    about = container(
        {
            "Env": ["PATH=/bin", "LANG=C", "COLOUR=blue=green"],
            "Cmd": ["serve", "--fast"],
            "User": "0",
            "Labels": {"vendor": "acme", "team": "core"},
            "StopTimeout": 20,
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000, "Retries": 2},
        },
        {
            "PortBindings": {
                "8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
                "53/udp": [{"HostIp": "", "HostPort": "53"}],
            },
            "NetworkMode": "shop",
            "Memory": 1 << 28,
            "MemorySwap": 1 << 29,
            "NanoCpus": 1_500_000_000,
            "PidsLimit": 100,
            "ReadonlyRootfs": True,
            "Tmpfs": {"/tmp": "size=64m"},
            "CapAdd": ["CAP_NET_ADMIN"],
            "CapDrop": ["ALL"],
            "RestartPolicy": {"Name": "always"},
            "Init": True,
            "LogConfig": {"Type": "local", "Config": {"max-size": "10m"}},
        },
        Mounts=[
            {"Type": "volume", "Name": "data", "Source": "/x", "Destination": "/data", "RW": True},
            {"Type": "bind", "Source": "/etc/app", "Destination": "/app", "RW": False, "Mode": "ro"},
        ],
        NetworkSettings={"Networks": {"other": {}, "shop": {"Aliases": ["web", "0123456789ab"]}}},
    )
    found = read_container(about, IMAGE)
    spec = found.spec
    assert spec.env == {"LANG": "C", "COLOUR": "blue=green"}
    assert (spec.command, spec.entrypoint, spec.user) == (("serve", "--fast"), None, "0")
    assert [str(port) for port in spec.publish] == ["127.0.0.1:8080:8000", "0.0.0.0:53:53/udp"]
    assert spec.networks == ("shop", "other")
    assert [str(mount) for mount in spec.volumes] == ["/etc/app:/app:ro", "data:/data"]
    assert (size_text(spec.memory or 0), spec.cpus, spec.pids) == ("256m", 1500, 100)
    assert (spec.read_only, spec.tmpfs, spec.tmpfs_options) == (True, ("/tmp",), {"/tmp": "size=64m"})
    assert (spec.cap_add, spec.cap_drop) == (("CAP_NET_ADMIN",), ("ALL",))
    assert (spec.restart, spec.stop_grace, spec.init) == ("always", 20_000, True)
    assert (spec.log_driver, spec.log_options) == ("local", {"max-size": "10m"})
    assert spec.labels == {"team": "core"}
    assert spec.healthcheck == Healthcheck(command=("/bin/sh", "-c", "true"), interval=5000, retries=2)
    assert list(found.dropped) == ["memory-swap"]
    assert found.unexpressed == {}


def test_another_entrypoint_is_recorded_with_its_words() -> None:
    """As `--entrypoint` does, which also drops the image's command."""
    found = read_container(container({"Entrypoint": ["python"], "Cmd": ["-m", "app"]}), IMAGE)
    assert (found.spec.command, found.spec.entrypoint) == (("python", "-m", "app"), "replace")


@pytest.mark.parametrize(
    ("about", "name"),
    [
        (container({"Hostname": "web-1"}), "hostname"),
        (container({"WorkingDir": "/tmp"}), "workdir"),
        (container({"Tty": True}), "tty"),
        (container(host={"Privileged": True}), "Privileged"),
        (container(host={"Ulimits": [{"Name": "nofile", "Hard": 1, "Soft": 1}]}), "Ulimits"),
        (container(host={"ExtraHosts": ["db:10.0.0.1"]}), "ExtraHosts"),
        (container(host={"SecurityOpt": ["seccomp=unconfined"]}), "SecurityOpt"),
        (container(host={"ShmSize": 1 << 30}), "ShmSize"),
        (container(host={"NetworkMode": "host"}), "network"),
        (container(host={"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5}}), "restart"),
        (container(host={"PortBindings": {"80/tcp": [{"HostPort": ""}]}}), "publish 80/tcp"),
        (container(host={"AKeyOfALaterEngine": 3}), "AKeyOfALaterEngine"),
        (
            container(NetworkSettings={"Networks": {"shop": {"Aliases": ["backend"]}}}),
            "network-alias of shop",
        ),
        (
            container(NetworkSettings={"Networks": {"shop": {"IPAMConfig": {"IPv4Address": "10.0.0.9"}}}}),
            "ip of shop",
        ),
        (
            container(Mounts=[{"Type": "tmpfs", "Source": "", "Destination": "/run", "RW": True}]),
            "mount /run",
        ),
    ],
)
def test_a_setting_without_a_place_is_named(about: Any, name: str) -> None:
    """Every one, also one that only a later engine knows."""
    assert list(read_container(about, IMAGE).unexpressed) == [name]


def test_labels_of_compose_are_not_kept() -> None:
    """Compose would take the container of a rollback for its own."""
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web", "team": "core"}
    found = read_container(container({"Labels": labels}), IMAGE)
    assert found.spec.labels == {"team": "core"}
    assert "project shop" in found.dropped["labels.com.docker.compose"]
