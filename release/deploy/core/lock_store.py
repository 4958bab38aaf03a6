"""Store of a lock: an object with a unique name, metadata and a payload, made by a target."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from release.images.engine import ContainerSpec, ContainerState, Engine
from release.reference import Digest
from release.values import Struct

PAYLOAD: Final = "release.lock.journal"
"""Label that holds the payload, for stores that have no other place for it."""


class Kept(Struct, frozen=True, kw_only=True):
    """A lock, as its store returns it."""

    id: str
    metadata: Mapping[str, str]
    """Short texts by name."""
    payload: str = ""
    """Text of any length."""
    foreign: str = ""
    """Reason why the object cannot be a lock of this library; empty if it can."""
    way_out: str = ""
    """Command that frees the name if the object is not a lock."""


class LockStore(Protocol):
    """Store of locks: it creates, reads and removes objects with unique names."""

    def put(self, name: str, metadata: Mapping[str, str], payload: str) -> None:
        """Create the lock. Creation is the atomic test. Raises NameTaken if the name exists, EngineError."""

    def get(self, name: str) -> Kept | None:
        """Return the lock of this name; None if there is none. Raises EngineError."""

    def drop(self, kept: str) -> None:
        """Remove the lock of this id, if it exists. Raises EngineError."""

    def now(self) -> datetime:
        """Return the time of the store: all locks expire by this clock."""


def as_labels(metadata: Mapping[str, str], payload: str) -> dict[str, str]:
    """Return metadata and payload as labels, for stores that only have labels."""
    return {**metadata, PAYLOAD: payload}


def from_labels(labels: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return metadata and payload of labels that `as_labels` made."""
    return {key: value for key, value in labels.items() if key != PAYLOAD}, labels.get(PAYLOAD, "")


def _foreign(state: ContainerState) -> str:
    """Return why the container is not a lock; empty if it is one. A released lock may still be in removal."""
    if state.status in ("created", "removing"):
        return ""
    return f"it is {state.status}, but a lock never runs"


class EngineLockStore(Struct, frozen=True, kw_only=True):
    """Locks on one engine: each is a container that is created and never started.

    Names of containers are unique on an engine (Docker Engine API 1.45, ContainerCreate: 409 when the name is
    in use).
    """

    engine: Engine
    image: Digest | None = None
    """Image of the container; only needed to create one."""

    def put(self, name: str, metadata: Mapping[str, str], payload: str) -> None:
        """Create the container."""
        if self.image is None:
            raise ValueError("the lock is a container, and it needs an image")
        self.engine.create(
            ContainerSpec(
                image=self.image, name=name, labels=as_labels(metadata, payload), command=("release-lock",)
            )
        )

    def get(self, name: str) -> Kept | None:
        """Return the lock's container. A container that ever started is not a lock: it may hold data."""
        state = self.engine.state(name)
        if state is None:
            return None
        metadata, payload = from_labels(state.labels)
        return Kept(
            id=state.id,
            metadata=metadata,
            payload=payload,
            foreign=_foreign(state),
            way_out=f"docker rename {name} {name}-other",
        )

    def drop(self, kept: str) -> None:
        """Remove the container."""
        self.engine.remove(kept)

    def now(self) -> datetime:
        """Return the engine's time, by the difference to this machine's clock when it was asked."""
        return datetime.now(UTC) + timedelta(milliseconds=self.engine.info.ahead_ms)
