"""A drill as its target is asked for it: a release beside what runs, with its recorded settings.

Nothing of the environment is touched: what is started has a name and labels of its own, no port that somebody
else could need, empty volumes in the place of the real ones, and none of the labels that somebody who routes
traffic could read.
"""

from __future__ import annotations

import secrets as randomness
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from release.deploy.core.place import Identity, Place
from release.programs.owner import Owner, parse_label_time
from release.records import Record, Release, SmokeSpec
from release.reference import Digest
from release.runspec import Mount, RunSpec
from release.secrets.redact import Redacted
from release.values import Struct, field, replace

DRILL: Final = "drill"
"""The role in the labels: no deployment takes such a container for one of its own."""

_EXPIRES: Final = "release.drill.expires"
_SPARE_MINUTES: Final = 15
"""Minutes after the longest drill. Objects that are left then belong to a machine that died."""


class Conditions(Struct, frozen=True, kw_only=True):
    """Real parts of a drill."""

    secrets: bool = False
    """True: the secrets have their values; False: those of the smoke run, or none."""
    networks: bool = False
    """True: the drill joins the environment's networks; False: only a network of its own."""

    def unchecked(self, spec: RunSpec) -> Iterator[str]:
        """Return the parts of these settings that the drill does not prove."""
        if spec.secrets and not self.secrets:
            yield f"secrets: {', '.join(spec.secrets)} had the values of the smoke run, or no value"
        if spec.networks and not self.networks:
            yield f"networks: {', '.join(spec.networks)} were not joined"
        if spec.volumes:
            yield (f"volumes: empty ones in place of {', '.join(str(mount) for mount in spec.volumes)}")
        if spec.publish:
            yield f"ports: {', '.join(str(port) for port in spec.publish)} were not published"


class DrillRequest(Struct, frozen=True, kw_only=True):
    """Request to a target: the release and its recorded settings, and which parts are real."""

    place: Place
    target: Record[Release]
    spec: RunSpec
    """The recorded settings."""
    conditions: Conditions
    secrets: Mapping[str, Redacted]
    health_timeout: int
    """Milliseconds."""
    drill: str = field(default_factory=lambda: randomness.token_hex(6))
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def unproven_replicas(self) -> tuple[str, ...]:
        """Return that one of several replicas is proven; empty if the settings have one."""
        count = self.spec.replicas
        return (f"replicas: 1 of {count}",) if count > 1 else ()

    @property
    def name(self) -> str:
        """Return the name of the drill's container and network."""
        return drill_name(self.place, self.drill)

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels by which a later command finds what a killed drill left."""
        return self.place.labels(DRILL) | self.marks

    @property
    def marks(self) -> dict[str, str]:
        """Return labels with the drill's process and the time at which the drill ends."""
        end = self.began + timedelta(minutes=_SPARE_MINUTES, milliseconds=self.health_timeout)
        return Owner.here().labels() | {_EXPIRES: end.isoformat(timespec="seconds")}

    @property
    def identity(self) -> Identity:
        """Return the identity of the started release."""
        body = self.target.body
        return Identity(
            deployment=self.drill,
            version=body.version,
            commit=body.source.commit,
            digest=Digest(body.image.digest),
            record=self.target.id,
        )

    @property
    def by_process(self) -> tuple[DrillRequest, ...]:
        """Return a request for each process but exclusive ones, which never run beside themselves."""
        return tuple(
            replace(self, place=self.place.at(name), spec=spec)
            for name, spec in self.spec.every.items()
            if name not in self.spec.exclusive
        )

    def values(self) -> dict[str, Redacted]:
        """Return the real secrets, or those of the smoke run: files or variables, as the settings say."""
        if self.conditions.secrets:
            return dict(self.secrets)
        return {name: Redacted(value) for name, value in self.stand_ins().items()}

    def stand_in_paths(self) -> dict[str, str]:
        """Return the paths that the smoke run gave for secrets that are files, if it gave no value."""
        smoke: SmokeSpec = self.target.body.smoke
        files = {} if self.conditions.secrets else (self.spec.secret_files or {})
        names = files.keys() - smoke.env.keys()
        return {key: smoke.env[key] for name in names if (key := f"{name}_FILE") in smoke.env}

    def stand_ins(self) -> dict[str, str]:
        """Return the smoke run's values for secrets whose real values are not read."""
        smoke: SmokeSpec = self.target.body.smoke
        if self.conditions.secrets:
            return {}
        return {name: value for name, value in smoke.env.items() if name in self.spec.secrets}


def empty(mount: Mount) -> Mount:
    """Return a mount of an unnamed volume: the engine makes it empty, and removes it with its container.

    The volume is writable, because the engine refuses an empty read-only volume.
    """
    return Mount.model_construct(source="", target=mount.target, read_only=False)


def drill_name(place: Place, drill: str) -> str:
    """Return the name of a drill's container and network. No container inherits a name, unlike a label."""
    return f"{place.container}-drill-{drill}"


def is_left_behind(labels: Mapping[str, str]) -> bool:
    """Return whether the process of a drill has ended or its time is over, by the labels of one object."""
    return Owner.parse(labels).gone(shared=True) or _expired(labels)


def _expired(labels: Mapping[str, str]) -> bool:
    end = parse_label_time(labels.get(_EXPIRES, ""))
    return end is not None and end < datetime.now(UTC)
