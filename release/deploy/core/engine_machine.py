"""An engine as a machine: clock, disk and store of images, for targets that consist of engines."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from release.deploy.core.finding import Finding, finding
from release.errors import EngineError
from release.images.container_address import is_local
from release.images.engine import Engine, StoredImage
from release.reference import Digest, Reference, Repository
from release.values import Struct

_CLOCKS_APART_SECONDS: Final = 5.0
LEAST_FREE_BYTES: Final = 2 * 1024**3
"""Free bytes for an unpacked image of a Python service, with some reserve."""


def findings(name: str, engine: Engine) -> Iterator[Finding]:
    """Return findings on the engine, its clock and its disk."""
    yield Finding(name=f"{name}: engine", well=True, found=engine_finding(engine))
    yield from clock_and_disk(name, engine)


def clock_and_disk(name: str, engine: Engine) -> Iterator[Finding]:
    """Return findings on the clock and the disk."""
    yield finding(f"{name}: clock", partial(clock_finding, engine))
    yield finding(f"{name}: disk", partial(disk_finding, engine))


def engine_finding(engine: Engine) -> str:
    """Return a finding with address, version, platform and kind of image store."""
    info = engine.info
    return f"{engine.host}: {info.name} {info.version}, {info.platform}, {info.image_store} image store"


def clock_finding(engine: Engine) -> str:
    """Return a finding on the difference between the engine's clock and this machine's."""
    apart = abs(engine.info.ahead_ms) / 1000
    side = "ahead of" if engine.info.ahead_ms > 0 else "behind"
    if apart > _CLOCKS_APART_SECONDS:
        raise EngineError(
            f"use the clock of {engine.host}",
            f"it is {apart:.0f} s {side} this machine's",
            "set both clocks by a time server (NTP)",
        )
    return f"{apart:.1f} s {side} this machine's"


def disk_finding(engine: Engine) -> str:
    """Return a finding on free disk space; unknown if the engine is on another machine."""
    root = engine.info.data_root
    if not (root and is_local(engine.host) and Path(root).exists()):
        return "unknown, because the engine is on another machine"
    usage = shutil.disk_usage(root)
    found = f"{usage.free / 1e9:.1f} GB of {usage.total / 1e9:.1f} GB are free below {root}"
    if usage.free < LEAST_FREE_BYTES:
        raise EngineError(f"put more images on {engine.host}", found, "invoke prune --plan; docker system df")
    return found


class EngineStore(Struct, frozen=True, kw_only=True):
    """The image store of an engine. See `release.deploy.core.upkeep.ImageStore`."""

    engine: Engine
    node: str = ""

    @property
    def host(self) -> str:
        """Return the engine's address."""
        return self.engine.host

    @property
    def names_by_manifest(self) -> bool:
        """Return whether it is a containerd store; a graph driver names images by their config."""
        return self.engine.info.image_store == "containerd"

    def images(self, repository: Repository | None) -> Sequence[StoredImage]:
        """Return the images in the engine."""
        return self.engine.named_images(repository)

    def used(self) -> Mapping[Digest, str]:
        """Return the images of all containers."""
        return {state.image: state.name for state in self.engine.containers({})}

    def untag(self, name: str) -> None:
        """Remove a name of the image."""
        self.engine.untag(Reference.parse(name))
