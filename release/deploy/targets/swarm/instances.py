"""The tasks of a place's service: what runs, and how its spec differs from what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from release.deploy.core.fingerprints import FingerprintKey
from release.deploy.core.instance import Difference, Instance, InstanceSet, Placed, Report
from release.deploy.core.place import DEPLOYMENT, process_of
from release.deploy.targets.swarm import marks
from release.deploy.targets.swarm import spec as specs
from release.deploy.targets.swarm.drift import changed
from release.deploy.targets.swarm.objects import Service, image_digest
from release.deploy.targets.swarm.part import identities, services_of
from release.deploy.targets.swarm.scaling import is_paused
from release.deploy.targets.swarm.sealed import foreign
from release.deploy.targets.swarm.service import PlacedService
from release.deploy.targets.swarm.tasks import View, placed, update_of
from release.records import Deployment, Release
from release.reference import Digest
from release.secrets.redact import Redacted
from release.values import replace


class SwarmInstances(PlacedService, frozen=True, kw_only=True):
    """The tasks of a service. See `release.deploy.core.target.Instances`."""

    @property
    def inherit_labels(self) -> bool:
        """Return False: a service inherits no labels of its image."""
        return False

    @property
    def clock_ahead(self) -> int:
        """Return the milliseconds that the manager's clock is ahead."""
        return self.engine.info.ahead_ms

    def look(self) -> InstanceSet:
        """Return an instance for each wanted task. Raises NotReady if this engine is no manager."""
        self.need_manager()
        found = services_of(self.swarm, self.place)
        return InstanceSet(
            running=tuple(state for each in found for state in self._states(each)),
            stopped=tuple(self._paused(each) for each in found if is_paused(each.spec)),
        )

    def _paused(self, service: Service) -> Instance:
        """Return a paused service as one stopped container."""
        return replace(self._state(self.view(service), 0, service.id), name=service.name, status="stopped")

    def stranger(self) -> Instance | None:
        """Return a service with our name that no deployment made."""
        found = self.found() if self.is_manager() else None
        if found is None or self.owns(found):
            return None
        (state, *_) = (*self._states(found), self._state(self.view(found), 0, found.id))
        return replace(state, name=found.name)

    def _states(self, service: Service) -> tuple[Instance, ...]:
        """Return an instance for each wanted task; a wrong spec is noted once.

        The ids depend on the spec, because a plan is valid for one spec.
        """
        seen = self.view(service)
        wrong = _wrong(service)
        states = [self._state(seen, slot, one) for slot, one in enumerate(identities(service), start=1)]
        return tuple(
            replace(state, status=wrong) if wrong and state is states[0] else state for state in states
        )

    def _state(self, seen: View, slot: int, one: str) -> Instance:
        tasks = [task for task in (*seen.waiting, *seen.others, *seen.good) if task.slot == slot]
        task = tasks[-1] if tasks else None
        written = image_digest(str(marks.container_of(seen.service.spec).get("Image") or ""))
        image = task.image if task is not None else written
        return Instance(
            id=one,
            name=f"{seen.service.name}.{slot}",
            image=image or _unknown(seen.service),
            status=task.state if task is not None else "missing",
            health="none",
            restarts=sum(task.slot == slot for task in seen.ended),
            started_at=task.created_at if task is not None else seen.service.updated_at,
            labels={**seen.service.labels, **(task.labels if task is not None else {})},
            process=process_of(seen.service.labels),
        )

    def report(self) -> Report | None:
        """Return the tasks and updates of the services; None if there are none of ours."""
        found = services_of(self.swarm, self.place) if self.is_manager() else ()
        if not found:
            return None
        tasks = tuple(task for each in found for task in placed(self.view(each)))
        updates = {each.name: said for each in found if (said := update_of(each)) is not None}
        told = [f"{name}: {said}" if len(found) > 1 else said for name, said in updates.items()]
        return Report(tasks=tasks, update="; ".join(told) or None, ended=tuple(ended_tasks(tasks)))

    def drift(
        self,
        deployment: Deployment,
        release: Release | None,
        instances: Iterable[Instance],  # noqa: ARG002 - their service is compared, to which the Swarm keeps
        key: FingerprintKey | None,
    ) -> Iterator[Difference]:
        """Return changes of the spec since this deployment wrote it, by setting.

        Also return secrets and configs that are not the recorded ones; `key` is the key of seals.
        """
        for found in services_of(self.swarm, self.place) if release is not None else ():
            if release is not None and found.labels.get(DEPLOYMENT) == deployment.deployment:
                yield from self._drift_of(found, deployment, release, key)

    def _drift_of(
        self, found: Service, deployment: Deployment, release: Release, key: FingerprintKey | None
    ) -> Iterator[Difference]:
        place = self.place.at(process_of(found.labels))
        order = specs.recorded_order(place, deployment, release)
        for setting, text in changed(self.swarm, found.spec, order):
            yield Difference(name=place.container, setting=setting, found=text)
        for setting, text in foreign(self.swarm, place, found.spec, order.spec, key):
            yield Difference(name=place.container, setting=setting, found=text)

    def secrets(self, instance: Instance, names: Iterable[str]) -> Iterator[Redacted]:  # noqa: ARG002
        """Return nothing: a Swarm does not return secrets."""
        return iter(())


def ended_tasks(tasks: Iterable[Placed]) -> Iterator[str]:
    """Return a sentence for each task slot in which tasks of this deployment ended by themselves."""
    for task in tasks:
        if task.ended:
            times = "once" if task.ended == 1 else f"{task.ended} times"
            yield f"{task.name} ended, and the Swarm replaced it {times}; the last: {task.last}"


def _unknown(service: Service) -> Digest:
    """Return a digest that no image has, for an image that is only named by a tag."""
    return Digest.of(str(marks.container_of(service.spec).get("Image")).encode())


def _wrong(service: Service) -> str:
    """Return the defect of a service, independent of its tasks; empty if there is none."""
    if not marks.is_as_written(service.spec):
        return "changed by hand since its deployment"
    return "paused in the middle of an update" if service.update == "paused" else ""
