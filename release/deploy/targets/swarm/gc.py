"""Secrets, configs and jobs of ours in a Swarm that nothing needs any more.

Each value of a secret and each content of a file is an object of its own, so every rotation leaves one.
An object goes only when it is this place's by its labels, and no spec that could run again names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from release.deploy.core.operations import RUN
from release.deploy.core.place import DEPLOYMENT, MIGRATION, Place, process_of
from release.deploy.core.upkeep import Needs, Unneeded
from release.deploy.targets.swarm import marks, naming
from release.deploy.targets.swarm import spec as specs
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.jobs import Jobs
from release.deploy.targets.swarm.kept import read_kept
from release.deploy.targets.swarm.objects import Service, Stored, Task, parts_of
from release.deploy.targets.swarm.stores import Kind
from release.runspec import RunSpec

_ROLES: Final[Sequence[tuple[Kind, str]]] = (
    ("secrets", specs.SECRET),
    ("configs", specs.FILE),
    ("configs", specs.BEFORE),
)


def unneeded(swarm: Swarm, place: Place, needs: Needs) -> tuple[Unneeded, ...]:
    """Return this place's objects that can be removed, by name. Raises EngineError."""
    kept = _named(place, needs.specs)
    there = {role: swarm.stored(kind, place.labels(role)) for kind, role in _ROLES}
    open_ends = [each for each in there[specs.BEFORE] if each.labels.get(DEPLOYMENT, "") not in needs.ended]
    used = _used(swarm.services(), swarm.all_tasks())
    used |= {part for each in open_ends for part in _parts(read_kept(swarm.content(each.id)))}
    stays = {each.id for each in open_ends}
    found = [
        Unneeded(kind=kind, id=each.id, name=each.name)
        for kind, role in _ROLES
        for each in there[role]
        if each.id not in used | stays and not _stands(each.name, kept) and _is_ours(each, place, role)
    ]
    found += _ended_jobs(swarm, place, needs)
    return tuple(sorted(found, key=lambda each: (each.kind, each.name)))


def _ended_jobs(swarm: Swarm, place: Place, needs: Needs) -> Iterator[Unneeded]:
    """Yield jobs that have ended and, if they changed the data, whose result the ledger has."""
    for role in (MIGRATION, RUN):
        for job in Jobs(swarm=swarm).every(place.labels(role)):
            is_recorded = role == RUN or job.service.labels.get(DEPLOYMENT) in needs.ended
            if job.is_over and is_recorded and _has_own_name(job.service, place, role):
                yield Unneeded(kind="services", id=job.service.id, name=job.service.name)


def _has_own_name(service: Service, place: Place, role: str) -> bool:
    """Return whether a job has the name that fits its labels: labels alone are no proof."""
    if role == RUN:
        return naming.is_run_name(place.at(process_of(service.labels)), service.name)
    deployment = service.labels.get(DEPLOYMENT, "")
    return service.name in (naming.command_name(place, deployment, kind) for kind in ("up", "down"))


def _named(place: Place, known: Iterable[RunSpec]) -> set[str]:
    """Return the names of these settings' secrets and files."""
    found = set[str]()
    for spec in known:
        found |= {naming.secret_name(place, name, print_) for name, print_ in spec.secrets.items()}
        every = (spec, *spec.every.values())
        files = [pair for each in every for pair in (each.files or {}).items()]
        found |= {naming.file_name(place, path, file.sha256) for path, file in files}
    return found


def _used(services: Iterable[Service], tasks: Iterable[Task]) -> set[str]:
    """Return ids that a spec, a previous spec or a task of any service refers to."""
    found = {
        part for service in services for spec in (service.spec, service.previous) for part in _parts(spec)
    }
    return found | {part for task in tasks for part in task.parts}


def _parts(spec: Mapping[str, Any]) -> Iterator[str]:
    yield from parts_of(marks.container_of(spec))


def _stands(name: str, kept: set[str]) -> bool:
    """Return whether the name is one of these, or a variant of one."""
    return name in kept or any(naming.is_variant(name, each) for each in kept)


def _is_ours(stored: Stored, place: Place, role: str) -> bool:
    """Return whether labels and name are those of a deployment: labels alone are no proof."""
    if not place.labels(role).items() <= stored.labels.items():
        return False
    labels, name = stored.labels, stored.name
    if role == specs.BEFORE:
        return name == naming.before_name(place.at(process_of(labels)), labels.get(DEPLOYMENT, ""))
    if role == specs.SECRET:
        own = naming.secret_name(place, labels.get(specs.SECRET_NAME, ""), labels.get(specs.FINGERPRINT, ""))
        return name == own or naming.is_variant(name, own)
    return naming.is_file_name(place, name)
