"""Containers and images as values, and the engine's JSON of the same."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest

from release.images.container_spec import (
    ContainerSpec,
    PlacedFile,
    container_config,
    files_archive,
    healthcheck_config,
    whole_seconds,
)
from release.images.values import (
    EngineInfo,
    PublishedPort,
    Publisher,
    container_state,
    read_publisher,
    stored_image,
    user_and_group_ids,
)
from release.reference import Digest
from release.runspec import Healthcheck, Mount, Publish
from release.values import replace

IMAGE = Digest.of(b"image")
LAYER = Digest.of(b"layer")


def test_a_bare_spec_leaves_everything_to_the_image() -> None:
    """Neither command, user nor limits are sent; nothing is published, mounted or joined."""
    config = container_config(ContainerSpec(image=IMAGE))
    assert config == {
        "Image": IMAGE.text,
        "Env": [],
        "Labels": {},
        "ExposedPorts": {},
        "StopTimeout": 10,
        "HostConfig": {
            "PortBindings": {},
            "RestartPolicy": {"Name": "no"},
            "ReadonlyRootfs": False,
            "Tmpfs": {},
            "Mounts": [],
            "CapAdd": [],
            "CapDrop": [],
            "SecurityOpt": [],
        },
        "NetworkingConfig": {"EndpointsConfig": {}},
    }


def test_a_command_replaces_the_entrypoint_or_is_given_to_it() -> None:
    """ContainerCreate: a new Entrypoint drops the image's Cmd too."""
    for entrypoint, key, other in (("replace", "Entrypoint", "Cmd"), ("keep", "Cmd", "Entrypoint")):
        spec = ContainerSpec(image=IMAGE, command=("serve", "--fast"), entrypoint=entrypoint)  # type: ignore[arg-type]
        config = container_config(spec)
        assert config[key] == ["serve", "--fast"]
        assert other not in config


def test_a_container_without_a_network_has_none() -> None:
    """Docker's own network `none`: the loopback device alone."""
    config = container_config(ContainerSpec(image=IMAGE, has_network=False))
    assert config["HostConfig"]["NetworkMode"] == "none"


def test_settings_that_replace_the_images_own_are_sent_when_they_are_given() -> None:
    """Times of a health check are nanoseconds; no logging driver means the engine's, with these options."""
    config = container_config(
        ContainerSpec(
            image=IMAGE,
            init=True,
            stop_signal="SIGINT",
            log_options={"max-size": "10m"},
            healthcheck=Healthcheck(command=("check",), interval=500, start_interval=20, retries=2),
        )
    )
    assert (config["StopSignal"], config["HostConfig"]["Init"]) == ("SIGINT", True)
    assert config["HostConfig"]["LogConfig"] == {"Type": "", "Config": {"max-size": "10m"}}
    assert config["Healthcheck"] == {
        "Test": ["CMD", "check"],
        "Interval": 500_000_000,
        "StartInterval": 20_000_000,
        "Retries": 2,
    }


def test_a_health_check_can_be_taken_away_or_keep_its_command() -> None:
    """["NONE"] disables it; an empty test is the image's own with other times."""
    assert healthcheck_config(Healthcheck(disable=True)) == {"Test": ["NONE"]}
    assert healthcheck_config(Healthcheck(timeout=3000)) == {"Test": [], "Timeout": 3_000_000_000}


@pytest.mark.parametrize(
    ("version", "speaks"), [("1.43", False), ("1.44", True), ("1.5", False), ("2.0", True)]
)
def test_versions_of_the_api_are_compared_as_numbers(version: str, speaks: bool) -> None:
    """1.5 is before 1.44."""
    engine = EngineInfo(
        name="e", version="1", api_version=version, platform="linux/amd64", image_store="graph"
    )
    assert engine.speaks((1, 44)) is speaks


def test_a_full_spec_says_all_of_it() -> None:
    """Every field has its place in the body of ContainerCreate."""
    config = container_config(
        ContainerSpec(
            image=IMAGE,
            name="api",
            command=("gunicorn", "app"),
            env={"A": "1=2", "B": ""},
            labels={"a": "b"},
            publish=(
                Publish(address="127.0.0.1", host=8080, container=8000),
                Publish(address="192.0.2.1", host=5353, container=53, protocol="udp"),
            ),
            publish_ephemeral=(8000,),
            networks=("front", "back"),
            volumes=(
                Mount(source="data", target="/data"),
                Mount(source="/etc/api", target="/etc/api", read_only=True),
            ),
            memory=2**20,
            cpus=250,
            pids=64,
            user="1000",
            read_only=True,
            tmpfs=("/tmp",),
            cap_add=("NET_BIND_SERVICE",),
            cap_drop=("ALL",),
            no_new_privileges=True,
            restart="unless-stopped",
            stop_grace=1500,
        )
    )
    assert config == {
        "Image": IMAGE.text,
        "Cmd": ["gunicorn", "app"],
        "Env": ["A=1=2", "B="],
        "Labels": {"a": "b"},
        "User": "1000",
        "ExposedPorts": {"8000/tcp": {}, "53/udp": {}},
        "StopTimeout": 2,
        "HostConfig": {
            "PortBindings": {
                "8000/tcp": [
                    {"HostIp": "127.0.0.1", "HostPort": "8080"},
                    {"HostIp": "127.0.0.1", "HostPort": ""},
                ],
                "53/udp": [{"HostIp": "192.0.2.1", "HostPort": "5353"}],
            },
            "NetworkMode": "front",
            "RestartPolicy": {"Name": "unless-stopped"},
            "ReadonlyRootfs": True,
            "Tmpfs": {"/tmp": ""},
            "Mounts": [
                {"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": False},
                {"Type": "bind", "Source": "/etc/api", "Target": "/etc/api", "ReadOnly": True},
            ],
            "CapAdd": ["NET_BIND_SERVICE"],
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "Memory": 2**20,
            "MemorySwap": 2**20,
            "NanoCpus": 250_000_000,
            "PidsLimit": 64,
        },
        "NetworkingConfig": {"EndpointsConfig": {"front": {}, "back": {}}},
    }


def test_the_environment_is_not_shown() -> None:
    """Secrets travel in `env`: the value's text leaves it out."""
    assert "hunter2" not in repr(ContainerSpec(image=IMAGE, env={"PASSWORD": "hunter2"}))


@pytest.mark.parametrize(("milliseconds", "seconds"), [(0, 0), (1, 1), (1000, 1), (1001, 2), (10_000, 10)])
def test_seconds_are_rounded_up(milliseconds: int, seconds: int) -> None:
    """Nothing is killed before its time."""
    assert whole_seconds(milliseconds) == seconds


def inspected(**changes: Any) -> dict[str, Any]:
    """ContainerInspect of a running container, as far as it is read."""
    return {
        "Id": "c" * 64,
        "Name": "/api",
        "Image": IMAGE.text,
        "RestartCount": 2,
        "State": {
            "Status": "running",
            "ExitCode": 0,
            "OOMKilled": False,
            "StartedAt": "2026-11-22T18:00:00.1Z",
            "Health": {"Status": "starting"},
        },
        "Config": {"Labels": {"a": "b"}},
        "HostConfig": {"NetworkMode": "front"},
        "NetworkSettings": {
            "Ports": {
                "53/udp": [{"HostIp": "192.0.2.1", "HostPort": "5353"}],
                "53/tcp": [
                    {"HostIp": "127.0.0.1", "HostPort": "5454"},
                    {"HostIp": "::1", "HostPort": "5555"},
                ],
                "9000/tcp": None,
            },
            "Networks": {"back": {"IPAddress": "10.0.0.2"}, "front": {"IPAddress": "10.1.0.2"}},
        },
        **changes,
    }


def test_a_running_container_is_described() -> None:
    """TCP goes before UDP, the first place before others, and the address is on the first network."""
    state = container_state(inspected())
    assert (state.id, state.name, state.image) == ("c" * 64, "api", IMAGE)
    assert (state.status, state.health, state.restarts) == ("running", "starting", 2)
    assert state.ports == {53: ("127.0.0.1", 5454)}
    assert state.address == "10.1.0.2"
    assert state.labels == {"a": "b"}


def test_a_container_without_health_network_or_labels_is_described() -> None:
    """What is missing is "none", empty, or None."""
    state = container_state(
        inspected(
            State={"Status": "exited", "ExitCode": 3, "OOMKilled": True, "StartedAt": "0001-01-01T00:00:00Z"},
            Config={"Labels": None},
            HostConfig={"NetworkMode": "default"},
            NetworkSettings={"Ports": None, "Networks": {"bridge": {"IPAddress": ""}}},
        )
    )
    assert (state.health, state.exit_code, state.oom_killed) == ("none", 3, True)
    assert (state.address, dict(state.ports), dict(state.labels)) == (None, {}, {})


@pytest.mark.parametrize(
    ("healthcheck", "expected"),
    [(None, False), ({"Test": ["NONE"]}, False), ({"Interval": 1}, False), ({"Test": ["CMD", "true"]}, True)],
)
def test_a_health_check_is_known(healthcheck: dict[str, Any] | None, expected: bool) -> None:
    """`HEALTHCHECK NONE` and an inherited interval alone are none."""
    image = stored_image({"Id": IMAGE.text, "Size": 9, "Config": {"Healthcheck": healthcheck}})
    assert image.has_healthcheck is expected


def test_an_image_is_described() -> None:
    """Tags and digests are its references; the layers are in order."""
    image = stored_image(
        {
            "Id": IMAGE.text,
            "Size": 9,
            "RepoTags": ["api:1"],
            "RepoDigests": [f"api@{IMAGE}"],
            "RootFS": {"Layers": [LAYER.text, IMAGE.text]},
            "Config": {"User": "1000", "Labels": {"a": "b"}},
        }
    )
    assert image.references == ("api:1", f"api@{IMAGE}")
    assert image.diff_ids == (LAYER, IMAGE)
    assert (image.user, image.labels, image.size) == ("1000", {"a": "b"}, 9)


def test_an_image_without_settings_is_described() -> None:
    """An image from scratch has no user, no labels and no layers."""
    image = stored_image({"Id": IMAGE.text, "Size": 0, "RepoTags": None, "Config": None, "RootFS": None})
    assert (image.user, dict(image.labels), image.diff_ids, image.references) == ("", {}, (), ())


PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:100::/:/bin/sh\n"
GROUP = "root:x:0:\nstaff:x:50:\nusers:x:100:\n"


@pytest.mark.parametrize(
    ("user", "numbers"),
    [
        ("", (0, 0)),
        ("app", (1000, 100)),
        ("1000", (1000, 100)),
        ("4711", (4711, 0)),
        ("4711:4712", (4711, 4712)),
        ("app:staff", (1000, 50)),
        ("nobody", (0, 0)),
    ],
)
def test_the_user_of_a_container_is_looked_up_in_its_own_files(user: str, numbers: tuple[int, int]) -> None:
    """As the engine does when it starts the program."""
    assert user_and_group_ids(user, PASSWD, GROUP) == numbers


def test_private_files_have_volumes_of_their_own() -> None:
    """The others too, where the root cannot be written to."""
    files = (
        PlacedFile(path="/etc/api/a.toml", content=b"a", mode=0o444),
        PlacedFile(path="/run/secrets/b", content=b"canary", mode=0o400, private=True),
    )
    spec = ContainerSpec(image=IMAGE, files=files, labels={"release.service": "api"})
    assert container_config(spec)["HostConfig"]["Mounts"] == [
        {
            "Type": "volume",
            "Target": "/run/secrets",
            "VolumeOptions": {"Labels": {"release.service": "api"}},
        }
    ]
    assert replace(spec, read_only=True).own_folders == ("/etc/api", "/run/secrets")
    assert "canary" not in repr(spec)


def test_an_archive_of_files_says_whose_they_are() -> None:
    """Root's, or the user's where they are private; names are below the folder it is unpacked in."""
    files = [
        PlacedFile(path="/run/secrets/a", content=b"12", mode=0o400, private=True),
        PlacedFile(path="/run/secrets/b/c", content=b"3", mode=0o444),
    ]
    with tarfile.open(fileobj=io.BytesIO(files_archive(files, "/run/secrets", (7, 8)))) as tar:
        found = [(entry.name, entry.mode, entry.uid, entry.gid, entry.size) for entry in tar]
    assert found == [("a", 0o400, 7, 8, 2), ("b/c", 0o444, 0, 0, 1)]


def test_a_list_of_containers_tells_who_publishes_where() -> None:
    """Docker Engine API 1.45, ContainerList: ports that are only exposed are on no place of the machine."""
    data = {
        "Names": ["/api-production"],
        "Labels": {"a": "b"},
        "Ports": [
            {"IP": "127.0.0.1", "PrivatePort": 8000, "PublicPort": 8080, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 8000, "PublicPort": 8080, "Type": "udp"},
            {"PrivatePort": 9000, "Type": "tcp"},
        ],
    }
    assert read_publisher(data) == Publisher(
        name="api-production",
        labels={"a": "b"},
        places=frozenset(
            {
                PublishedPort(address="127.0.0.1", port=8080, protocol="tcp"),
                PublishedPort(address="::", port=8080, protocol="udp"),
            }
        ),
    )
    assert read_publisher({"Names": None, "Labels": None, "Ports": None}).places == frozenset()


def test_further_names_are_names_on_every_network() -> None:
    """Without any, the engine is told nothing."""
    spec = ContainerSpec(image=IMAGE, networks=("edge", "back"), aliases=("api-any",))
    endpoints = container_config(spec)["NetworkingConfig"]["EndpointsConfig"]
    assert endpoints == {"edge": {"Aliases": ["api-any"]}, "back": {"Aliases": ["api-any"]}}


@pytest.mark.parametrize(
    ("config", "check", "timeout"),
    [
        ({}, (), 30_000),
        ({"Healthcheck": None}, (), 30_000),
        ({"Healthcheck": {"Test": ["NONE"]}}, (), 30_000),
        ({"Healthcheck": {"Test": ["CMD", "ask", "me"], "Timeout": 3_000_000_000}}, ("ask", "me"), 3000),
        (
            {"Healthcheck": {"Test": ["CMD-SHELL", "ask || exit 1"]}},
            ("/bin/sh", "-c", "ask || exit 1"),
            30_000,
        ),
        (
            {"Healthcheck": {"Test": ["CMD-SHELL", "ask"]}, "Shell": ["/bin/bash", "-lc"]},
            ("/bin/bash", "-lc", "ask"),
            30_000,
        ),
    ],
)
def test_the_program_of_a_health_check_is_known(
    config: dict[str, Any], check: tuple[str, ...], timeout: int
) -> None:
    """As the engine would run it."""
    state = container_state({**inspected(), "Config": config})
    assert (state.check, state.check_timeout) == (check, timeout)
