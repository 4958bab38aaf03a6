"""Specs from before a rollout: kept in the Swarm where every manager finds them, paused and restored.

What ran before is put back by submitting the spec that was read before the first change. The Swarm's own
memory of one earlier spec is never used: after two updates, or its own rollback, it is another one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from release.deploy.core.place import DEPLOYMENT
from release.deploy.core.steps import step
from release.deploy.targets.swarm import marks, naming
from release.deploy.targets.swarm import spec as specs
from release.deploy.targets.swarm.ending import await_free_ports, await_no_task, tasks_left
from release.deploy.targets.swarm.follow import await_settled
from release.deploy.targets.swarm.kept import read_kept
from release.deploy.targets.swarm.objects import Service
from release.deploy.targets.swarm.part import Part, patient, spec_of
from release.deploy.targets.swarm.prove import lost_tasks, subject_of
from release.deploy.targets.swarm.scaling import paused
from release.deploy.targets.swarm.sealed import restorable
from release.deploy.targets.swarm.subject import running
from release.deploy.targets.swarm.submit import is_written, overruled, resubmit
from release.deploy.targets.swarm.tasks import ended_ids
from release.errors import EngineError
from release.events import Warned
from release.programs.cancellation import Cancellation
from release.secrets.redact import Redacted
from release.values import replace

Before = Callable[[], Service | None]
"""Returns the service as it was before this order; None if there was none. Raises EngineError."""


def remember(part: Part, before: Service | None) -> None:
    """Store the spec that a failed rollout would restore. Raises EngineError."""
    if before is None:
        return
    place, deployment = part.order.place, part.order.identity.deployment
    labels = place.labels(specs.BEFORE) | {DEPLOYMENT: deployment}
    content = Redacted(json.dumps(before.spec))
    part.swarm.store("configs", naming.before_name(place, deployment), content, labels)


def remembered(part: Part) -> Service | None:
    """Return the service with the previous spec; None if nothing ran before.

    It is kept before anything is submitted, until everything is proven to run. So where it is not kept,
    and the service is of the deployment before, that is what ran. Raises EngineError.
    """
    order = part.order
    name = naming.before_name(order.place, order.identity.deployment)
    now, kept = part.found_patiently(), part.swarm.find("configs", name)
    if kept is not None:
        told = read_kept(part.swarm.content(kept.id))
        there = (now.spec, now.previous) if now is not None else ({}, {})
        return _known(now, restorable(told, *there, part.service))
    owner = now.labels.get(DEPLOYMENT) if now is not None else None
    if owner and not part.made(now) and order.replaces in (owner, None):
        return now
    if order.replaces is None or part.is_new:
        return None
    raise EngineError(
        f"revert {order}",
        f"the spec that ran before is lost: the Swarm has no config {name}, and the service "
        f"has the deployment {owner or 'unknown'}",
        f"restore the last healthy release: `{order.place.command('rollback')}`",
    )


def _known(now: Service | None, spec: Mapping[str, Any]) -> Service:
    """Return a service with this spec, even if it does not exist any more."""
    if now is not None:
        return replace(now, spec=spec)
    return Service(
        id="", name=spec["Name"], version=0, spec=spec, updated_at="", update=None, update_message=""
    )


def forget(part: Part) -> None:
    """Remove the stored spec after an update. A failure is harmless."""
    name = naming.before_name(part.order.place, part.order.identity.deployment)
    try:
        if (kept := part.swarm.find("configs", name)) is not None:
            part.swarm.drop("configs", kept.id)
    except EngineError as error:
        part.means.emit(Warned(text=f"{error.attempted}: {error.found}; `docker config ls` shows it"))


def pause(part: Part, before: Service) -> Service:
    """Pause the previous service and wait until its tasks have ended; return the paused service.

    Raises EngineError if a task may still run, or another command changed the service.
    """
    _refuse_lost(part, before)
    written = paused(before.spec, has_ports=False)
    now = part.found_patiently()
    addresses = _addresses(part, now) if now is not None else set[str]()
    if now is None or not is_written(now, written):
        with step(part.means.emit, "stop") as say:
            resubmit(part, before, now, written)
            say(part.service)
    found = part.found_patiently()
    if found is None:
        raise overruled(part, f"stop the service {part.service}")
    _await_no_task(part, found)
    await_free_ports(addresses, _host_ports(before.spec))
    return found


def _addresses(part: Part, service: Service) -> set[str]:
    """Return the known addresses of nodes that had a task."""
    had = {task.node for task in part.swarm.tasks(service.id)}
    found = {node.address for node in part.swarm.nodes() if node.id in had and node.is_ready}
    return {address for address in found if address and not address.startswith("0.")}


def _host_ports(spec: Mapping[str, Any]) -> list[int]:
    ports = (spec.get("EndpointSpec") or {}).get("Ports") or ()
    mine = [port for port in ports if (port.get("PublishMode"), port.get("Protocol")) == ("host", "tcp")]
    return [port["PublishedPort"] for port in mine if port.get("PublishedPort")]


def _refuse_lost(part: Part, before: Service) -> None:
    """Raise EngineError if an exclusive process has a task on a node that does not answer."""
    if not part.is_exclusive or not before.id:
        return
    if left := tasks_left(part.swarm, before, silent=True):
        raise EngineError(
            f"stop the service {part.service}",
            f"its node does not answer, and it is exclusive: a task may still run {', '.join(left)}",
            "bring the node back; or switch it off, and remove it: docker node rm --force NODE",
        )


def remove(part: Part, service: Service | None) -> None:
    """Remove a service and wait until its tasks end, if their nodes answer.

    Raises EngineError if the tasks do not end.
    """
    if service is None:
        return
    patient(lambda: part.swarm.remove(service.id), part.order.health_timeout)
    _await_no_task(part, service)


def _await_no_task(part: Part, service: Service) -> None:
    await_no_task(part.swarm, service, part.order.health_timeout + part.order.spec.stop_grace)


def put_back(part: Part, before: Before) -> str:
    """Restore the previous service, or remove the new one; return what runs now, as text.

    No signal ends this. Raises EngineError, DeploymentFailed, MixedState if the restoration failed.
    """
    ran = before()
    if ran is None:
        now = part.found_patiently()
        remove(part, now if part.made(now) else None)
        return ""
    return _restored(part, ran)


def _restored(part: Part, before: Service) -> str:
    """Submit the previous spec, and verify that it runs."""
    old = part.order.old or part.order.spec
    now = part.found_patiently()
    known = ended_ids(part.swarm.tasks(now.id)) if now is not None else frozenset[str]()
    if spec_of(now) != before.spec:
        if part.is_exclusive and now is not None:
            now = pause(part, before)
        with step(part.means.emit, "restore") as say:
            resubmit(part, before, now, before.spec)
            say(f"{part.service}, as it was")
    subject = subject_of(part, old, before.labels.get(DEPLOYMENT, ""))
    watch = replace(
        subject.watch(),
        only_completed=not marks.is_as_written(before.spec),
        strict=False,
        known=known,
    )
    with step(part.means.emit, "health") as say:
        seen = await_settled(watch)
        if marks.mark(seen.service.spec) != marks.mark(before.spec):
            raise overruled(part, f"verify the restored service {part.service}")
        say(subject.evidence(seen, Cancellation()))
    return "; ".join([part.with_process(running(seen)), *lost_tasks(seen)])
