"""Running copies of a release: containers on one engine, tasks in a cluster."""

from __future__ import annotations

from collections.abc import Mapping

from release.deploy.core.place import DEPLOYMENT
from release.images.values import Health
from release.records import Adoption
from release.reference import Digest
from release.values import Struct, replace


class Instance(Struct, frozen=True, kw_only=True):
    """One running container, task or pod of a release, as its target reports it now."""

    id: str
    """Unique at the target. A plan holds for the instances with these ids."""
    name: str
    image: Digest
    """Digest of the running image. `Images.id_of` returns the same digest for its release."""
    status: str
    """running, or the target's word for its state."""
    health: Health
    restarts: int
    """Number of restarts and replacements by the target."""
    started_at: str
    labels: Mapping[str, str]
    created_at: str = ""
    """Time of creation; empty if the target does not report it."""
    process: str = ""
    """Name of the instance's process; empty if its environment runs one process."""

    @property
    def deployment(self) -> str:
        """Return the id of the deployment in its labels; empty if there is none."""
        return self.labels.get(DEPLOYMENT, "")


class AdoptedInstance(Instance, frozen=True, kw_only=True):
    """Instance of an object that another program made, and that `invoke adopt` recorded."""

    adopted: Adoption


class InstanceSet(Struct, frozen=True, kw_only=True):
    """The instances of a place: the running ones, and stopped ones of earlier deployments."""

    running: tuple[Instance, ...]
    stopped: tuple[Instance, ...]
    waiting: tuple[Instance, ...] = ()
    """Running instances behind a proxy without requests, which an interrupted deployment left."""
    unclear: str = ""
    """Answer of the proxy, if it does not show which instances get requests."""
    strangers: tuple[Instance, ...] = ()
    """Instances with labels of the place, but without proof of a deployment. They are not changed."""
    scaled: Mapping[str, int] = {}
    """Number of instances that an autoscaler of the target asks for, by process."""

    @property
    def up(self) -> tuple[Instance, ...]:
        """Return all running instances, in traffic or not."""
        return (*self.running, *self.waiting)

    @property
    def every(self) -> tuple[Instance, ...]:
        """Return all running and all stopped instances."""
        return (*self.up, *self.stopped)

    @property
    def adopted(self) -> Adoption | None:
        """Return the adopted object that runs; None if there is none."""
        return next((each.adopted for each in self.running if isinstance(each, AdoptedInstance)), None)

    @property
    def own(self) -> InstanceSet:
        """Return the set without instances of an adopted object: targets replace only their own."""
        kept = tuple(each for each in self.running if not isinstance(each, AdoptedInstance))
        return self if len(kept) == len(self.running) else replace(self, running=kept)

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids of the running instances."""
        return frozenset(instance.id for instance in self.up)


class CommandInstance(Instance, frozen=True, kw_only=True):
    """A command that changes the data, in a container of its own."""

    exit_code: int
    argv: tuple[str, ...] = ()
    """Program and arguments, ENTRYPOINT and command together."""


class Placed(Struct, frozen=True, kw_only=True):
    """A task of a cluster, as `status` shows it."""

    name: str
    """Name of the service, and number of the task."""
    node: str
    """Name of the node; empty if none is chosen yet."""
    answers: bool
    """True: the node answers."""
    version: str | None
    state: str
    error: str
    ended: int
    """Number of tasks in its place that ended by themselves, as far as the cluster remembers."""
    last: str
    """Reason of the newest ended task."""

    def __str__(self) -> str:
        """Return the task as one line of text."""
        where = f" on {self.node}" if self.node else ""
        silent = "" if self.answers else " (does not answer)"
        error = f": {self.error}" if self.error else ""
        before = f"; {self.ended} ended before; the last: {self.last}" if self.ended else ""
        return f"{self.name}{where}{silent}: {self.version or 'unknown version'} {self.state}{error}{before}"


class Report(Struct, frozen=True, kw_only=True):
    """Tasks and update of a cluster, as `status` shows them."""

    tasks: tuple[Placed, ...]
    update: str | None
    """State of the last update, if it is not completed."""
    ended: tuple[str, ...] = ()
    """A sentence for each task that ended by itself."""


class Difference(Struct, frozen=True, kw_only=True):
    """A setting that differs from the recorded one."""

    name: str
    """Name of the container or the service."""
    setting: str
    found: str

    def __str__(self) -> str:
        """Return the difference as text."""
        return f"{self.name}: {self.setting} {self.found}"
