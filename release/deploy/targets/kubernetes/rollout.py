"""One rollout in a namespace: rehearse, apply, follow, prove; put back what ran before where that fails.

What ran before is put back from its inventory: the documents as they were applied, kept in the namespace
under a name with their hash. The cluster's own `rollout undo` is never used: it knows one Deployment, and
neither its Service nor what was added or removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from release.deploy.core.failed_output import CapturedOutput
from release.deploy.core.steps import reason, step, tail_of
from release.deploy.targets.kubernetes.attempt import Attempt
from release.deploy.targets.kubernetes.documents import (
    BEFORE,
    OBJECTS,
    documents,
    marked,
    workloads,
)
from release.deploy.targets.kubernetes.failed_output import collect
from release.deploy.targets.kubernetes.follow import DeploymentState
from release.deploy.targets.kubernetes.kinds import Document
from release.deploy.targets.kubernetes.placed import Workload
from release.deploy.targets.kubernetes.probe import PodProbe
from release.deploy.targets.kubernetes.restore import Restore
from release.errors import DeploymentFailed, EngineError, LockHeld, ReleaseError, Restored
from release.events import Warned
from release.reference import Digest
from release.runspec import RunSpec
from release.values import field

T = TypeVar("T")
_HINT = "read the lines above before the next attempt"


def longest(spec: RunSpec, health_timeout: int) -> int:
    """Return the milliseconds of a rollout: the progress deadline for each pod, and its end."""
    waits = [each.replicas * (health_timeout + each.stop_grace) for each in spec.every.values()]
    return sum(waits) + health_timeout


class Rollout(Attempt, frozen=True, kw_only=True):
    """One rollout in a namespace."""

    written: list[CapturedOutput] = field(default_factory=list)
    """Last lines of pods that failed."""

    def run(self) -> str:
        """Carry out the rollout. See `release.deploy.core.target.Rollouts.roll_out`."""
        there = self.workloads()
        ids = {each for one in there for each in one.identities if one.replicas}
        if ids != self.order.before.ids:
            raise self._overtaken()
        before = self._inventory_of(there)
        try:
            own = self._begin()
        except LockHeld:
            raise
        except BaseException as error:
            raise self._untouched(error) from error
        return self._proven(own, before)

    def _begin(self) -> str:
        """Let the server check the documents, and write what pods need; return the inventory's reference."""
        written = documents(self.order)
        self.means.cancellation.check()
        with step(self.means.emit, "dry run") as say:
            self._patient(lambda: self._submit.rehearse(written))
            say(f"{len(written)} objects are accepted")
        self._patient(lambda: self._sealed.write(self.order.secrets, list(self.order.spec.every.values())))
        own = self._patient(lambda: self._sealed.keep(self.order.identity.deployment, written))
        self.means.cancellation.check()
        self.means.still_mine()
        return own

    def resume(self) -> str:
        """Apply missing documents and prove the release.

        See `Rollouts.resume` in `release.deploy.core.target`.
        """
        mine = self._mine()
        if not mine:
            raise DeploymentFailed(f"finish {self.order}", "nothing of it was applied", "revert it: --revert")
        return self._proven(mine[0].texts[OBJECTS], mine[0].texts.get(BEFORE, ""))

    def retract(self) -> str:
        """Revert the rollout. See `release.deploy.core.target.Rollouts.retract`."""
        mine = self._mine()
        before = mine[0].texts.get(BEFORE, "") if mine else self._inventory_of(self.workloads())
        ended = self._restore.put_back(before, "it was interrupted", ())
        if isinstance(ended, Restored):
            return ended.found
        raise ended

    def verify(self) -> str:
        """Verify the running pods. See `release.deploy.core.target.Rollouts.verify`."""
        there = self.workloads()
        written = self._sealed.kept(self._inventory_of(there))
        seen = self._settled(written, watch=0, is_strict=False)
        self._check_digests(seen)
        return self._evidence(seen, self.order.spec)

    # parts

    def _mine(self) -> list[Workload]:
        return [each for each in self.workloads() if each.deployment == self.order.identity.deployment]

    def _inventory_of(self, there: Sequence[Workload]) -> str:
        """Return the inventory's reference in the running Deployments; empty if none run.

        Raises EngineError.
        """
        found = {each.texts.get(OBJECTS, "") for each in there}
        if not found:
            return ""
        if len(found) > 1 or "" in found:
            raise EngineError(
                self.order.attempt,
                "the Deployments of this place are of several deployments, or of another program",
                f"`{self.order.place.command('status')}` shows them",
            )
        return found.pop()

    def _overtaken(self) -> LockHeld:
        return LockHeld(
            self.order.attempt,
            "another command changed what runs at the same time; nothing was changed",
            f"`{self.order.place.command('status')}` shows what runs; then run the command again",
        )

    # applying and proving

    def _proven(self, own: str, before: str) -> str:
        """Return the evidence. If the release does not serve, restore the previous one."""
        try:
            written = self._sealed.kept(own)
            seen = self._roll(written, own, before)
            evidence = self._evidence(seen, self.order.spec)
            self.means.others(lambda: self._settled(written, watch=0))
            self.means.still_mine()
            removed = self._patient(lambda: self._submit.prune(written))
        except LockHeld as error:
            if any(one.deployment == self.order.identity.deployment for one in self._after_failure()):
                raise self._restore.lock_lost(error) from error
            raise
        except BaseException as error:
            raise self._give_up(before, error) from error
        return "; ".join([evidence, *([f"removed {', '.join(removed)}"] if removed else ())])

    def _roll(self, written: Sequence[Document], own: str, before: str) -> list[DeploymentState]:
        """Apply the documents in order. A replaced Deployment is complete before the next one."""
        with step(self.means.emit, "apply") as say:
            for document in written:
                self._apply(document, own, before)
                if document["kind"] == "Deployment":
                    self._follow(document, 0).await_complete()
            say(f"{len(written)} objects, {self.order.image.digest}")
        with step(self.means.emit, "health") as say:
            seen = self._settled(written, watch=self.order.watch)
            self._check_digests(seen)
            say("; ".join(map(str, seen)))
        return seen

    def _apply(self, document: Document, own: str, before: str) -> None:
        self.means.cancellation.check()
        self.means.still_mine()
        whole = marked(document, own, before) if document["kind"] == "Deployment" else document
        self._patient(lambda: self._submit.apply(whole))

    def _settled(
        self, written: Sequence[Document], *, watch: int, is_strict: bool = True
    ) -> list[DeploymentState]:
        """Return the Deployments after all were complete for the watch's time."""
        return [
            self._follow(each, watch if number == 0 else 0, is_strict=is_strict).await_complete()
            for number, each in enumerate(workloads(written))
        ]

    def _check_digests(self, seen: Sequence[DeploymentState]) -> None:
        """Raise DeploymentFailed if a pod does not run the recorded digest."""
        wanted = Digest(self.order.image.digest)
        for pod in (pod for each in seen for pod in each.pods):
            if pod.digest != wanted:
                found = f"{pod} runs {pod.digest or 'an image without a digest'}, not {wanted}"
                raise DeploymentFailed(
                    f"prove that {self.order} runs", found, f"kubectl describe pod {pod.name}"
                )

    def _evidence(self, seen: Sequence[DeploymentState], spec: RunSpec) -> str:
        asking = PodProbe(
            cluster=self.cluster,
            clock=self.clock,
            patience=self.order.health_timeout,
            emit=self.means.emit,
            check=self.means.cancellation.check,
        )
        pods = [pod for each in seen for pod in each.pods]
        return "; ".join([*map(str, seen), *asking.ask(pods, spec)])

    # failing

    @property
    def _restore(self) -> Restore:
        return Restore(
            cluster=self.cluster,
            place=self.place,
            force=self.force,
            clock=self.clock,
            order=self.order,
            means=self.means,
        )

    def _untouched(self, error: BaseException) -> DeploymentFailed:
        why, hint = reason(error), error.hint if isinstance(error, ReleaseError) else ""
        return DeploymentFailed(
            self.order.attempt, self.means.mask(f"{why}; nothing was changed"), self.means.mask(hint)
        )

    def _after_failure(self) -> list[Workload]:
        """Return the Deployments; none if the API server does not answer."""
        try:
            return self.workloads()
        except EngineError:
            return []

    def _give_up(self, before: str, error: BaseException) -> DeploymentFailed:
        why = self.means.mask(reason(error))
        pods = [pod for one in self._after_failure() for pod in one.pods]
        self.written.extend(collect(self.cluster, self.order.identity.deployment, pods, self.means.mask))
        self.means.emit(Warned(text=f"{why}: restoring what ran before"))
        return self._restore.put_back(before, why, tail_of(error))
