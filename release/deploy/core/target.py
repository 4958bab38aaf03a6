"""Target of deployments: one Docker Engine, or a cluster.

Plan, record, lock, secrets, status and rollback are the same for all of them. A target is made of parts, and
each has one job: to look, to find images, to make a release run, to run a command, to rehearse, to tidy up.
Nothing outside `release.deploy.targets` talks to an engine or to a cluster in another way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from release.config import Environment
from release.deploy.core.adoption import Adoptions
from release.deploy.core.drill_request import DrillRequest
from release.deploy.core.finding import Finding
from release.deploy.core.fingerprints import FingerprintKey
from release.deploy.core.image_location import FreeSpace, ImageLocation, Tell
from release.deploy.core.image_survey import ImageSurvey
from release.deploy.core.instance import Difference, Instance, InstanceSet, Report
from release.deploy.core.lock_store import LockStore
from release.deploy.core.operations import Commands, Operations
from release.deploy.core.rollout import RolloutContext, RolloutRequest, Strategy, Way
from release.deploy.core.upkeep import ImageStore, Needs, Unneeded
from release.errors import Problem, UsageError
from release.events import Emit, ignore_text
from release.images.engine import Engine
from release.records import Deployment, Image, Release
from release.reference import Digest
from release.runspec import RunSpec
from release.secrets.redact import Redacted


class Instances(Protocol):
    """The instances of one environment."""

    @property
    def inherit_labels(self) -> bool:
        """Return whether instances inherit labels of their image, so labels alone prove nothing."""

    @property
    def clock_ahead(self) -> int:
        """Return the milliseconds that the target's clock is ahead of this machine's."""

    def look(self) -> InstanceSet:
        """Return the current instances. Raises EngineError."""

    def stranger(self) -> Instance | None:
        """Return the object under the place's name that no deployment made. Raises EngineError."""

    def report(self) -> Report | None:
        """Return the cluster's tasks; None if there is no cluster, or the place has none."""

    def drift(
        self,
        deployment: Deployment,
        release: Release | None,
        instances: Iterable[Instance],
        key: FingerprintKey | None,
    ) -> Iterator[Difference]:
        """Return the settings of a deployment's instances that differ from the recorded ones.

        Args:
            deployment: the recorded deployment.
            release: the deployed release; None compares only facts that each instance itself shows.
            instances: the running instances.
            key: key of the secrets' fingerprints; None leaves secrets out.
        """

    def secrets(self, instance: Instance, names: Iterable[str]) -> Iterator[Redacted]:
        """Return the values of these secrets in the instance; empty if the target hides them."""


class Images(Protocol):
    """The images of releases at the target, and how they get there."""

    @property
    def builder(self) -> Engine | None:
        """Return the engine that can build an image again for this target; None if there is none."""

    @property
    def no_builder(self) -> str:
        """Return why no image can be built again for this target; empty if one can."""

    @property
    def without(self) -> str:
        """Return why the target lacks an image that is in no place; may be empty."""

    def id_of(self, image: Image) -> Digest:
        """Return the value of `Instance.image` for an instance of this released image."""

    def labels_of(self, image: Image) -> Mapping[str, str] | None:
        """Return the labels of the image in the target's own store; None if it is not there."""

    def locate(self, image: Image, tell: Tell = ignore_text) -> ImageLocation:
        """Return the place of the image; `tell` reports a question to a registry. Raises EngineError."""

    def room(self, image: Image, found: ImageLocation) -> FreeSpace:
        """Return whether there is enough disk space to pull the image."""

    def platform_problems(self, image: Image) -> list[Problem]:
        """Return why the image cannot run here. Raises EngineError."""

    def fetch(self, release: Release, spec: RunSpec, found: ImageLocation, emit: Emit) -> None:
        """Bring the image to each machine that may run it, and protect it from cleanup.

        Raises:
            RegistryError, TargetUnavailable, EngineError.
        """

    def survey(self, stack: ExitStack) -> ImageSurvey:
        """Return a survey of several images; the stack closes its connections."""


class Rollouts(Protocol):
    """Rollouts at the target: checks beforehand, the rollout, and its reversal."""

    @property
    def keeps_seals(self) -> bool:
        """Return whether the target keeps secrets with a seal, which needs a key."""

    def settings_problems(self, spec: RunSpec, image: Image | None = None) -> list[Problem]:
        """Return requirements of settings and image that the target lacks. Raises EngineError."""

    def completed(
        self, spec: RunSpec, settings: Environment, release: Release, root: Path
    ) -> tuple[RunSpec, list[Problem]]:
        """Return settings of the configuration with what other programs render below the folder `root`.

        The second part are problems of that.
        """

    def occupation_problems(self, spec: RunSpec, ours: InstanceSet) -> list[Problem]:
        """Return ports and names that objects other than `ours` use. Not called during a deployment.

        Raises EngineError.
        """

    def cautions(self) -> tuple[str, ...]:
        """Return risks of lost requests, for the plan."""

    def strategy(self, spec: RunSpec) -> Strategy:
        """Return the strategy by which the rollout replaces instances."""

    def describe(self, strategy: Strategy) -> str:
        """Return one of the target's strategies in words, for the plan."""

    def patience(self, spec: RunSpec, health_timeout: int) -> int:
        """Return the milliseconds that a rollout may take at most, without its restoration."""

    def roll_out(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Make the release run; return the evidence that it serves, in a few words.

        Raises:
            DeploymentFailed: nothing was changed, or nothing ran before and nothing runs now.
            Restored: the previous release runs again, proven in the same way.
            MixedState: the restoration failed too; the message lists all instances.
            LockHeld: another command changed the instances meanwhile; nothing was changed here.
        """

    def objection(self, order: RolloutRequest, way: Way) -> UsageError | None:
        """Return why an interrupted rollout cannot be finished, or reverted; None if it can.

        `order.before` has all current instances, with those of the order. Raises EngineError.
        """

    def resume(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Complete an interrupted rollout of this order. See `roll_out`.

        `order.before` has all current instances, with those of the order.
        """

    def retract(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Undo an interrupted rollout of this order, so that the previous release runs again.

        Returns:
            The current instances, in a few words.

        Raises:
            DeploymentFailed: no release ran before, and none runs now.
            MixedState: the message lists all instances.
        """

    def verify(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Check that the running instances serve, without a change; return the evidence.

        Raises DeploymentFailed.
        """


class Drills(Protocol):
    """Drills: a release starts beside the running instances, is proven, and is removed."""

    @property
    def what(self) -> str:
        """Return the kind of object that is started: container, service."""

    @property
    def where(self) -> str:
        """Return the place in words for a sentence: "on HOST"."""

    def name(self, request: DrillRequest) -> str:
        """Return the name of the started object."""

    def problems(self, request: DrillRequest) -> list[Problem]:
        """Return requirements of the drill that the target lacks. Raises EngineError."""

    def unchecked(self, request: DrillRequest) -> tuple[str, ...]:
        """Return what the drill does not prove, besides what its conditions say."""

    def remove_leftovers(self, request: DrillRequest, emit: Emit) -> None:
        """Remove the objects that killed drills of the same place left. Raises EngineError."""

    def fetch(self, request: DrillRequest, found: ImageLocation, emit: Emit) -> None:
        """Bring the image. Raises RegistryError, TargetUnavailable, EngineError."""

    def rehearse(self, request: DrillRequest, context: RolloutContext) -> str:
        """Start the release; return the evidence that it is healthy.

        Raises DeploymentFailed, EngineError, Cancelled.
        """

    def remove(self, request: DrillRequest, context: RolloutContext) -> None:
        """Remove the objects of this drill that exist. Raises EngineError."""


class Upkeep(Protocol):
    """Checks of the target's machines, and removal of objects that nothing needs."""

    def machine_findings(self, name: str) -> Iterator[Finding]:
        """Return findings on the contacted machine. `name` begins the name of each finding."""

    def cluster_findings(self, name: str) -> Iterator[Finding]:
        """Return findings on the cluster and its machines; empty if there is no cluster."""

    def stores(self, stack: ExitStack, emit: Emit) -> Sequence[ImageStore]:
        """Return the image stores, the target's own first; the stack closes their connections.

        Warns of stores that cannot be reached. Raises EngineError.
        """

    def remove(self, instance: Instance) -> None:
        """Remove a stopped instance. Raises EngineError."""

    def unneeded(self, needs: Needs) -> tuple[Unneeded, ...]:
        """Return secrets and configs of the place that can be removed, by name. Raises EngineError."""

    def drop(self, unneeded: Unneeded) -> None:
        """Remove the object. Raises EngineError if something refers to it by now."""


class Target(Protocol):
    """The system that runs the releases of one environment."""

    @property
    def name(self) -> str:
        """Return the target's name in plans and records: the engine's address."""

    @property
    def instances(self) -> Instances:
        """Return the part that reads the instances."""

    @property
    def images(self) -> Images:
        """Return the part that finds and fetches images."""

    @property
    def rollouts(self) -> Rollouts:
        """Return the part that carries out rollouts."""

    @property
    def commands(self) -> Commands:
        """Return the part that runs commands on the data."""

    @property
    def drills(self) -> Drills:
        """Return the part that rehearses rollbacks."""

    @property
    def operations(self) -> Operations:
        """Return the part that shows output, runs single commands, restarts, stops and starts."""

    @property
    def adoptions(self) -> Adoptions:
        """Return the part that takes over objects of other programs."""

    @property
    def upkeep(self) -> Upkeep:
        """Return the part that checks machines and removes unneeded objects."""

    @property
    def lock_needs_image(self) -> bool:
        """Return whether a lock can only be made from an image that exists at the target."""

    def lock_store(self, image: Digest | None = None) -> LockStore:
        """Return the store of locks. To create a lock, the id of a pulled image may be needed."""
