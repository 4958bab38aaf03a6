"""A complete target in memory: instances, images, locks and commands are values in lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from release.config import Environment
from release.deploy.core.adopted_image import AdoptedImage
from release.deploy.core.adoption import Candidate, Reading
from release.deploy.core.drill_request import DRILL, DrillRequest, is_left_behind
from release.deploy.core.finding import Finding
from release.deploy.core.fingerprints import FingerprintKey
from release.deploy.core.image_location import FreeSpace, ImageLocation, Tell
from release.deploy.core.image_survey import ImageState, ImageSurvey
from release.deploy.core.instance import CommandInstance, Difference, Instance, InstanceSet, Report
from release.deploy.core.lock_store import Kept, LockStore
from release.deploy.core.operations import (
    Attachment,
    CommandRequest,
    FailedOutput,
    LogLine,
    LogSource,
    OperationContext,
)
from release.deploy.core.place import MIGRATION, SERVICE, SERVING, Place, describe
from release.deploy.core.rollout import RolloutContext, RolloutRequest, Strategy, Way
from release.deploy.core.upkeep import ImageStore, Needs, Unneeded
from release.errors import (
    DeploymentFailed,
    EngineError,
    LockHeld,
    NameTaken,
    Problem,
    ReleaseError,
    Restored,
    TargetUnavailable,
    UsageError,
)
from release.events import Emit, Notice, ignore_text
from release.images.engine import Engine, StoredImage
from release.programs.cancellation import Cancellation
from release.programs.process import Command
from release.records import Adoption, Deployment, Image, Release
from release.reference import Digest, Repository
from release.runspec import RunSpec
from release.secrets.redact import Mask, Redacted
from release.values import replace

_NOON = "2026-11-20T12:00:00Z"


@dataclass
class Machine:
    """A machine in memory, with everything that targets find on it."""

    host: str = "memory://machine"
    images: dict[Digest, StoredImage] = field(default_factory=dict)
    """The store, by the digest of the manifest."""
    registry: set[Digest] = field(default_factory=set)
    """Images that can be brought."""
    instances: list[Instance] = field(default_factory=list)
    settings: dict[str, RunSpec] = field(default_factory=dict)
    """Settings of each instance, by its id."""
    secrets: dict[str, Mapping[str, Redacted]] = field(default_factory=dict)
    locks: dict[str, Kept] = field(default_factory=dict)
    commands: list[CommandInstance] = field(default_factory=list)
    objects: list[Unneeded] = field(default_factory=list)
    sick: set[Digest] = field(default_factory=set)
    """Images whose instances never become healthy."""
    failing: set[tuple[str, ...]] = field(default_factory=set)
    """Commands that end with status 1."""
    die_before: str = ""
    """The operator's process dies before this step: start, prove, remove."""
    is_operator_dead: bool = False
    """True: the process that runs is dead, so it removes no lock."""
    made: int = 0

    def step(self, name: str) -> None:
        """Die here if a test wants it."""
        if name == self.die_before:
            self.die_before, self.is_operator_dead = "", True
            raise Killed(name)

    def id(self) -> str:
        """Return a new id."""
        self.made += 1
        return f"{self.made:064x}"


class Killed(BaseException):
    """The process of the operator is gone: nothing more of it reaches the target, or the ledger."""


def stored(image: Image, *names: str, labels: Mapping[str, str] | None = None) -> StoredImage:
    """A released image in the store."""
    return stored_digest(Digest(image.digest), *names, labels=labels)


def stored_digest(digest: Digest, *names: str, labels: Mapping[str, str] | None = None) -> StoredImage:
    """An image in the store."""
    return StoredImage(
        id=digest,
        diff_ids=(),
        references=names,
        user="",
        labels=labels or {},
        size=1,
        has_healthcheck=False,
    )


@dataclass(frozen=True)
class Part:
    """A part of the target: the machine, and the place on it."""

    machine: Machine
    place: Place

    def here(self, role: str = SERVING) -> list[Instance]:
        """Return what is there with this role."""
        wanted = self.place.labels(role).items()
        return [each for each in self.machine.instances if wanted <= each.labels.items()]


class MemoryInstances(Part):
    """See `release.deploy.core.target.Instances`."""

    inherit_labels = False
    clock_ahead = 0

    def look(self) -> InstanceSet:
        there = self.here()
        return InstanceSet(
            running=tuple(each for each in there if each.status == "running"),
            stopped=tuple(each for each in there if each.status != "running"),
        )

    def stranger(self) -> Instance | None:
        named = (each for each in self.machine.instances if each.name == self.place.container)
        return next((each for each in named if each not in self.here()), None)

    def report(self) -> Report | None:
        return None

    def drift(
        self,
        deployment: Deployment,
        release: Release | None,
        instances: Iterable[Instance],
        key: FingerprintKey | None,
    ) -> Iterator[Difference]:
        for instance in instances:
            if instance.deployment == deployment.deployment:
                spec = deployment.run_spec.every[instance.process]
                recorded = spec.model_dump(exclude={"secrets"})
                now = self.machine.settings[instance.id].model_dump(exclude={"secrets"})
                for setting in sorted(now):
                    if now[setting] != recorded[setting]:
                        found = f"{now[setting]}, but {recorded[setting]} is recorded"
                        yield Difference(name=instance.name, setting=setting, found=found)

    def secrets(self, instance: Instance, names: Iterable[str]) -> Iterator[Redacted]:
        known = self.machine.secrets.get(instance.id, {})
        yield from (known[name] for name in names if name in known)


class MemoryImages(Part):
    """See `release.deploy.core.target.Images`."""

    builder: Engine | None = None
    no_builder = "the target is in memory"
    without = "the machine does not have it; "

    def id_of(self, image: Image) -> Digest:
        return Digest(image.digest)

    def labels_of(self, image: Image) -> Mapping[str, str] | None:
        found = self.machine.images.get(Digest(image.digest))
        return found.labels if found is not None else None

    def locate(self, image: Image, tell: Tell = ignore_text) -> ImageLocation:
        digest = Digest(image.digest)
        if digest in self.machine.images:
            return ImageLocation(where="engine", stored=self.machine.images[digest])
        tell("asking the registry in memory")
        if digest in self.machine.registry:
            return ImageLocation(where="registry")
        return ImageLocation(where="nowhere", problem=f"neither the machine nor a registry has {digest}")

    def room(self, image: Image, found: ImageLocation) -> FreeSpace:
        return FreeSpace()

    def platform_problems(self, image: Image) -> list[Problem]:
        return []

    def fetch(self, release: Release, spec: RunSpec, found: ImageLocation, emit: Emit) -> None:
        image = release.image
        digest = Digest(image.digest)
        if digest not in self.machine.images and digest not in self.machine.registry:
            raise EngineError(f"pull {digest}", "no registry has it")
        name = str(Repository(image.repository).tagged(release.candidate_tag))
        known = self.machine.images.get(digest, stored(image))
        names = tuple(dict.fromkeys([*known.references, name]))
        self.machine.images[digest] = replace(known, references=names)

    def survey(self, stack: ExitStack) -> ImageSurvey:
        return self

    def look(self, image: Image, *, deep: bool, check: Callable[[], None]) -> ImageState:
        check()
        return ImageState(places=("engine",) if Digest(image.digest) in self.machine.images else ())


class MemoryRollouts(Part):
    """See `release.deploy.core.target.Rollouts`. New instances start beside the old ones."""

    keeps_seals = False

    def settings_problems(self, spec: RunSpec, image: Image | None = None) -> list[Problem]:
        where = f"environments.{self.place.environment}.networks"
        return [Problem(path=where, message=f"there is no network {name}") for name in spec.networks]

    def completed(
        self, spec: RunSpec, settings: Environment, release: Release, root: Path
    ) -> tuple[RunSpec, list[Problem]]:
        return spec, []

    def occupation_problems(self, spec: RunSpec, ours: InstanceSet) -> list[Problem]:
        return []

    def cautions(self) -> tuple[str, ...]:
        return ()

    def strategy(self, spec: RunSpec) -> Strategy:
        return "start-first"

    def describe(self, strategy: Strategy) -> str:
        return f"{strategy}: in memory"

    def patience(self, spec: RunSpec, health_timeout: int) -> int:
        return spec.containers * health_timeout

    def roll_out(self, order: RolloutRequest, means: RolloutContext) -> str:
        if MemoryInstances(self.machine, self.place).look().ids != order.before.ids:
            raise LockHeld(order.attempt, "somebody else changed what runs; nothing was changed")
        self._start(order)
        return self._complete(order, means)

    def _start(self, order: RolloutRequest) -> None:
        self.machine.step("start")
        for process, spec in order.spec.every.items():
            for replica in range(1, spec.replicas + 1):
                self._add(order, order.place.at(process), spec, replica)

    def _add(self, order: RolloutRequest, place: Place, spec: RunSpec, replica: int) -> None:
        one = Instance(
            id=self.machine.id(),
            name=place.fresh(order.identity.deployment, replica),
            image=Digest(order.image.digest),
            status="running",
            health="none",
            restarts=0,
            started_at=_NOON,
            labels={**spec.labels, **place.labels(SERVING), **order.identity.labels()},
            process=place.process,
        )
        self.machine.instances.append(one)
        self.machine.settings[one.id] = spec
        self.machine.secrets[one.id] = order.secrets

    def _new(self, order: RolloutRequest) -> list[Instance]:
        return [each for each in self.here() if each.deployment == order.identity.deployment]

    def _complete(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Prove the new instances, then remove the others; put back where that fails."""
        try:
            self.machine.step("prove")
            means.cancellation.check()
            evidence = self._proven(self._new(order), order.spec)
        except ReleaseError as error:
            raise self._given_back(order, means, error) from error
        self.machine.step("remove")
        means.still_mine()
        self._remove(each for each in self.here() if each.deployment != order.identity.deployment)
        return evidence

    def _proven(self, instances: Sequence[Instance], spec: RunSpec) -> str:
        sick = [each for each in instances if each.image in self.machine.sick]
        if sick or len(instances) != spec.containers:
            raise DeploymentFailed("prove it", f"not healthy: {describe(sick)}")
        return f"{len(instances)} of {spec.containers} instances are healthy"

    def _given_back(
        self, order: RolloutRequest, means: RolloutContext, error: ReleaseError
    ) -> DeploymentFailed:
        means.still_mine()
        self._remove(self._new(order))
        left, found = self.here(), means.mask(error.found)
        if not left:
            return DeploymentFailed(order.attempt, f"{found}; no release ran before, and none runs now")
        return Restored(order.attempt, f"{found}; what ran before still runs: {describe(left)}")

    def _remove(self, instances: Iterable[Instance]) -> None:
        for each in list(instances):
            self.machine.instances.remove(each)

    def objection(self, order: RolloutRequest, way: Way) -> UsageError | None:
        if way == "revert" or self._new(order):
            return None
        return UsageError(f"finish {order}", "nothing of it was started", "revert it: --revert")

    def resume(self, order: RolloutRequest, means: RolloutContext) -> str:
        return self._complete(order, means)

    def retract(self, order: RolloutRequest, means: RolloutContext) -> str:
        ended = self._given_back(order, means, DeploymentFailed(order.attempt, "it was interrupted"))
        if isinstance(ended, Restored):
            return ended.found
        raise ended

    def verify(self, order: RolloutRequest, means: RolloutContext) -> str:
        return self._proven(self._new(order), order.spec)


class MemoryCommands(Part):
    """See `release.deploy.core.target.Commands`."""

    def refusal(self, image: Image) -> str:
        digest = Digest(image.digest)
        return "" if digest in self.machine.images else f"the machine does not have {digest}"

    def name(self, deployment: str, kind: str) -> str:
        return f"{self.place.fresh(deployment)}-{kind}"

    def advice(self, command: str) -> str:
        return f"wait for {command}"

    def every(self) -> tuple[CommandInstance, ...]:
        wanted = self.place.labels(MIGRATION).items()
        return tuple(each for each in self.machine.commands if wanted <= each.labels.items())

    def start(self, request: CommandRequest, emit: Emit, cancellation: Cancellation) -> str:
        cancellation.check()
        argv = request.command
        one = CommandInstance(
            id=self.machine.id(),
            name=request.name,
            image=Digest(request.image.digest),
            status="running" if "sleep" in argv[-1] else "exited",
            health="none",
            restarts=0,
            started_at=_NOON,
            labels=request.place.labels(request.role) | request.identity.labels(),
            exit_code=3 if "exit 3" in argv[-1] else int(argv in self.machine.failing),
            argv=argv,
        )
        self.machine.commands.append(one)
        return one.id

    def _get(self, command: str) -> CommandInstance:
        found = next((each for each in self.machine.commands if each.id == command), None)
        if found is None:
            raise EngineError(f"use the command {command}", "there is none")
        return found

    def wait(self, command: str, *, timeout: int, cancellation: Cancellation) -> int:
        if self._get(command).status == "running":
            raise TimeoutError
        return self._get(command).exit_code

    def follow(self, command: str, cancellation: Cancellation) -> Iterator[str]:
        yield from self.logs(command, lines=1)

    def stop(self, command: str) -> None:
        found = self._get(command)
        self.machine.commands.remove(found)
        if found.status == "running":
            found = replace(found, status="exited", exit_code=137)
        self.machine.commands.append(found)

    def logs(self, command: str, *, lines: int) -> tuple[str, ...]:
        return (f"ran {' '.join(self._get(command).argv)}", "done")

    def keep_output(self, command: str, kind: str, mask: Mask) -> bool:
        return False

    def remove(self, command: str) -> None:
        self.machine.commands.remove(self._get(command))


class MemoryOperations(Part):
    """See `release.deploy.core.operations.Operations`. Nothing writes any output."""

    def refusal(self, what: str) -> str:
        return "" if what in ("logs", "restart", "stop", "start") else f"a machine in memory cannot {what}"

    def _set(self, instances: Sequence[Instance], status: str) -> str:
        names = {each.name for each in instances}
        there = self.machine.instances
        self.machine.instances = [
            replace(each, status=status) if each.name in names else each for each in there
        ]
        return f"{', '.join(sorted(names))}: {status}"

    def stop(self, instances: Sequence[Instance], context: OperationContext) -> str:
        context.still_mine()
        return self._set(instances, "exited")

    def start(self, instances: Sequence[Instance], context: OperationContext) -> str:
        context.still_mine()
        return self._set(instances, "running")

    def restart(self, instances: Sequence[Instance], context: OperationContext) -> str:
        self.stop(instances, context)
        return self.start(instances, context)

    def one_offs(self) -> tuple[Instance, ...]:
        return ()

    def sources(self, instances: Sequence[Instance]) -> tuple[LogSource, ...]:
        return ()

    def read(
        self,
        source: LogSource,
        *,
        last: int | None,
        since: datetime | None,
        follow: bool,
        cancellation: Cancellation,
    ) -> Iterator[LogLine]:
        return iter(())

    def failed(self) -> FailedOutput | None:
        return None

    def begin(self, request: CommandRequest, emit: Emit) -> str:
        raise NotImplementedError(self.refusal("run"))

    def attach(self, container: str, attachment: Attachment) -> int:
        raise NotImplementedError(self.refusal("run"))

    def execution(self, instance: Instance, command: Sequence[str], *, has_terminal: bool) -> Command:
        raise NotImplementedError(self.refusal("exec"))

    def end(self, container: str, *, grace: int) -> int | None:
        raise NotImplementedError(self.refusal("run"))

    def advice(self, command: str) -> str:
        return ""


class MemoryDrills(Part):
    """See `release.deploy.core.target.Drills`."""

    what = "instance"
    where = "in memory"

    def name(self, request: DrillRequest) -> str:
        return request.name

    def problems(self, request: DrillRequest) -> list[Problem]:
        return []

    def unchecked(self, request: DrillRequest) -> tuple[str, ...]:
        return ()

    def remove_leftovers(self, request: DrillRequest, emit: Emit) -> None:
        for each in list(self.machine.instances):
            is_drills = request.place.labels(DRILL).items() <= each.labels.items()
            if is_drills and is_left_behind(each.labels):
                emit(Notice(text=f"removing {each.name} of a killed drill"))
                self.machine.instances.remove(each)

    def fetch(self, request: DrillRequest, found: ImageLocation, emit: Emit) -> None:
        MemoryImages(self.machine, self.place).fetch(request.target.body, request.spec, found, emit)

    def rehearse(self, request: DrillRequest, context: RolloutContext) -> str:
        image = Digest(request.target.body.image.digest)
        one = Instance(
            id=self.machine.id(),
            name=request.name,
            image=image,
            status="running",
            health="none",
            restarts=0,
            started_at=_NOON,
            labels=request.identity.labels() | request.labels,
        )
        self.machine.instances.append(one)
        self.machine.step("prove")
        context.cancellation.check()
        if image in self.machine.sick:
            raise DeploymentFailed(f"drill {request.target.body.version}", "it is not healthy")
        return "1 of 1 instances are healthy"

    def remove(self, request: DrillRequest, context: RolloutContext) -> None:
        wanted = (request.name, request.drill)
        mine = [each for each in self.machine.instances if (each.name, each.deployment) == wanted]
        for each in mine:
            self.machine.instances.remove(each)


class MemoryAdoptions(Part):
    """See `release.deploy.core.adoption.Adoptions`. Such an instance has none of our labels."""

    kind = "instance"
    stops_first = True

    def _foreign(self) -> list[Instance]:
        return [each for each in self.machine.instances if SERVICE not in each.labels]

    def candidates(self) -> Sequence[Candidate]:
        return [
            Candidate(
                id=each.id, name=each.name, image=f"localhost/api@{each.image}", ports=frozenset({8080})
            )
            for each in self._foreign()
            if each.status == "running"
        ]

    def read(self, candidate: Candidate) -> Reading:
        (one,) = (each for each in self._foreign() if each.id == candidate.id)
        odd = {"hostname": "web-1"} if one.labels.get("odd") else {}
        return Reading(
            image=one.image,
            references=(Repository("localhost/api").at(one.image),),
            platform="linux/amd64",
            spec=self.machine.settings[one.id],
            secrets=self.machine.secrets.get(one.id, {}),
            unexpressed=odd,
            dropped={"labels.compose": "project shop"},
            notes=("it has its own name",),
            trouble=one.labels.get("trouble", ""),
        )

    def describe(self, reading: Reading, attempted: str, tell: Tell) -> AdoptedImage:
        assert reading.image is not None
        if reading.image not in self.machine.images:
            raise TargetUnavailable(attempted, "no registry has it", "push it")
        image = Image(
            repository="localhost/api",
            digest=str(reading.image),
            media_type="application/vnd.oci.image.manifest.v1+json",
            size=1,
            platform="linux/amd64",
            config_digest=str(reading.image),
            layers=(),
        )
        labels = self.machine.images[reading.image].labels
        return AdoptedImage(image=image, created="2026-11-01T12:00:00.000Z", labels=labels)

    def _same(self, adopted: Adoption) -> list[Instance]:
        return [each for each in self._foreign() if each.id == adopted.id]

    def instances(self, adopted: Adoption) -> Sequence[Instance]:
        return [each for each in self._same(adopted) if each.status == "running"]

    def exists(self, adopted: Adoption) -> bool:
        return bool(self._same(adopted))

    def _becomes(self, adopted: Adoption, status: str) -> None:
        for each in self._same(adopted):
            self.machine.instances.remove(each)
            self.machine.instances.append(replace(each, status=status))

    def stop(self, adopted: Adoption, context: RolloutContext) -> None:
        self._becomes(adopted, "exited")
        self.machine.step("stopped")

    def start(self, adopted: Adoption, context: RolloutContext, timeout: int) -> str:
        if adopted.image in map(str, self.machine.sick):
            raise DeploymentFailed(f"start {adopted}", "it is not healthy")
        self._becomes(adopted, "running")
        return "1 of 1 instances runs"


class MemoryStore(Part):
    """See `release.deploy.core.upkeep.ImageStore`."""

    node = ""
    names_by_manifest = True

    @property
    def host(self) -> str:
        return self.machine.host

    def images(self, repository: Repository | None) -> Sequence[StoredImage]:
        def has(image: StoredImage) -> bool:
            return repository is None or any(name.startswith(f"{repository}:") for name in image.references)

        return [image for image in self.machine.images.values() if has(image)]

    def used(self) -> Mapping[Digest, str]:
        return {each.image: each.name for each in self.machine.instances}

    def untag(self, name: str) -> None:
        for digest, image in list(self.machine.images.items()):
            left = tuple(each for each in image.references if each != name)
            self.machine.images[digest] = replace(image, references=left)
            if not left:
                del self.machine.images[digest]


class MemoryUpkeep(Part):
    """See `release.deploy.core.target.Upkeep`."""

    def machine_findings(self, name: str) -> Iterator[Finding]:
        yield Finding(name=f"{name}: engine", well=True, found=f"{self.machine.host} is in memory")

    def cluster_findings(self, name: str) -> Iterator[Finding]:
        return iter(())

    def stores(self, stack: ExitStack, emit: Emit) -> Sequence[ImageStore]:
        return (MemoryStore(self.machine, self.place),)

    def remove(self, instance: Instance) -> None:
        self.machine.instances.remove(instance)

    def unneeded(self, needs: Needs) -> tuple[Unneeded, ...]:
        return tuple(self.machine.objects)

    def drop(self, unneeded: Unneeded) -> None:
        self.machine.objects.remove(unneeded)


class MemoryLockStore(Part):
    """See `release.deploy.core.lock_store.LockStore`."""

    def put(self, name: str, metadata: Mapping[str, str], payload: str) -> None:
        if name in self.machine.locks:
            raise NameTaken(f"make {name}", "it exists")
        made = Kept(id=self.machine.id(), metadata=dict(metadata), payload=payload)
        self.machine.locks[name] = made

    def get(self, name: str) -> Kept | None:
        return self.machine.locks.get(name)

    def drop(self, kept: str) -> None:
        for name, lock in list(self.machine.locks.items()):
            if lock.id == kept and not self.machine.is_operator_dead:
                del self.machine.locks[name]

    def now(self) -> datetime:
        return datetime.now(UTC)


class MemoryTarget(Part):
    """A place on a machine in memory. See `release.deploy.core.target.Target`."""

    lock_needs_image = False

    @property
    def name(self) -> str:
        return self.machine.host

    @property
    def instances(self) -> MemoryInstances:
        return MemoryInstances(self.machine, self.place)

    @property
    def images(self) -> MemoryImages:
        return MemoryImages(self.machine, self.place)

    @property
    def rollouts(self) -> MemoryRollouts:
        return MemoryRollouts(self.machine, self.place)

    @property
    def commands(self) -> MemoryCommands:
        return MemoryCommands(self.machine, self.place)

    @property
    def drills(self) -> MemoryDrills:
        return MemoryDrills(self.machine, self.place)

    @property
    def operations(self) -> MemoryOperations:
        return MemoryOperations(self.machine, self.place)

    @property
    def upkeep(self) -> MemoryUpkeep:
        return MemoryUpkeep(self.machine, self.place)

    @property
    def adoptions(self) -> MemoryAdoptions:
        return MemoryAdoptions(self.machine, self.place)

    def lock_store(self, image: Digest | None = None) -> LockStore:
        return MemoryLockStore(self.machine, self.place)
