"""A small honest engine in memory: it keeps containers, and refuses what it does not expect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from release.deploy.core.instance import CommandInstance, Instance
from release.deploy.core.lock import Holder
from release.deploy.core.lock_store import Kept as Lock
from release.deploy.core.lock_store import as_labels, from_labels
from release.deploy.targets.engine.instances import instance_of
from release.errors import EngineError, NameTaken, PortTaken
from release.images.engine import ContainerSpec, ContainerState, Engine, EngineInfo, Executed, StoredImage
from release.images.output_frames import LOG_LIMIT, LONGEST_LINE, OUTPUT_LIMIT
from release.images.values import PublishedPort, Publisher
from release.ledger.query import Event
from release.programs.cancellation import Cancellation
from release.records import (
    Actor,
    Base,
    BuildInputs,
    Deployment,
    Draft,
    Image,
    LockFile,
    Record,
    Release,
    Run,
    SmokeSpec,
    Source,
)
from release.reference import Digest, Repository
from release.runspec import Probe, RunSpec
from release.values import replace

ACTOR = Actor(name="Ada Lovelace", email="ada@example.org")
MOMENT = "2026-11-20T10:00:00.000Z"


def digest(text: str) -> Digest:
    """A digest of its own for each text."""
    return Digest.of(text.encode())


def state(name: str = "api-production", **changes: Any) -> ContainerState:
    """A running container."""
    known = ContainerState(
        id=f"id-{name}",
        name=name,
        image=digest("image"),
        status="running",
        health="none",
        exit_code=0,
        restarts=0,
        oom_killed=False,
        started_at="2026-11-20T10:00:00Z",
        labels={},
        ports={},
        address=None,
    )
    return replace(known, **changes)


def instance(name: str = "api-production", **changes: Any) -> Instance:
    """The same as an instance."""
    return instance_of(state(name, **changes))


def command(name: str, exit_code: int = 0, argv: tuple[str, ...] = (), **changes: Any) -> CommandInstance:
    """A container of a command that changes the data."""
    one = state(name, **changes)
    return CommandInstance(
        id=one.id,
        name=name,
        image=one.image,
        status=one.status,
        health=one.health,
        restarts=one.restarts,
        started_at=one.started_at,
        labels=one.labels,
        exit_code=exit_code,
        argv=argv,
    )


def lock_labels(holder: Holder) -> dict[str, str]:
    """The labels of a lock of this holder."""
    return as_labels(holder.metadata(), holder.journal)


def holder_in(labels: Mapping[str, str]) -> Holder:
    """The holder that these labels of a lock name."""
    metadata, payload = from_labels(labels)
    return Holder.parse(Lock(id="", metadata=metadata, payload=payload))


def release(version: str = "0.1.0", **changes: Any) -> Record[Release]:
    """A release record; `packages`, `bases` and `commit` may be given."""
    body = Release(
        version=version,
        image=Image(
            repository="localhost/api",
            digest=str(digest(f"manifest {version}")),
            media_type="application/vnd.oci.image.manifest.v1+json",
            size=1,
            platform="linux/amd64",
            config_digest=str(digest(f"config {version}")),
            layers=(),
        ),
        source=Source(
            commit=changes.get("commit", version.replace(".", "") * 14)[:40].ljust(40, "0"),
            tree="a" * 40,
            commit_time=MOMENT,
            tag=f"v{version}",
        ),
        lock=LockFile(
            kind="pip", path="requirements.txt", sha256="a" * 64, packages=changes.get("packages", {})
        ),
        bases=tuple(
            Base(reference=name, digest=str(digest(text))) for name, text in changes.get("bases", {}).items()
        ),
        build=BuildInputs(
            dockerfile="Dockerfile",
            dockerfile_sha256="a" * 64,
            context=".",
            args={},
            labels={},
            source_date_epoch=0,
            buildkit="1",
            buildx="1",
            engine="1",
            exporter="containerd",
        ),
        gates=(),
        smoke=SmokeSpec(
            probe=Probe(port=8000, path="/healthz"),
            memory=1,
            pids=1,
            read_only=True,
            tmpfs=(),
            env={},
            stop_grace=1,
        ),
    )
    return _draft(body).at(1, None)


def _draft(body: Any) -> Draft[Any]:
    return Draft(service="api", recorded_at=MOMENT, actor=ACTOR, run=Run(id="run"), tool="release", body=body)


def event(of: Record[Release], spec: RunSpec, **changes: Any) -> Event:
    """A healthy deployment of a release."""
    deployment = Deployment(
        deployment=changes.get("deployment", "0123456789ab"),
        environment="production",
        release=of.id,
        digest=of.body.image.digest,
        run_spec=spec,
        reason="promote",
        message=changes.get("message", ""),
        status="healthy",
    )
    return Event(deployment=deployment, recorded_at=MOMENT, actor=ACTOR, run=Run(id="run"), record="a" * 64)


@dataclass
class Kept:
    """A container of the fake, with what it was made from."""

    spec: ContainerSpec
    state: ContainerState
    logs: tuple[str, ...] = ()


INFO = EngineInfo(name="fake", version="1", api_version="1", platform="linux/amd64", image_store="containerd")


@dataclass(frozen=True, kw_only=True)
class RolloutRequest:
    """A program that is to run in a container."""

    container: str
    argv: Sequence[str]
    env: Mapping[str, str]
    timeout: int
    cancellation: Cancellation | None
    limit: int = OUTPUT_LIMIT


@dataclass
class FakeEngine(Engine):
    """Containers in memory. `starting` says what becomes of a container that is started."""

    host: str = "unix:///var/run/docker.sock"
    info: EngineInfo = INFO
    kept: list[Kept] = field(default_factory=list)
    starting: Callable[[Kept], ContainerState] = lambda kept: replace(kept.state, status="running")
    calls: list[str] = field(default_factory=list)
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    images: tuple[StoredImage, ...] = ()
    breaking: Mapping[str, BaseException] = field(default_factory=dict)
    """Calls that fail, as "stop api-production"."""
    stopping: set[str] = field(default_factory=set)
    """Names of running containers that got their stop signal already."""

    def add(self, known: ContainerState) -> Kept:
        """A container that is there already."""
        kept = Kept(spec=ContainerSpec(image=known.image, name=known.name), state=known)
        self.kept.append(kept)
        return kept

    def names(self) -> dict[str, str]:
        """Names and states of what is there."""
        return {kept.state.name: kept.state.status for kept in self.kept}

    def _call(self, verb: str, name: str) -> None:
        self.calls.append(f"{verb} {name}")
        if f"{verb} {name}" in self.breaking:
            raise self.breaking[f"{verb} {name}"]

    def _get(self, container: str) -> Kept:
        found = [kept for kept in self.kept if container in (kept.state.id, kept.state.name)]
        if not found:
            raise EngineError(f"use the container {container}", "there is none")
        return found[0]

    def create(self, spec: ContainerSpec) -> str:
        name = spec.name or f"nameless-{len(self.kept)}"
        self._call("create", name)
        if name in self.names():
            raise NameTaken(f"create {name}", "it exists")
        made = state(name, id=f"id-{name}", image=spec.image, status="created", labels=dict(spec.labels))
        self.kept.append(Kept(spec=spec, state=made))
        return made.id

    def start(self, container: str) -> None:
        kept = self._get(container)
        self._call("start", kept.state.name)
        kept.state = self.starting(kept)

    def stop(self, container: str, *, grace: int) -> None:
        kept = self._get(container)
        self._call("stop", kept.state.name)
        if kept.state.status == "running":
            kept.state = replace(kept.state, status="exited")

    def is_stopping(self, state: ContainerState) -> bool:
        return state.status == "running" and state.name in self.stopping

    def remove(self, container: str) -> None:
        kept = self._get(container)
        self._call("remove", kept.state.name)
        self.kept.remove(kept)

    def rename(self, container: str, name: str) -> None:
        kept = self._get(container)
        self._call("rename", f"{kept.state.name} {name}")
        kept.state = replace(kept.state, name=name)

    def state(self, container: str) -> ContainerState | None:
        found = [kept.state for kept in self.kept if container in (kept.state.id, kept.state.name)]
        return found[0] if found else None

    def inspected(self, container: str) -> Mapping[str, Any] | None:
        found = [kept for kept in self.kept if kept.state.id == container]
        env = [f"{name}={value}" for kept in found for name, value in kept.spec.env.items()]
        return {"Config": {"Env": env}} if found else None

    def containers(self, labels: Mapping[str, str]) -> Sequence[ContainerState]:
        return [kept.state for kept in self.kept if labels.items() <= kept.state.labels.items()]

    def publishers(self) -> Sequence[Publisher]:
        there = [kept.state for kept in self.kept if kept.state.status in ("running", "restarting", "paused")]
        return [
            Publisher(
                name=one.name,
                labels=one.labels,
                places=frozenset(
                    PublishedPort(address=address, port=port) for address, port in one.ports.values()
                ),
            )
            for one in there
        ]

    def logs(
        self, container: str, *, lines: int, limit: int = LOG_LIMIT, longest: int | None = LONGEST_LINE
    ) -> tuple[str, ...]:
        return self._get(container).logs[-lines:]

    def last_timed_lines(self, container: str, *, lines: int, limit: int) -> list[tuple[str, str]]:
        return [("2026-11-20T10:00:00Z", text) for text in self._get(container).logs[-lines:]]

    def has_network(self, name: str) -> bool:
        return name in self.networks

    def has_volume(self, name: str) -> bool:
        return name in self.volumes

    def find(self, *, digest: Digest, config_digest: Digest) -> StoredImage | None:
        return next((image for image in self.images if image.id == digest), None)

    def execute(
        self,
        container: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        timeout: int,
        cancellation: Cancellation | None = None,
        limit: int = OUTPUT_LIMIT,
    ) -> Executed:
        return self.ran(
            RolloutRequest(
                container=container,
                argv=argv,
                env=env,
                timeout=timeout,
                cancellation=cancellation,
                limit=limit,
            )
        )

    def ran(self, order: RolloutRequest) -> Executed:
        """What comes of a program in a container: for a test that expects one."""
        raise AssertionError(f"no test expects {order}")

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise AssertionError("the code under test asks for something that no test expects")

    def named_images(self, repository: Repository | None) -> Sequence[StoredImage]:
        return self.images

    pull = tag = untag = push = inspect = wait = follow = read_file = exported = _refuse


def taken_port(kept: Kept) -> ContainerState:
    """A start that fails because a port is in use."""
    raise PortTaken(f"start {kept.state.name}", "port 8080 is published by other")


def stored(of: Digest) -> StoredImage:
    """An image in the store."""
    return StoredImage(id=of, diff_ids=(), references=(), user="", labels={}, size=1, has_healthcheck=False)
