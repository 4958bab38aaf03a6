"""The way back of a failed rollout: what ran before is applied again from its inventory, and proved."""

from __future__ import annotations

from release.deploy.core.steps import reason, step
from release.deploy.targets.kubernetes.attempt import Attempt
from release.deploy.targets.kubernetes.documents import marked, workloads
from release.deploy.targets.kubernetes.follow import DeploymentState
from release.deploy.targets.kubernetes.kinds import Document
from release.errors import DeploymentFailed, EngineError, LockHeld, MixedState, ReleaseError, Restored

_HINT = "read the lines above before the next attempt"


class Restore(Attempt, frozen=True, kw_only=True):
    """The end of a rollout that failed or was interrupted."""

    def put_back(self, before: str, why: str, tail: tuple[str, ...]) -> DeploymentFailed:
        """Restore the previous release; return the error with the result. No signal ends this."""
        try:
            self.means.still_mine()
            if not before:
                return self._removed(why, tail)
            seen = self._restored(before)
        except LockHeld as error:
            return self.lock_lost(error)
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
        found = f"{why}; no release ran before, and none runs now"
        return DeploymentFailed(self.order.attempt, found, _HINT, tail)

    def lock_lost(self, error: LockHeld) -> MixedState:
        """Return the error of a rollout whose lock somebody else took, or removed, in the middle."""
        found = f"{reason(error)}: this command stopped and changes nothing more. {self._pods_now()}"
        return MixedState(self.order.attempt, self.means.mask(found), error.hint)

    def _pods_now(self) -> str:
        """Return all pods as text, if the API server answers."""
        try:
            there = [f"{pod} ({pod.deployment}, {pod.state})" for one in self.workloads() for pod in one.pods]
        except EngineError as silent:
            return f"The API server does not show what runs ({silent.found})"
        return f"Pods now: {', '.join(there) or 'none'}"

    def _mixed(self, why: str, left: str, tail: tuple[str, ...]) -> MixedState:
        return MixedState(
            self.order.attempt,
            f"{why}; the restoration of what ran before failed too ({left}). {self._pods_now()}",
            f"run `{self.order.place.command('status')}`, then deploy or roll back",
            tail,
        )
