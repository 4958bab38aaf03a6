"""One rollout in a namespace: rehearse, apply, follow, prove; put back what ran before where that fails.

What ran before is put back from its inventory: the documents as they were applied, kept in the namespace
under a name with their hash. The cluster's own `rollout undo` is never used: it knows one Deployment, and
neither its Service nor what was added or removed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from release.deploy.core.outage import until_back
from release.deploy.core.place import DEPLOYMENT, PROCESS, SERVING
from release.deploy.core.rollout import RolloutContext, RolloutRequest
from release.deploy.core.steps import reason, step, tail_of
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.documents import (
    BEFORE,
    OBJECTS,
    deadline,
    documents,
    marked,
    workloads,
)
from release.deploy.targets.kubernetes.follow import DeploymentState, Follow
from release.deploy.targets.kubernetes.kinds import Document
from release.deploy.targets.kubernetes.placed import PlacedWorkloads, Workload
from release.deploy.targets.kubernetes.probe import PodProbe
from release.deploy.targets.kubernetes.sealed import Sealed
from release.deploy.targets.kubernetes.submit import Submit
from release.errors import DeploymentFailed, EngineError, LockHeld, MixedState, ReleaseError, Restored
from release.events import Warned
from release.reference import Digest
from release.runspec import RunSpec

T = TypeVar("T")
_HINT = "read the lines above before the next attempt"


def longest(spec: RunSpec, health_timeout: int) -> int:
    """Return the milliseconds of a rollout: the progress deadline for each pod, and its end."""
    waits = [each.replicas * (health_timeout + each.stop_grace) for each in spec.every.values()]
    return sum(waits) + health_timeout


class Rollout(PlacedWorkloads, frozen=True, kw_only=True):
    """One rollout in a namespace."""

    order: RolloutRequest
    means: RolloutContext

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
            self._submit.rehearse(written)
            say(f"{len(written)} objects are accepted")
        self._sealed.write(self.order.secrets, list(self.order.spec.every.values()))
        own = self._sealed.keep(self.order.identity.deployment, written)
        self.means.cancellation.check()
        self.means.still_mine()
        return own

    def resume(self) -> str:
        """Apply missing documents and prove the release.

        See `Rollouts.resume` in `release.deploy.core.target`.
        """
        mine = self._mine()
        if not mine:
            raise DeploymentFailed(f"finish {self.order}", "nothing of it was applied")
        return self._proven(mine[0].texts[OBJECTS], mine[0].texts.get(BEFORE, ""))

    def retract(self) -> str:
        """Revert the rollout. See `release.deploy.core.target.Rollouts.retract`."""
        mine = self._mine()
        before = mine[0].texts.get(BEFORE, "") if mine else self._inventory_of(self.workloads())
        ended = self._put_back(before, "it was interrupted", ())
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

    @property
    def _submit(self) -> Submit:
        return Submit(cluster=self.cluster, place=self.order.place, force=self.force)

    @property
    def _sealed(self) -> Sealed:
        return Sealed(cluster=self.cluster, place=self.order.place)

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
            self.means.still_mine()
            removed = self._patient(lambda: self._submit.prune(written))
        except LockHeld:
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

    def _follow(
        self,
        document: Document,
        watch: int,
        *,
        is_strict: bool = True,
        check: Callable[[], None] | None = None,
    ) -> Follow:
        labels = document["metadata"]["labels"]
        process = labels.get(PROCESS, "")
        return Follow(
            cluster=self.cluster,
            name=document["metadata"]["name"],
            labels=naming.pod_selector(self.order.place.at(process), SERVING),
            deployment=labels[DEPLOYMENT],
            attempted=self.order.attempt,
            patience=deadline(self.order, process) * 1000,
            watch=watch,
            emit=self.means.emit,
            mask=self.means.mask,
            check=check or self.means.cancellation.check,
            clock=self.clock,
            is_strict=is_strict,
        )

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

    def _patient(self, call: Callable[[], T]) -> T:
        return until_back(call, milliseconds=self.order.health_timeout, emit=self.means.emit)

    # putting back

    def _untouched(self, error: BaseException) -> DeploymentFailed:
        why, hint = reason(error), error.hint if isinstance(error, ReleaseError) else ""
        return DeploymentFailed(
            self.order.attempt, self.means.mask(f"{why}; nothing was changed"), self.means.mask(hint)
        )

    def _give_up(self, before: str, error: BaseException) -> DeploymentFailed:
        why = self.means.mask(reason(error))
        self.means.emit(Warned(text=f"{why}: restoring what ran before"))
        return self._put_back(before, why, tail_of(error))

    def _put_back(self, before: str, why: str, tail: tuple[str, ...]) -> DeploymentFailed:
        """Restore the previous release; return the error with the result. No signal ends this."""
        try:
            self.means.still_mine()
            if not before:
                return self._removed(why, tail)
            seen = self._restored(before)
        except LockHeld:
            raise
        except ReleaseError as left:
            return self._mixed(why, self.means.mask(reason(left)), tail)
        found = "; ".join([why, "what ran before runs again", *map(str, seen)])
        return Restored(self.order.attempt, found, _HINT, tail)

    def _restored(self, before: str) -> list[DeploymentState]:
        written = self._patient(lambda: self._sealed.kept(before))
        with step(self.means.emit, "restore") as say:
            for document in written:
                self._apply_again(document, before)
            self._patient(lambda: self._submit.prune(written))
            seen = [
                self._follow(each, 0, is_strict=False, check=lambda: None).await_complete()
                for each in workloads(written)
            ]
            say(f"{len(written)} objects, as they were")
        return seen

    def _apply_again(self, document: Document, before: str) -> None:
        whole = marked(document, before, "") if document["kind"] == "Deployment" else document
        self._patient(lambda: self._submit.apply(whole))

    def _removed(self, why: str, tail: tuple[str, ...]) -> DeploymentFailed:
        self._patient(lambda: self._submit.prune(()))
        found = f"{why}; nothing ran before, and nothing runs now"
        return DeploymentFailed(self.order.attempt, found, _HINT, tail)

    def _mixed(self, why: str, left: str, tail: tuple[str, ...]) -> MixedState:
        """Return the error that lists all pods, if the API server answers."""
        try:
            there = [f"{pod} ({pod.deployment}, {pod.state})" for one in self.workloads() for pod in one.pods]
            what = f"pods now: {', '.join(there) or 'none'}"
        except EngineError as silent:
            what = f"the API server does not show what runs ({silent.found})"
        return MixedState(
            self.order.attempt,
            f"{why}; the restoration of what ran before failed too ({left}). {what}",
            f"run `{self.order.place.command('status')}`, then deploy or roll back",
            tail,
        )
