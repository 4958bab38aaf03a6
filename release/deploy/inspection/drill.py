"""A rehearsal: a release really starts, with its recorded settings, beside what runs, and is taken away.

Nothing of the environment is touched: the container has a name, labels and a network of its own, no port but
a free one on loopback, empty volumes in the place of the real ones, and none of the labels that somebody who
routes traffic could read. What is measured is what a rollback would take: from the command to verified
healthy.
"""

from __future__ import annotations

import re
import secrets as randomness
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from release.cancellation import Cancellation
from release.deploy.core import image_location
from release.deploy.core.image_location import Bytes
from release.deploy.core.place import DEPLOYMENT, Identity, Place, container_spec
from release.deploy.core.steps import step
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.planning.settings import read_secrets, recorded_settings
from release.deploy.targets.engine import checks
from release.deploy.targets.engine.gates import Gates
from release.deploy.targets.engine.health import Watch, await_healthy, warn_unreachable
from release.errors import (
    DeploymentFailed,
    EngineError,
    NotReady,
    Problem,
    ReleaseError,
    TargetUnavailable,
)
from release.events import Emit, Notice, Warned
from release.images.engine import ContainerSpec, Engine, StoredImage
from release.ledger.query import Event
from release.owner import Owner, moment
from release.records import Examined, Record, Release, SmokeSpec, Verification
from release.redact import Mask, Redacted
from release.reference import Digest
from release.runspec import Mount, RunSpec
from release.values import Struct, field, replace

DRILL: Final = "drill"
"""The role in the labels: no deployment takes such a container for one of its own."""

_EXPIRES: Final = "release.drill.expires"
_SPARE_MINUTES: Final = 15
"""After the longest that a drill may take: what is left then was left by a machine that died."""


class Conditions(Struct, frozen=True, kw_only=True):
    """Real parts of a drill."""

    secrets: bool = False
    """True: the secrets have their values; False: those of the smoke run, or none."""
    networks: bool = False
    """True: it joins the environment's networks; False: only one of its own."""

    def unchecked(self, spec: RunSpec) -> Iterator[str]:
        """Return what it does not prove of these settings."""
        if spec.secrets and not self.secrets:
            yield f"secrets: {', '.join(spec.secrets)} had the values of the smoke run, or no value"
        if spec.networks and not self.networks:
            yield f"networks: {', '.join(spec.networks)} were not joined"
        if spec.volumes:
            yield (f"volumes: empty ones in place of {', '.join(str(mount) for mount in spec.volumes)}")
        if spec.publish:
            yield f"ports: {', '.join(str(port) for port in spec.publish)} were not published"


class Drill(Struct, frozen=True, kw_only=True):
    """Plan of a drill; made before anything is started."""

    place: Place
    engine: Engine
    target: Record[Release]
    spec: RunSpec
    """The recorded settings."""
    conditions: Conditions
    secrets: Mapping[str, Redacted]
    bytes_from: str
    stored: StoredImage | None
    health_timeout: int
    """Milliseconds."""
    drill: str = field(default_factory=lambda: randomness.token_hex(6))

    @property
    def name(self) -> str:
        """Of the container, and of its network."""
        return drill_name(self.place, self.drill)

    @property
    def what(self) -> str:
        """Return what is started."""
        return "container"

    @property
    def labels(self) -> dict[str, str]:
        """By which what a killed drill left is found, and told from what runs."""
        return self.place.labels(DRILL) | self.marks

    @property
    def marks(self) -> dict[str, str]:
        """Labels that tell whose it is, and until when."""
        end = datetime.now(UTC) + timedelta(minutes=_SPARE_MINUTES, milliseconds=self.health_timeout)
        return Owner.here().labels() | {_EXPIRES: end.isoformat(timespec="seconds")}

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Return what it does not prove."""
        return tuple(self.conditions.unchecked(self.spec))

    def container(self, image: Digest) -> ContainerSpec:
        """The container: as recorded, but for what would touch anything."""
        ports = {publish.container for publish in self.spec.publish if publish.protocol == "tcp"}
        ports |= {self.spec.probe.port} if self.spec.probe is not None else set()
        joined = self.spec.networks if self.conditions.networks else ()
        apart = self.spec.model_copy(
            update={
                "env": self.stand_in_paths() | self.spec.env,
                "publish": (),
                "networks": (self.name, *joined),
                "volumes": tuple(empty(mount) for mount in self.spec.volumes),
                "labels": {},
                "restart": "no",
                "replicas": 1,
                "proxy": None,
            }
        )
        body = self.target.body
        identity = Identity(
            deployment=self.drill,
            version=body.version,
            commit=body.source.commit,
            digest=Digest(body.image.digest),
            record=self.target.id,
        )
        made = container_spec(self.place, identity, apart, image=image, secrets=self.values())
        return replace(
            made,
            name=self.name,
            aliases=(),  # a name of the service on a proxy's network would bring it requests
            labels=identity.labels() | self.labels,
            publish_ephemeral=tuple(sorted(ports)),
        )

    def values(self) -> dict[str, Redacted]:
        """The real secrets, or those of the smoke run: files or variables, as the settings say."""
        if self.conditions.secrets:
            return dict(self.secrets)
        return {name: Redacted(value) for name, value in self.stand_ins().items()}

    def stand_in_paths(self) -> dict[str, str]:
        """Return what the smoke run said of secrets that are files, where it gave a path and no value."""
        smoke: SmokeSpec = self.target.body.smoke
        files = {} if self.conditions.secrets else (self.spec.secret_files or {})
        names = files.keys() - smoke.env.keys()
        return {key: smoke.env[key] for name in names if (key := f"{name}_FILE") in smoke.env}

    def stand_ins(self) -> dict[str, str]:
        """Values of the smoke run for secrets, where the real ones are not read."""
        smoke: SmokeSpec = self.target.body.smoke
        if self.conditions.secrets:
            return {}
        return {name: value for name, value in smoke.env.items() if name in self.spec.secrets}


def empty(mount: Mount) -> Mount:
    """A volume without a name: the engine makes an empty one, and removes it with its container.

    It can be written to, for the engine refuses one that could never hold anything.
    """
    return Mount.model_construct(source="", target=mount.target, read_only=False)


def prepare_drill(
    live: LiveEnvironment, engine: Engine, target: Record[Release], ran: Event | None, conditions: Conditions
) -> Drill:
    """Find out everything before anything is started.

    Args:
        site: the environment whose release and settings are rehearsed.
        engine: where: the environment's own, or another's.
        target: the release.
        ran: the deployment whose settings are; absent: the release's last healthy one.
        conditions: what is real.

    Raises:
        TargetUnavailable: no settings are recorded, or the bytes are nowhere.
        NotReady: a secret cannot be read, or a network is not there.
        EngineError.
    """
    spec = recorded_settings(live, target, ran)
    secrets, missing = read_secrets(live, spec) if conditions.secrets else ({}, [])
    found = image_location.locate(engine, target.body.image, image_location.telling(live.workspace.emit))
    if conditions.networks:
        bare = spec.model_copy(update={"volumes": ()})
        missing = [*missing, *checks.settings_problems(engine, live.place, bare)]
    attempted = f"drill {target.body.version} of {live.place} on {engine.host}"
    refuse(attempted, found, missing)
    return Drill(
        place=live.place,
        engine=engine,
        target=target,
        spec=spec,
        conditions=conditions,
        secrets=secrets,
        bytes_from=found.where,
        stored=found.stored,
        health_timeout=live.settings.health_timeout,
    )


def refuse(attempted: str, found: Bytes, missing: Sequence[Problem]) -> None:
    """Say what a rehearsal lacks. Raises TargetUnavailable: the bytes; NotReady: anything else."""
    if found.where == "nowhere":
        raise TargetUnavailable(
            attempted, found.problem, "`invoke verify` shows which releases have their image"
        )
    if missing:
        raise NotReady(
            attempted,
            "".join(f"\n  {problem}" for problem in missing),
            "correct this, or leave it out of the drill",
        )


class Drilled(Struct, frozen=True, kw_only=True):
    """A rehearsal that ended well."""

    drill_run: Drill
    evidence: str
    duration_ms: int
    """From the command's start to verified healthy."""

    def verification(self) -> Verification:
        """Return what the ledger keeps of it."""
        return _record(self.drill_run, self.duration_ms, detail=self.evidence)

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        drill_run = self.drill_run
        return {
            "service": drill_run.place.service,
            "environment": drill_run.place.environment,
            "engine": drill_run.engine.host,
            "version": drill_run.target.body.version,
            "digest": drill_run.target.body.image.digest,
            "bytes_from": drill_run.bytes_from,
            "duration_ms": self.duration_ms,
            "evidence": self.evidence,
            "unchecked": list(drill_run.unchecked),
        }


def failed(drill_run: Drill, error: ReleaseError, duration_ms: int) -> Verification:
    """Return what the ledger keeps of one that did not."""
    mask = Mask(drill_run.secrets.values())
    return _record(drill_run, duration_ms, problems=(mask(error.found),))


def _record(
    drill_run: Drill, duration_ms: int, *, problems: tuple[str, ...] = (), detail: str = ""
) -> Verification:
    examined = Examined(
        release=drill_run.target.id,
        digest=drill_run.target.body.image.digest,
        result="failed" if problems else "passed",
        problems=problems,
        unchecked=drill_run.unchecked,
    )
    return Verification(
        what="drill",
        environment=drill_run.place.environment,
        result="failed" if problems else "passed",
        releases=(examined,),
        duration_ms=duration_ms,
        detail=detail,
    )


def drill(drill_run: Drill, emit: Emit, cancellation: Cancellation, elapsed: Callable[[], int]) -> Drilled:
    """Start it, see it healthy, take it away.

    Args:
        rehearsal: what and where.
        emit: is told the steps.
        cancellation: gives up; what was started is taken away all the same.
        elapsed: milliseconds since the command began.

    Raises:
        DeploymentFailed: it does not become healthy, or runs another image; with its last lines.
        RegistryError, TargetUnavailable, EngineError, Cancelled.
    """
    sweep(drill_run.engine, drill_run.place, emit)
    image = drill_run.stored or _fetched(drill_run, emit)
    cancellation.check()
    with _apart(drill_run, image.id, emit) as container:
        with step(emit, "start") as say:
            drill_run.engine.start(container)
            say(drill_run.name)
        with step(emit, "health") as say:
            evidence = _proven(drill_run, container, image.id, emit, cancellation)
            took = elapsed()
            say(evidence)
    return Drilled(drill_run=drill_run, evidence=evidence, duration_ms=took)


def _fetched(drill_run: Drill, emit: Emit) -> StoredImage:
    with step(emit, "pull") as say:
        image = image_location.fetch(drill_run.engine, drill_run.target.body.image, emit)
        say(str(image_location.image_reference(drill_run.target.body.image)))
    return image


@contextmanager
def _apart(drill_run: Drill, image: Digest, emit: Emit) -> Iterator[str]:
    """The container, created, in a network of its own; both are gone when the block ends, however it ends."""
    engine = drill_run.engine
    try:
        engine.create_network(drill_run.name, drill_run.labels)
        yield engine.create(drill_run.container(image))
    finally:
        try:
            _remove(drill_run)
            engine.remove_network(drill_run.name)
        except EngineError as error:
            left = (
                f"could not remove {drill_run.name}: {error.found}. The next drill removes it. No "
                "action needed."
            )
            emit(Warned(text=left))


def _remove(drill_run: Drill) -> None:
    """Remove the container of this very drill; somebody else's of that name stays. Raises EngineError."""
    state = drill_run.engine.state(drill_run.name)
    if state is not None and state.labels.get(DEPLOYMENT) == drill_run.drill:
        drill_run.engine.remove(state.id)


def _proven(drill_run: Drill, container: str, image: Digest, emit: Emit, cancellation: Cancellation) -> str:
    """The release's own request and the image's own check, as after a deployment; and the very image."""
    watch = Watch(
        engine=drill_run.engine,
        container=container,
        probe=drill_run.spec.probe,
        timeout=drill_run.health_timeout,
        emit=emit,
        mask=Mask(drill_run.secrets.values()),
        cancellation=cancellation,
        gates=Gates.of(drill_run.spec),
    )
    warn_unreachable(watch)
    seen = await_healthy(watch)
    if (found := seen.state.image) != image:
        raise DeploymentFailed(f"drill {drill_run.target.body.version}", f"it runs {found}, not {image}")
    return seen.evidence


def sweep(engine: Engine, place: Place, emit: Emit) -> None:
    """Remove what drills of this place left whose process is gone, or whose time is over."""
    labels = place.labels(DRILL)
    for state in engine.containers(labels):
        if state.name == drill_name(place, state.labels.get(DEPLOYMENT, "")) and is_left_behind(state.labels):
            emit(Notice(text=f"removing {state.name} of a killed drill"))
            engine.remove(state.id)
    own = re.compile(re.escape(drill_name(place, "")) + "[0-9a-f]{12}")
    for name, about in engine.labelled_networks(labels).items():
        if own.fullmatch(name) and is_left_behind(about):
            emit(Notice(text=f"removing the network {name} of a killed drill"))
            with suppress(EngineError):  # something was connected to it by hand: it stays, and is told again
                engine.remove_network(name)


def drill_name(place: Place, drill: str) -> str:
    """The name of a drill's container, and of its network: nobody inherits a name, as an image's labels."""
    return f"{place.container}-drill-{drill}"


def is_left_behind(labels: Mapping[str, str]) -> bool:
    """Return if the process of a drill has ended, or its time is over, by the labels of one of its parts."""
    return Owner.parse(labels).gone(shared=True) or _expired(labels)


def _expired(labels: Mapping[str, str]) -> bool:
    end = moment(labels.get(_EXPIRES, ""))
    return end is not None and end < datetime.now(UTC)
