"""Containers of a place on one engine: what runs, and how it differs from what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from release.deploy.core.fingerprints import FingerprintKey
from release.deploy.core.instance import Difference, Instance, InstanceSet, Report
from release.deploy.core.place import DEPLOYMENT, ContainerSet, Place, look, process_of, secrets_in
from release.deploy.targets.engine.drift import settings_drift
from release.deploy.targets.engine.process_proxies import FrontOf, behind, no_front
from release.images.engine import ContainerState, Engine
from release.records import Deployment, Release
from release.runspec import RunSpec
from release.secrets.redact import Redacted
from release.values import Struct


class ContainerInstance(Instance, frozen=True, kw_only=True):
    """A container as an instance."""

    container: ContainerState


def instance_of(container: ContainerState) -> ContainerInstance:
    """Return a container as an instance."""
    return ContainerInstance(
        id=container.id,
        name=container.name,
        image=container.image,
        status=container.status,
        health=container.health,
        restarts=container.restarts,
        started_at=container.started_at,
        labels=container.labels,
        created_at=container.created_at,
        process=process_of(container.labels),
        container=container,
    )


def instances_of(found: ContainerSet) -> InstanceSet:
    """Return the containers of a place as instances."""
    return InstanceSet(
        running=tuple(map(instance_of, found.running)),
        stopped=tuple(map(instance_of, found.stopped)),
        waiting=tuple(map(instance_of, found.waiting)),
        unclear=found.unclear,
        strangers=tuple(map(instance_of, found.strangers)),
    )


def containers_of(found: InstanceSet) -> ContainerSet:
    """Return the containers that instances of this engine were made from."""

    def known(instances: Iterable[Instance]) -> tuple[ContainerState, ...]:
        return tuple(each.container for each in instances if isinstance(each, ContainerInstance))

    return ContainerSet(
        running=known(found.running),
        stopped=known(found.stopped),
        waiting=known(found.waiting),
        unclear=found.unclear,
        strangers=known(found.strangers),
    )


class EngineInstances(Struct, frozen=True, kw_only=True):
    """The containers of a place. See `release.deploy.core.target.Instances`."""

    engine: Engine
    place: Place
    front_of: FrontOf = no_front

    @property
    def inherit_labels(self) -> bool:
        """Return True: each container has the labels of its image."""
        return True

    @property
    def clock_ahead(self) -> int:
        """Return the milliseconds that the engine's clock is ahead."""
        return self.engine.info.ahead_ms

    def look(self) -> InstanceSet:
        """Return the containers of this place. Behind a proxy, those in traffic are apart."""
        return instances_of(self.containers())

    def containers(self) -> ContainerSet:
        """Return the same containers, as the engine describes them."""
        ours = look(self.engine, self.place)
        for name in sorted({process_of(each.labels) for each in ours.running}):
            if (front := self.front_of(name)) is not None:
                ours = behind(front.proxy, name, ours)
        return ours

    def stranger(self) -> Instance | None:
        """Return a container with our name that no deployment made."""
        found = self.engine.state(self.place.container)
        return instance_of(found) if found is not None else None

    def report(self) -> Report | None:
        """Return None: one engine has no tasks."""
        return None

    def drift(
        self,
        deployment: Deployment,
        release: Release | None,  # noqa: ARG002 - a container shows its settings
        instances: Iterable[Instance],
        key: FingerprintKey | None,
    ) -> Iterator[Difference]:
        """Compare each container with the recorded settings."""
        for instance in instances:
            about = self.engine.inspected(instance.id) or {}
            if instance.labels.get(DEPLOYMENT) == deployment.deployment and "HostConfig" in about:
                yield from self._drift(instance, about, deployment.run_spec.every, key)

    def _drift(
        self,
        instance: Instance,
        about: Mapping[str, Any],
        specs: Mapping[str, RunSpec],
        key: FingerprintKey | None,
    ) -> Iterator[Difference]:
        if instance.process not in specs:
            found = f"has no process {instance.process!r}, but it runs"
            yield Difference(name=instance.name, setting="processes", found=found)
            return
        for setting, found in settings_drift(about, specs[instance.process], key):
            yield Difference(name=instance.name, setting=setting, found=found)

    def secrets(self, instance: Instance, names: Iterable[str]) -> Iterator[Redacted]:
        """Return the values of secrets in the container."""
        yield from secrets_in(self.engine, instance.id, names)
