"""Target of deployments: one Docker Engine, or a cluster.

Plan, record, lock, secrets, status and rollback are the same for all of them. A target is made of parts, and
each has one job: to look, to find images, to make a release run, to run a command, to rehearse, to tidy up.
Nothing outside `release.deploy.targets` talks to an engine or to a cluster in another way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Protocol

from release.deploy.core.drill_request import DrillRequest
from release.deploy.core.finding import Finding
from release.deploy.core.fingerprints import FingerprintKey
from release.deploy.core.image_location import FreeSpace, ImageLocation, Tell, ignore_text
from release.deploy.core.image_survey import ImageSurvey
from release.deploy.core.instance import Difference, Instance, InstanceSet, Report
from release.deploy.core.lock_store import LockStore
from release.deploy.core.operating import Commands, Operations
from release.deploy.core.rollout import RolloutContext, RolloutRequest, Strategy, Way
from release.deploy.core.upkeep import ImageStore, Needs, Unneeded
from release.errors import Problem, UsageError
from release.events import Emit
from release.images.engine import Engine
from release.records import Deployment, Image, Release
from release.redact import Redacted
from release.reference import Digest
from release.runspec import RunSpec


class Instances(Protocol):
    """The instances of one environment: what runs there now."""

    @property
    def inherit_labels(self) -> bool:
        """Return whether an image gives its labels to its instances, so that labels alone prove nothing."""

    @property
    def clock_ahead(self) -> int:
        """Milliseconds that the clock of their times is ahead of this machine's."""

    def look(self) -> InstanceSet:
        """Return what runs now. Raises EngineError."""

    def stranger(self) -> Instance | None:
        """Return what stands under the place's name and was made by no deployment. Raises EngineError."""

    def report(self) -> Report | None:
        """Return what a cluster tells of its tasks; None where there is no cluster, or nothing of ours."""

    def drift(
        self,
        deployment: Deployment,
        release: Release | None,
        instances: Iterable[Instance],
        key: FingerprintKey | None,
    ) -> Iterator[Difference]:
        """Return the settings of a deployment's instances that are not the recorded ones.

        Args:
            deployment: as it is recorded.
            release: the one that it deployed; None: only what each instance shows of itself is compared.
            instances: those that run.
            key: of the fingerprints of secrets; None leaves them out.
        """

    def secrets(self, instance: Instance, names: Iterable[str]) -> Iterator[Redacted]:
        """Return values of these secrets as the instance has them; nothing where the target hides them."""


class Images(Protocol):
    """The images of releases at the target, and ways to bring them there."""

    @property
    def builder(self) -> Engine | None:
        """Return the engine that can build an image again for this target; None if there is none."""

    @property
    def no_builder(self) -> str:
        """Return why no image can be built again for this target; empty if one can."""

    @property
    def without(self) -> str:
        """Return words that say of an image in no place that the target lacks it, too; may be empty."""

    def id_of(self, image: Image) -> Digest:
        """Return what `Instance.image` says of an instance that runs this released image."""

    def labels_of(self, image: Image) -> Mapping[str, str] | None:
        """Return the labels of the image in the target's own store; None if it is not there."""

    def locate(self, image: Image, tell: Tell = ignore_text) -> ImageLocation:
        """Return the place of the image; `tell` reports a question to a registry. Raises EngineError."""

    def room(self, image: Image, found: ImageLocation) -> FreeSpace:
        """Return whether what is to be pulled finds space."""

    def platform_problems(self, image: Image) -> list[Problem]:
        """Return why the image does not run here. Raises EngineError."""

    def fetch(self, release: Release, spec: RunSpec, found: ImageLocation, emit: Emit) -> None:
        """Bring the bytes to where these settings may make it run, and keep them from being tidied away.

        Raises:
            RegistryError, TargetUnavailable, EngineError.
        """

    def survey(self, stack: ExitStack) -> ImageSurvey:
        """Return a look at several images; the stack closes what is opened for it."""


class Rollouts(Protocol):
    """Replacement of what runs: what can fail beforehand, the rollout itself, and the way back."""

    @property
    def keeps_seals(self) -> bool:
        """Return whether secrets are kept at the target with a seal, which needs a key."""

    def settings_problems(self, spec: RunSpec, image: Image | None = None) -> list[Problem]:
        """Return what the settings, and this image, ask for and the target lacks. Raises EngineError."""

    def occupation_problems(self, spec: RunSpec, ours: InstanceSet) -> list[Problem]:
        """Ports and names that others than `ours` have. Not asked while a deployment goes on.

        Raises EngineError.
        """

    def cautions(self) -> tuple[str, ...]:
        """Return what may cost a request all the same, for the plan."""

    def strategy(self, spec: RunSpec) -> Strategy:
        """Return how it replaces what runs."""

    def describe(self, strategy: Strategy) -> str:
        """Return one of its strategies in words, for the plan."""

    def patience(self, spec: RunSpec, health_timeout: int) -> int:
        """Milliseconds that a rollout may take at the longest, without putting back."""

    def roll_out(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Make the release run; the evidence that it serves, in a few words.

        Raises:
            DeploymentFailed: nothing was touched, or nothing ran before and nothing runs now.
            Restored: what ran before runs again, proven in the same way.
            MixedState: that failed too; the message lists what is where.
            LockHeld: what runs was changed by somebody else in the same moment; nothing was touched.
        """

    def objection(self, order: RolloutRequest, way: Way) -> UsageError | None:
        """Return why a rollout that ended in the middle cannot be finished, or reverted; None where it can.

        `order.before` is what is there now, the instances of the order among it. Raises EngineError.
        """

    def resume(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Complete what a rollout of this order began and did not end. See `roll_out`.

        `order.before` is what is there now, the instances of the order among it.
        """

    def retract(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Undo what a rollout of this order began and did not end: what ran before runs again.

        Returns:
            What is there now, in a few words.

        Raises:
            DeploymentFailed: nothing ran before, and nothing runs now.
            MixedState: the message lists what is where.
        """

    def verify(self, order: RolloutRequest, means: RolloutContext) -> str:
        """See what runs serve, without touching it; the evidence. Raises DeploymentFailed."""


class Drills(Protocol):
    """Drills: a release starts beside what runs, is proven, and is removed."""

    @property
    def what(self) -> str:
        """Return what is started: container, service."""

    @property
    def where(self) -> str:
        """Return where, in words for a sentence: "on HOST"."""

    def name(self, request: DrillRequest) -> str:
        """Return the name of what is started."""

    def problems(self, request: DrillRequest) -> list[Problem]:
        """Return what the drill asks for and the target lacks. Raises EngineError."""

    def unchecked(self, request: DrillRequest) -> tuple[str, ...]:
        """Return what it does not prove, beside what its conditions say."""

    def sweep(self, request: DrillRequest, emit: Emit) -> None:
        """Remove what killed drills of the same place left. Raises EngineError."""

    def fetch(self, request: DrillRequest, found: ImageLocation, emit: Emit) -> None:
        """Bring the image. Raises RegistryError, TargetUnavailable, EngineError."""

    def rehearse(self, request: DrillRequest, context: RolloutContext) -> str:
        """Start it and see it healthy; the evidence. Raises DeploymentFailed, EngineError, Cancelled."""

    def remove(self, request: DrillRequest, context: RolloutContext) -> None:
        """Remove what this very drill started, as far as it is there. Raises EngineError."""


class Upkeep(Protocol):
    """Examination of the target's machines, and removal of what nothing needs any more."""

    def machine_findings(self, name: str) -> Iterator[Finding]:
        """Return findings on the machine that is talked to. `name` begins the name of each finding."""

    def cluster_findings(self, name: str) -> Iterator[Finding]:
        """Return findings on the cluster and its machines; nothing where there is no cluster."""

    def stores(self, stack: ExitStack, emit: Emit) -> Sequence[ImageStore]:
        """Return the stores of images, the target's own first; the stack closes what is opened.

        Warns of those that are not reached. Raises EngineError.
        """

    def remove(self, instance: Instance) -> None:
        """Remove an instance that is stopped. Raises EngineError."""

    def unneeded(self, needs: Needs) -> tuple[Unneeded, ...]:
        """Return secrets and configs of the place that may go, by name. Raises EngineError."""

    def drop(self, unneeded: Unneeded) -> None:
        """Remove it. Raises EngineError: something refers to it by now."""


class Target(Protocol):
    """Place where the releases of one environment run."""

    @property
    def name(self) -> str:
        """Return what plans and records call it: the engine's address."""

    @property
    def instances(self) -> Instances:
        """Return the part that looks."""

    @property
    def images(self) -> Images:
        """Return the part that finds and brings images."""

    @property
    def rollouts(self) -> Rollouts:
        """Return the part that makes a release run."""

    @property
    def commands(self) -> Commands:
        """Return the part that runs commands which change the data."""

    @property
    def drills(self) -> Drills:
        """Return the part that rehearses."""

    @property
    def operations(self) -> Operations:
        """Return the part that shows output, runs single commands, restarts, stops and starts."""

    @property
    def upkeep(self) -> Upkeep:
        """Return the part that examines and tidies up."""

    @property
    def lock_needs_image(self) -> bool:
        """Return whether a lock can only be made from an image that is there."""

    def lock_store(self, image: Digest | None = None) -> LockStore:
        """Return the store of the lock. To create one, the id of a pulled image may be needed."""
