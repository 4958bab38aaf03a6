"""Needs of a node before a task starts on it: the image, and the volumes with their content.

A node pulls by itself when it gets a task. With `order = "stop-first"` nobody answers in that time, so the
bytes are brought before anything is touched. A volume is made by itself, too, and empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Thread

from release.deploy.core import image_location
from release.deploy.core.steps import step
from release.deploy.targets.swarm.nodes import Machine, Machines, not_looked_into, spread
from release.deploy.targets.swarm.placement import NodeRequirements, node_capacity
from release.errors import EngineError, ReleaseError
from release.events import Emit, Notice, Warned
from release.images.engine import Engine
from release.records import Image
from release.runspec import RunSpec
from release.values import replace

Pull = Callable[[Engine, Image], object]
"""Brings an image into an engine's store. Raises RegistryError, TargetUnavailable, EngineError."""


def fitting(machines: Machines, asked: NodeRequirements) -> Machines:
    """Return the machines that can get tasks."""
    every = (
        one
        for one in machines.every
        if one.node.takes_tasks and not node_capacity(asked, one.node, ()).against
    )
    return replace(machines, every=tuple(every))


def joined(several: Sequence[Machines]) -> Machines:
    """Return all machines, each once."""
    every = {machine.node.id: machine for machines in several for machine in machines.every}
    return replace(several[0], every=tuple(every.values()))


def pull(engine: Engine, image: Image) -> object:
    """Pull the image without output of progress, because several engines pull at the same time."""
    return image_location.fetch(engine, image, lambda _: None)


def pull_missing(machines: Machines, image: Image, emit: Emit, pull: Pull = pull) -> None:
    """Pull where the image is missing, on all machines at once; warn of unreachable ones.

    Args:
        machines: machines that may run the image.
        image: image in a registry.
        emit: gets the step, and a warning for each machine without the image.
        pull: function that pulls the image.
    """
    there = spread(machines, image)
    problems = [f"{one}: it does not answer any more" for one in there.unknown if one.engine is not None]
    if there.lacks:
        with step(emit, "pull") as say:
            problems += _pulled(there.lacks, image, pull)
            say(
                f"pulled in advance on {len(there.lacks) - len(problems)} of {len(there.lacks)} "
                "nodes that lacked the image"
            )
    for problem in problems:
        emit(
            Warned(
                text=f"could not pull the image in advance: {problem}; the node pulls it when it gets a "
                "task. No action needed."
            )
        )
    for line in not_looked_into(machines):
        emit(Notice(text=f"could not pull the image in advance: {line}. No action needed."))


def _pulled(machines: Sequence[Machine], image: Image, pull: Pull) -> list[str]:
    """Return errors by machine. A thread that still pulls does not block the end."""
    found = dict[str, str]()

    def one(machine: Machine, engine: Engine) -> None:
        try:
            pull(engine, image)
        except ReleaseError as error:
            found[machine.node.id] = f"{machine}: cannot {error.attempted}: {error.found}"

    threads = [
        Thread(target=one, args=(machine, machine.engine), daemon=True)
        for machine in machines
        if machine.engine is not None
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[machine.node.id] for machine in machines if machine.node.id in found]


def volumes(spec: RunSpec) -> list[str]:
    """Return the names of volumes whose content a task expects."""
    return [mount.source for mount in spec.volumes if mount.source and not mount.is_bind]


def missing_volumes(machines: Machines, spec: RunSpec) -> Iterator[str]:
    """Return volumes that a task would find empty, by machine. See also `unseen_volumes`."""
    for machine in machines.seen:
        for name in volumes(spec):
            if _has_volume(machine, name) is False:
                yield (
                    f"{machine} has no volume {name}, so a task there would begin with an empty "
                    f"one: run `docker volume create {name}` there, or keep tasks away by "
                    "swarm.constraints"
                )


def unseen_volumes(machines: Machines, spec: RunSpec) -> Iterator[str]:
    """Return volumes on machines that cannot be checked: a task may find them empty."""
    names = volumes(spec)
    silent = [str(one) for one in machines.every if any(_has_volume(one, name) is None for name in names)]
    if silent:
        kind = "the volume" if len(names) == 1 else "the volumes"
        yield (
            f"cannot check {kind} {', '.join(names)} on {', '.join(silent)}: a task there may "
            "begin with an empty volume"
        )


def _has_volume(machine: Machine, name: str) -> bool | None:
    """Return whether the machine has the volume; None if its engine does not answer."""
    try:
        return machine.engine.has_volume(name) if machine.engine is not None else None
    except EngineError:
        return None
