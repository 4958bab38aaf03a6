"""An environment on one Docker Engine: its names, its labels, and which of the containers are ours.

Labels and names are claims: an image gives its labels to every container of it, and a name can be taken by
anybody. `look` believes the labels; `release.deploy.environment.identify` asks the ledger which are true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol

from release.images.container_spec import PlacedFile
from release.images.engine import ContainerSpec, ContainerState, Engine
from release.images.values import Publisher
from release.reference import Digest
from release.runspec import RunSpec
from release.secrets.redact import Redacted
from release.tmpfs import texts
from release.values import Struct, replace

SERVICE: Final = "release.service"
ENVIRONMENT: Final = "release.environment"
ROLE: Final = "release.role"
DEPLOYMENT: Final = "release.deployment"
VERSION: Final = "release.version"
COMMIT: Final = "release.commit"
DIGEST: Final = "release.digest"
RECORD: Final = "release.record"
REPLICA: Final = "release.replica"
PROCESS: Final = "release.process"
"""The process of a container; absent if its environment ran one process."""

SERVING: Final = "serving"
"""The role of the containers that answer requests."""
MIGRATION: Final = "migration"
"""The role of the containers of commands that change the data."""

_OWNER_READS: Final = 0o400

UP: Final = ("running", "restarting", "paused")
"""States of a container that has not ended."""


def command(words: str, flags: Iterable[str]) -> str:
    """Return a whole command line. Options that its words already have are not added again."""
    return " ".join(["invoke", words, *(flag for flag in flags if flag.partition(" ")[0] not in words)])


class Labelled(Protocol):
    """A container or a task: its name, its labels and its state."""

    @property
    def name(self) -> str:
        """Return its name."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Return its labels."""

    @property
    def status(self) -> str:
        """Return its state: running, or another one."""

    @property
    def health(self) -> str:
        """Return the result of its health check."""


class Place(Struct, frozen=True, kw_only=True):
    """A service in an environment, and the names of its containers."""

    service: str
    environment: str
    flags: tuple[str, ...] = ()
    """Options that name both in a command, if the configuration has several: `--service api`."""
    process: str = ""
    """The process whose containers are meant; empty: those of every process, or of the only one."""

    def command(self, words: str) -> str:
        """Return a command line about this place: `invoke status --environment production`."""
        return command(words, self.flags)

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Place | None:
        """Return the identity of a container; None if no deployment made it."""
        service, environment = labels.get(SERVICE), labels.get(ENVIRONMENT)
        if not (service and environment):
            return None
        return cls(service=service, environment=environment, process=process_of(labels))

    def at(self, process: str) -> Place:
        """Return the same place, limited to one process."""
        return replace(self, process=process)

    @property
    def container(self) -> str:
        """Return the name of the container that serves."""
        return "-".join(filter(None, [self.service, self.environment, self.process]))

    @property
    def any(self) -> str:
        """Return a name on the proxy's network that every container of the place has, in traffic or not."""
        return f"{self.container}-any"

    @property
    def lock(self) -> str:
        """Return the name of the container that is the lock. Names are unique on an engine."""
        return f"release-lock-{self.service}-{self.environment}"

    def labels(self, role: str) -> dict[str, str]:
        """Return the labels of all containers with this role."""
        known = {SERVICE: self.service, ENVIRONMENT: self.environment, ROLE: role}
        return known | {PROCESS: self.process} if self.process else known

    def owns(self, container: ContainerState | Publisher) -> bool:
        """Return whether a deployment to this place made the container, by its labels."""
        return self.labels(SERVING).items() <= container.labels.items()

    def named(self, replica: int) -> str:
        """Return the name of one of several serving containers, counted from 1; the second ends in `.2`."""
        return self.container if replica == 1 else f"{self.container}.{replica}"

    def is_own_name(self, name: str) -> bool:
        """Return whether a container that serves can have this name."""
        first, _, replica = name.rpartition(".")
        return name == self.container or (first == self.container and replica.isdigit())

    def calls(self, container: Labelled) -> bool:
        """Return whether its deployment and process, by its labels, give a container that serves its name."""
        if (process := process_of(container.labels)) != self.process:
            return not self.process and self.at(process).calls(container)
        name, own = container.name, self.fresh(container.labels.get(DEPLOYMENT, ""))
        first, _, replica = name.rpartition(".")
        is_own = name == own or (first == own and replica.isdigit())
        return bool(container.labels.get(DEPLOYMENT)) and (is_own or self.is_own_name(name))

    def fresh(self, deployment: str, replica: int = 1) -> str:
        """Return the name of a new container until it is verified. Until then, the old one keeps its name."""
        return f"{self.container}-{deployment}{'' if replica == 1 else f'.{replica}'}"

    def __str__(self) -> str:
        """Return the place as text: `api in production`, or `api in production (worker)` for one process."""
        where = f"{self.service} in {self.environment}"
        return f"{where} ({self.process})" if self.process else where


def process_of(labels: Mapping[str, str]) -> str:
    """Return the process of a container by its labels; empty for the only one."""
    return labels.get(PROCESS, "")


class ContainerSet(Struct, frozen=True, kw_only=True):
    """The containers of a place: the running ones, and stopped ones of earlier deployments."""

    running: tuple[ContainerState, ...]
    stopped: tuple[ContainerState, ...]
    waiting: tuple[ContainerState, ...] = ()
    """Running containers behind a proxy without requests, which an interrupted deployment left."""
    unclear: str = ""
    """Answer of the proxy, if it does not show which containers get requests."""
    strangers: tuple[ContainerState, ...] = ()
    """Containers with labels of the place, but without proof of a deployment. They are not changed."""

    @property
    def up(self) -> tuple[ContainerState, ...]:
        """Return all running containers, in traffic or not."""
        return (*self.running, *self.waiting)

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids of the running containers."""
        return frozenset(container.id for container in self.up)


def look(engine: Engine, place: Place) -> ContainerSet:
    """Return the containers that the engine has now, found by their labels."""
    containers = tuple(engine.containers(place.labels(SERVING)))
    return ContainerSet(
        running=tuple(container for container in containers if container.status in UP),
        stopped=tuple(container for container in containers if container.status not in UP),
    )


class Identity(Struct, frozen=True, kw_only=True):
    """Identity of a container, by its labels."""

    deployment: str
    version: str
    commit: str
    digest: Digest
    record: str
    """The id of the release's record."""

    def labels(self) -> dict[str, str]:
        """Return the identity as labels."""
        return {
            DEPLOYMENT: self.deployment,
            VERSION: self.version,
            COMMIT: self.commit,
            DIGEST: str(self.digest),
            RECORD: self.record,
        }


def container_spec(
    place: Place,
    identity: Identity,
    spec: RunSpec,
    *,
    image: Digest,
    secrets: Mapping[str, Redacted],
    replica: int = 1,
    labels: Mapping[str, str] | None = None,
) -> ContainerSpec:
    """Return run settings as an engine's container. A secret has priority over a plain value of its name.

    Behind a proxy, a container has two more names on its networks: one that never moves to another container,
    and one that all containers of the place share. `labels` are for the proxy.
    """
    name = place.fresh(identity.deployment, replica)
    return ContainerSpec(
        image=image,
        name=name,
        aliases=(name, place.any) if spec.proxy is not None else (),
        command=spec.command,
        entrypoint=spec.entrypoint or "keep",
        env=spec.env | _variables(spec, secrets),
        files=_files(spec, secrets),
        labels={
            **spec.labels,
            **(labels or {}),
            **place.labels(SERVING),
            **identity.labels(),
            REPLICA: str(replica),
        },
        publish=spec.publish,
        networks=spec.networks,
        volumes=spec.volumes,
        memory=spec.memory,
        cpus=spec.cpus,
        pids=spec.pids,
        user=spec.user,
        read_only=spec.read_only,
        tmpfs=texts(spec.tmpfs, spec.tmpfs_options),
        cap_add=spec.cap_add,
        cap_drop=spec.cap_drop,
        restart=spec.restart,
        stop_grace=spec.stop_grace,
        stop_signal=spec.stop_signal,
        init=spec.init,
        log_driver=spec.log_driver,
        log_options=spec.log_options,
        healthcheck=spec.healthcheck,
    )


def _variables(spec: RunSpec, secrets: Mapping[str, Redacted]) -> dict[str, str]:
    """Return the secrets that are variables, and the paths of secrets that are files."""
    files = spec.secret_files or {}
    plain = {name: value.reveal() for name, value in secrets.items() if name not in files}
    return plain | {f"{name}_FILE": path for name, path in files.items() if name in secrets}


def _files(spec: RunSpec, secrets: Mapping[str, Redacted]) -> tuple[PlacedFile, ...]:
    places = spec.secret_files or {}
    public = [
        PlacedFile(path=path, content=file.content.encode(), mode=file.mode)
        for path, file in (spec.files or {}).items()
    ]
    private = [
        PlacedFile(path=places[name], content=value.reveal().encode(), mode=_OWNER_READS, private=True)
        for name, value in secrets.items()
        if name in places
    ]
    return (*public, *private)


def secrets_in(engine: Engine, container: str, names: Iterable[str]) -> Iterator[Redacted]:
    """Return the values of these secrets in a container of `container_spec`. Raises EngineError."""
    about = engine.inspected(container) or {}
    given = dict(line.partition("=")[::2] for line in (about.get("Config") or {}).get("Env") or ())
    for name in names:
        if name in given:
            yield Redacted(given[name])
        content = engine.read_file(container, given[f"{name}_FILE"]) if f"{name}_FILE" in given else None
        if content is not None:
            yield Redacted(content.decode(errors="replace"))


def describe(containers: Iterable[Labelled]) -> str:
    """Return each container in a few words, for messages that list which containers exist."""
    return ", ".join(_words(container) for container in containers) or "none"


def _words(container: Labelled) -> str:
    version = container.labels.get(VERSION, "unknown version")
    health = f", {container.health}" if container.health != "none" and container.status in UP else ""
    return f"{container.name} ({version}, {container.status}{health})"
