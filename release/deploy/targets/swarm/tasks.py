"""The tasks of a service, sorted by what they mean for a deployment. Pure: nothing is asked here.

A Swarm calls a task running when its container is, and where the image has a health check, when that is well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from release.deploy.core.instance import Placed
from release.deploy.core.place import DEPLOYMENT, VERSION
from release.deploy.targets.swarm.objects import Node, Service, Task
from release.values import Struct

BY_ITSELF: Final = ("failed", "rejected", "complete")
"""States of a task that ended without being told to. One that a Swarm moves elsewhere is in none of them."""
_ENDED: Final = (*BY_ITSELF, "shutdown", "remove", "orphaned")
_STATES: Final = (
    "new",
    "pending",
    "assigned",
    "accepted",
    "preparing",
    "ready",
    "starting",
    "running",
)
"""States of a task that starts, in this order."""


class View(Struct, frozen=True, kw_only=True):
    """Tasks of a service at one time, sorted for one deployment."""

    service: Service
    wanted: int
    good: tuple[Task, ...]
    """Running tasks of the deployment, on nodes that answer."""
    ended: tuple[Task, ...]
    """Tasks of the deployment that ended by themselves."""
    waiting: tuple[Task, ...]
    """Tasks of the deployment that are starting."""
    others: tuple[Task, ...]
    """Tasks of other deployments that have not ended, on nodes that answer."""
    lost: tuple[Task, ...]
    """Tasks on silent nodes that have not ended, as far as the Swarm knows."""
    nodes: Mapping[str, Node]

    @property
    def is_settled(self) -> bool:
        """Return whether all wanted tasks run, and no others that can be seen."""
        return len(self.good) == self.wanted and not self.others and not self.waiting

    @property
    def score(self) -> int:
        """Return a number that grows with progress."""
        steps = sum(_STATES.index(task.state) for task in self.waiting if task.state in _STATES)
        return len(self.good) * len(_STATES) + steps - len(self.others)

    def __str__(self) -> str:
        """Return as text how many tasks run, and the state of the others."""
        rest = [*self.waiting, *self.others]
        return "; ".join([f"{len(self.good)} of {self.wanted} tasks run", *map(self.describe, rest)])

    def describe(self, task: Task) -> str:
        """Return one task as text: its node, version and state."""
        node = self.nodes.get(task.node)
        where = f" on {node_name(node, task.node)}" if task.node else ""
        silent = "" if node is None or node.is_ready else " (does not answer)"
        error = f": {task.error}" if task.error else ""
        version = task.labels.get(VERSION, "unknown version")
        return f"{self.service.name}.{task.slot}{where}{silent}: {version} {task.state}{error}"

    def all(self) -> str:
        """Return every task that may run as text, for messages."""
        tasks = (*self.good, *self.waiting, *self.others, *self.lost)
        return "; ".join(map(self.describe, tasks)) or "no task"


def placed(seen: View) -> Iterator[Placed]:
    """Yield every task that may run, by number."""
    tasks = (*seen.good, *seen.waiting, *seen.others, *seen.lost)
    for task in sorted(tasks, key=lambda task: (task.slot, task.created_at)):
        node = seen.nodes.get(task.node)
        before = [each for each in seen.ended if each.slot == task.slot]
        yield Placed(
            name=f"{seen.service.name}.{task.slot}",
            node=node_name(node, task.node),
            answers=node is None or node.is_ready,
            version=task.labels.get(VERSION),
            state=task.state,
            error=task.error,
            ended=len(before),
            last=_why(before[-1]) if before else "",
        )


def _why(task: Task) -> str:
    code = f", exit status {task.exit_code}" if task.exit_code is not None else ""
    return task.error or f"{task.state}{code}"


_UPDATES: Final = {
    "updating": "the Swarm is replacing tasks",
    "paused": "the Swarm paused its update by the policy",
    "rollback_started": "the Swarm is rolling it back by the policy",
    "rollback_paused": "the Swarm began to roll it back by the policy, and paused",
    "rollback_completed": "the Swarm rolled its last update back by the policy",
}


def update_of(service: Service) -> str | None:
    """Return the state of the last update as text; None if it is complete."""
    said = _UPDATES.get(service.update or "")
    return f"{said}: {service.update_message}" if said is not None else None


def node_name(node: Node | None, otherwise: str) -> str:
    """Return the node's name with its address, because several nodes may have one host name."""
    if node is None:
        return otherwise
    return f"{node.name} ({node.address})" if node.address else node.name


def view(
    service: Service,
    tasks: Iterable[Task],
    nodes: Sequence[Node],
    *,
    deployment: str,
    known: frozenset[str] = frozenset(),
) -> View:
    """Return the tasks of a service, sorted by state.

    Args:
        service: the current service.
        tasks: tasks of the service.
        nodes: nodes of the Swarm.
        deployment: deployment whose tasks should run.
        known: ids of tasks that had ended before, which are left out.
    """
    by_id = {node.id: node for node in nodes}
    silent = {node.id for node in nodes if not node.is_ready}
    mine, others = list[Task](), list[Task]()
    for task in tasks:
        (mine if task.labels.get(DEPLOYMENT, "") == deployment else others).append(task)
    alive = [task for task in mine if task.state not in _ENDED and task.node not in silent]
    good = [task for task in alive if task.desired == "running" and task.state == "running"]
    return View(
        service=service,
        wanted=replicas(service),
        good=tuple(good),
        ended=tuple(task for task in mine if task.state in BY_ITSELF and task.id not in known),
        waiting=tuple(task for task in alive if task not in good and task.desired in ("ready", "running")),
        others=(
            *(task for task in others if task.state not in _ENDED and task.node not in silent),
            *(task for task in alive if task.desired not in ("ready", "running")),
        ),
        lost=tuple(task for task in (*mine, *others) if task.state not in _ENDED and task.node in silent),
        nodes=by_id,
    )


def ended_ids(tasks: Iterable[Task]) -> frozenset[str]:
    """Return the ids of ended tasks."""
    return frozenset(task.id for task in tasks if task.state in _ENDED)


def replicas(service: Service) -> int:
    """Return the number of tasks in the service's spec."""
    replicated = (service.spec.get("Mode") or {}).get("Replicated") or {}
    return int(replicated.get("Replicas") or 0)
