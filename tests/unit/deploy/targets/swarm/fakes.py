"""A small honest Swarm in memory: versions guard specs, tasks are made as a test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from release.deploy.core.instance import InstanceSet
from release.deploy.core.place import DEPLOYMENT, Identity, Place
from release.deploy.core.rollout import RolloutContext, RolloutRequest
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.objects import (
    Membership,
    Network,
    Node,
    Service,
    Stored,
    Task,
    image_digest,
)
from release.deploy.targets.swarm.stores import Kind
from release.errors import EngineError, EngineUnreachable, NameTaken
from release.events import Event
from release.programs.cancellation import Cancellation
from release.reference import Digest, Reference
from release.runspec import RunSpec
from release.secrets.redact import Mask, Redacted
from release.targetspec import SwarmSpec
from release.values import replace
from tests.unit.deploy import fakes

PLACE = Place(service="api", environment="production")
RELEASE = fakes.release("0.2.0")

Tasks = Callable[[Service], list[Task]]


def node(name: str = "a", **changes: Any) -> Node:
    known = Node(
        id=f"id-{name}", name=name, address="", is_ready=True, availability="active", is_manager=True
    )
    return replace(known, **changes)


def task(service: Service, slot: int = 1, **changes: Any) -> Task:
    """A running task of the service as it is now."""
    container = service.spec["TaskTemplate"]["ContainerSpec"]
    known = Task(
        id=f"task-{service.version}-{slot}",
        slot=slot,
        node="id-a",
        image=image_digest(container["Image"]),
        labels=container.get("Labels") or {},
        desired="running",
        state="running",
        error="",
        message="",
        exit_code=None,
        created_at="2026-11-20T10:00:00Z",
    )
    return replace(known, **changes)


def all_run(service: Service) -> list[Task]:
    """Every task of the newest spec, and no others."""
    count = service.spec["Mode"]["Replicated"]["Replicas"]
    return [task(service, slot) for slot in range(1, count + 1)]


@dataclass(kw_only=True)
class FakeSwarm:
    """What a Swarm keeps. `steps` happen before each reading of the service."""

    there: Service | None = None
    tasks_of: Tasks = all_run
    machines: list[Node] = field(default_factory=lambda: [node()])
    kept: dict[str, tuple[Kind, str, Mapping[str, str]]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    steps: list[Callable[[], None]] = field(default_factory=list)
    lose_answers: int = 0
    """How many writes are done, and their answers lost."""

    own: str = "id-a"
    """The id of the node whose engine is talked to."""
    manages: bool = True
    trouble: str = ""
    """Why it cannot tell of its Swarm."""
    others: list[Service] = field(default_factory=list)
    """Services that are not ours."""
    engine: Any = field(default_factory=fakes.FakeEngine)

    def service(self, name: str) -> Service | None:
        if self.steps:
            self.steps.pop(0)()
        return self.there

    def create(self, spec: Mapping[str, Any], image: Reference) -> str:
        self.calls.append("create")
        if self.there is not None:
            raise NameTaken("create the service", "there is one")
        self.there = service(spec, version=1)
        self._answer()
        return self.there.id

    def update(self, known: Service, spec: Mapping[str, Any], image: Reference | None) -> bool:
        self.calls.append("update")
        if self.there is None or known.version != self.there.version:
            return False
        self.there = service(spec, version=known.version + 1, previous=self.there.spec)
        self._answer()
        return True

    def remove(self, known: str) -> None:
        self.calls.append("remove")
        self.there = None

    def tasks(self, known: str) -> tuple[Task, ...]:
        if self.there is None:
            raise EngineError("list the tasks", "there is no such service")
        return tuple(self.tasks_of(self.there))

    def all_tasks(self) -> tuple[Task, ...]:
        return tuple(self.tasks_of(self.there)) if self.there is not None else ()

    def output(self, known: str, *, lines: int) -> tuple[str, ...]:
        return ("its last words: canary-secret",)

    def nodes(self) -> tuple[Node, ...]:
        return tuple(self.machines)

    def membership(self) -> Membership:
        return Membership(
            is_active=True, is_manager=self.manages, managers=(), node=self.own, trouble=self.trouble
        )

    def services(self, labels: Mapping[str, str] | None = None) -> tuple[Service, ...]:
        every = (*([self.there] if self.there is not None else []), *self.others)
        return tuple(each for each in every if (labels or {}).items() <= each.labels.items())

    def network(self, name: str) -> Network | None:
        return Network(id=f"id-{name}", is_for_services=True)

    def store(self, kind: Kind, name: str, content: Redacted, labels: Mapping[str, str]) -> str:
        if name in self.kept:
            raise NameTaken(f"create {name}", "there is one")
        self.kept[name] = (kind, content.reveal(), labels)
        return f"id-{name}"

    def find(self, kind: Kind, name: str) -> Stored | None:
        return Stored(id=f"id-{name}", name=name, labels=self.kept[name][2]) if name in self.kept else None

    def stored(self, kind: Kind, labels: Mapping[str, str]) -> tuple[Stored, ...]:
        chosen = [
            name for name, (of, _, own) in self.kept.items() if of == kind and labels.items() <= own.items()
        ]
        return tuple(Stored(id=f"id-{name}", name=name, labels=self.kept[name][2]) for name in chosen)

    def relabel(self, kind: Kind, known: str, labels: Mapping[str, str]) -> None:
        name = known.removeprefix("id-")
        self.kept[name] = (*self.kept[name][:2], labels)

    def drop(self, kind: Kind, known: str) -> None:
        self.kept.pop(known.removeprefix("id-"))

    def content(self, known: str) -> str:
        return self.kept[known.removeprefix("id-")][1]

    def _answer(self) -> None:
        if self.lose_answers:
            self.lose_answers -= 1
            raise EngineUnreachable("update the service", "it closed the connection")


def _kept(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """As a Swarm keeps a spec: without empty lists."""
    return {
        key: _kept(value) if isinstance(value, dict) else value for key, value in spec.items() if value != []
    }


@dataclass(kw_only=True)
class ManyServices(FakeSwarm):
    """A Swarm in memory with several services, by their names."""

    table: dict[str, Service] = field(default_factory=dict)
    made: int = 0

    def _named(self, known: str) -> Service | None:
        return next((each for each in self.table.values() if known in (each.id, each.name)), None)

    def service(self, name: str) -> Service | None:
        if self.steps:
            self.steps.pop(0)()
        return self._named(name)

    def create(self, spec: Mapping[str, Any], image: Reference) -> str:
        name = str(spec["Name"])
        self.calls.append(f"create {name}")
        if name in self.table:
            raise NameTaken("create the service", "there is one")
        self.made += 1
        self.table[name] = service(_kept(spec), name=name, id=f"id-{name}-{self.made}")
        self._answer()
        return self.table[name].id

    def update(self, known: Service, spec: Mapping[str, Any], image: Reference | None) -> bool:
        self.calls.append(f"update {known.name}")
        now = self._named(known.id)
        if now is None or known.version != now.version:
            return False
        self.table[now.name] = replace(now, spec=_kept(spec), version=now.version + 1, previous=now.spec)
        self._answer()
        return True

    def remove(self, known: str) -> None:
        found = self._named(known)
        self.calls.append(f"remove {found.name if found is not None else known}")
        if found is not None:
            del self.table[found.name]

    def tasks(self, known: str) -> tuple[Task, ...]:
        found = self._named(known)
        if found is None:
            raise EngineError("list the tasks", "there is no such service")
        return tuple(self.tasks_of(found))

    def all_tasks(self) -> tuple[Task, ...]:
        return tuple(task for each in self.table.values() for task in self.tasks_of(each))

    def services(self, labels: Mapping[str, str] | None = None) -> tuple[Service, ...]:
        return tuple(each for each in self.table.values() if (labels or {}).items() <= each.labels.items())


def real(fake: FakeSwarm) -> Swarm:
    """For what asks for the real type."""
    return cast(Swarm, fake)


def service(spec: Mapping[str, Any], **changes: Any) -> Service:
    known = Service(
        id="id-service",
        name="api-production",
        version=1,
        spec=spec,
        updated_at="2026-11-20T10:00:00Z",
        update=None,
        update_message="",
    )
    return replace(known, **changes)


def order(
    deployment: str = "2" * 12, *, before: InstanceSet | None = None, **settings: Any
) -> RolloutRequest:
    """To run 0.2.0; the settings are those of RunSpec."""
    quick: dict[str, Any] = {"swarm": SwarmSpec(monitor=0), "stop_grace": 1}
    return RolloutRequest(
        place=PLACE,
        identity=Identity(
            deployment=deployment,
            version="0.2.0",
            commit="c" * 40,
            digest=Digest(RELEASE.body.image.digest),
            record=RELEASE.id,
        ),
        image=RELEASE.body.image,
        spec=RunSpec(**{**quick, **settings}),
        secrets={name: Redacted(f"value of {name}") for name in settings.get("secrets", {})},
        before=before or InstanceSet(running=(), stopped=()),
        old=RunSpec(**quick),
        health_timeout=400,
    )


def means(said: list[Event] | None = None, cancellation: Cancellation | None = None) -> RolloutContext:
    return RolloutContext(
        emit=(said if said is not None else []).append,
        cancellation=cancellation or Cancellation(),
        mask=Mask([Redacted("canary-secret")]),
    )


def deployment_of(fake: FakeSwarm) -> str:
    """Which deployment the service is of; empty when there is none."""
    return str(fake.there.labels[DEPLOYMENT]) if fake.there is not None else ""
