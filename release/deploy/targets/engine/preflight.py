"""Parts that one engine lacks for a release: platform, disk space, networks, volumes, ports and names."""

from __future__ import annotations

import errno
import shutil
import socket
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

from release.deploy.core.image_location import FreeSpace, ImageLocation
from release.deploy.core.instance import InstanceSet
from release.deploy.core.place import SERVING, Place
from release.deploy.core.problems import listed
from release.errors import Problem
from release.images.container_address import is_local
from release.images.engine import Engine
from release.images.values import PublishedPort
from release.records import Image
from release.reference import Digest, Repository
from release.runspec import Publish, RunSpec

_START_INTERVAL_API: Final = (1, 44)

_LABEL: Final = 63
"""Octets of a name between two dots."""

_UNPACKED: Final = 3
"""Space of a layer that is there both packed and unpacked, in sizes of its blob."""

_CONTAINERD: Final = Path("/var/lib/containerd")
"""Image folder of a containerd that is not the engine's own (containerd's config.toml, `root`)."""


def image_problems(engine: Engine, image: Image) -> list[Problem]:
    """Return a problem if the image is for another platform."""
    return [Problem(path="image", message=message) for message in _platform(engine, image)]


def _platform(engine: Engine, image: Image) -> Iterator[str]:
    """Return system and processor. The engine judges a variant, such as arm64/v8."""
    if image.platform.split("/")[:2] != engine.info.platform.split("/")[:2]:
        yield f"it is for {image.platform}, but the engine runs {engine.info.platform}"


def room(engine: Engine, image: Image, found: ImageLocation) -> FreeSpace:
    """Return whether there is space to pull the image. This is only known for an engine on this machine."""
    needed = _to_pull(engine, image, found) * _UNPACKED if found.where == "registry" else 0
    if not needed:
        return FreeSpace()
    about = f"about {needed:,} bytes will be transferred to {engine.host}"
    folders = [folder for folder in _stores(engine) if folder.is_dir()] if is_local(engine.host) else []
    if not folders:
        return FreeSpace(unknown=f"{about}; this machine cannot see the free space there. No action needed.")
    free = max(shutil.disk_usage(folder).free for folder in folders)
    if free >= needed:
        return FreeSpace()
    where = " or ".join(map(str, folders))
    advice = "to free space: `invoke prune`; `docker system df` shows what uses it"
    return FreeSpace(short=f"{about}, but only {free:,} are free in {where}: {advice}")


def _to_pull(engine: Engine, image: Image, found: ImageLocation) -> int:
    """Return the compressed size of the layers that no image of the repository has brought here."""
    there = engine.named_images(Repository(image.repository))
    shared = max((_shared(found.diff_ids, stored.diff_ids) for stored in there), default=0)
    return sum(layer.size for layer in image.layers[shared:])


def _shared(some: Sequence[Digest], others: Sequence[Digest]) -> int:
    """Return the number of layers that two images have in common, counted from the base."""
    pairs = zip(some, others, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _stores(engine: Engine) -> list[Path]:
    """Return folders, one of which holds the images. A containerd store does not report its folder."""
    roots = [Path(engine.info.data_root)] if engine.info.data_root else []
    return [*roots, _CONTAINERD] if engine.info.image_store == "containerd" else roots


def settings_problems(engine: Engine, place: Place, spec: RunSpec) -> list[Problem]:
    """Return networks and volumes of the settings that the engine lacks."""
    found = {
        "networks": _networks(engine, spec),
        "volumes": _volumes(engine, spec),
        "healthcheck.start_interval": _start_interval(engine, spec),
    }
    return listed(place, found)


def occupation_problems(engine: Engine, place: Place, spec: RunSpec, ours: InstanceSet) -> list[Problem]:
    """Return ports and container names that containers other than `ours` use.

    Not called during a deployment.
    """
    names = [
        message for replica in range(1, spec.replicas + 1) for message in _name(engine, place, replica, ours)
    ]
    return listed(place, {"publish": _ports(engine, spec, ours), "name": names})


def _networks(engine: Engine, spec: RunSpec) -> Iterator[str]:
    for name in spec.networks:
        if not engine.has_network(name):
            yield f"the engine has no network {name}: docker network create {name}"


def _volumes(engine: Engine, spec: RunSpec) -> Iterator[str]:
    for mount in spec.volumes:
        if mount.is_bind and is_local(engine.host) and not Path(mount.source).exists():
            yield f"the folder {mount.source} does not exist"
        if not mount.is_bind and not engine.has_volume(mount.source):
            yield f"the engine has no volume {mount.source}: docker volume create {mount.source}"


def _start_interval(engine: Engine, spec: RunSpec) -> Iterator[str]:
    """Return a problem if the engine is older than 25: it ignores the interval (Engine API 1.44)."""
    asked = spec.healthcheck is not None and spec.healthcheck.start_interval is not None
    if asked and not engine.info.speaks(_START_INTERVAL_API):
        yield (
            f"the engine has version {engine.info.version}, but start_interval needs 25: remove "
            "start_interval"
        )


def _name(engine: Engine, place: Place, replica: int, ours: InstanceSet) -> Iterator[str]:
    """Return a problem if a container of somebody else has the name."""
    name = place.named(replica)
    if name in {each.name for each in (*ours.up, *ours.stopped)}:
        return
    holder = engine.state(name)
    if holder is None:
        return
    other = Place.of(holder.labels)
    if other is not None and other.labels(SERVING) != place.labels(SERVING):
        yield (
            f"{other} has a container {name}, which is also the name for {place}: rename this "
            "service or environment"
        )
    else:
        yield (
            f"the container {name} exists, but the ledger proves no deployment that made it, so "
            f"it is not changed. If you do not need it: docker stop {name}; docker rename "
            f"{name} {name}-before"
        )


def _ports(engine: Engine, spec: RunSpec, ours: InstanceSet) -> Iterator[str]:
    """Return the ports that are in use, but not by our own containers."""
    if not spec.publish:
        return
    there, names = engine.publishers(), {each.name for each in ours.up}
    own = frozenset(taken for each in there if each.name in names for taken in each.places)
    others = [each for each in there if each.name not in names]
    for publish in spec.publish:
        port = f"port {publish.host}" + ("" if publish.protocol == "tcp" else f"/{publish.protocol}")
        holder = next((other for other in others if _any_overlaps(other.places, publish)), None)
        if holder is not None:
            yield (f"{port} is published by the container {holder.name}: stop it, or publish another port")
        elif is_local(engine.host) and not _any_overlaps(own, publish) and _in_use(publish):
            listed = f"`ss -l{publish.protocol[0]}np`"
            yield f"{port} of {publish.address} is in use here: {listed} shows the program"


def _any_overlaps(places: Iterable[PublishedPort], publish: Publish) -> bool:
    wild = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return any(
        (taken.port, taken.protocol) == (publish.host, publish.protocol)
        and (taken.address == publish.address or taken.address in wild or publish.address in wild)
        for taken in places
    )


def _in_use(publish: Publish) -> bool:
    """Return whether the port is in use, by binding it. Without permission (below 1024) it counts as free."""
    family = socket.AF_INET6 if ":" in publish.address else socket.AF_INET
    kind = socket.SOCK_STREAM if publish.protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as attempt:
        if kind == socket.SOCK_STREAM:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((publish.address, publish.host))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def long_names(place: Place, spec: RunSpec) -> Iterator[str]:
    """Return a name that a name server does not take: 63 octets at most (RFC 1035, section 2.3.4)."""
    name = place.fresh("0" * 12, spec.replicas).partition(".")[0]
    if len(name) > _LABEL:
        yield (
            f"{place} makes names of {len(name)} letters, but a name server allows "
            f"{_LABEL}: shorten the name of the service or environment"
        )
