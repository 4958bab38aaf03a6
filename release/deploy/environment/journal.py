"""Request of a deployment, kept in the lock of its environment, as the event of its start.

Whoever comes after a crash reads there what was meant, with every setting, though the operator's clone and
the git server may be away. It is a claim until the ledger has it (`release.deploy.environment.lock_claim`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from release.deploy.core.instance import InstanceSet
from release.deploy.core.lock import Holder
from release.deploy.core.place import DEPLOYMENT
from release.deploy.environment import lock_claim
from release.deploy.environment.environment import EnvironmentRef, Workspace
from release.errors import LedgerError
from release.events import Warned
from release.ledger.deployments import Event, deployments, events_of
from release.records import Body, Deployment, Draft, TargetState, Undoing, Upgrade, parse
from release.text.local_time import local_time
from release.values import Struct, replace

End = Literal["healthy", "restored", "failed", "mixed"]


def write(started: Draft[Body]) -> str:
    """Return the start as text: the bytes of its record if it were the first."""
    return started.at(1, None).to_bytes().decode()


def read(text: str) -> Draft[Body] | None:
    """Return the start of this text; None if there is none, or this version does not understand it."""
    try:
        return parse(text.encode(), "of the lock").draft()
    except LedgerError:
        return None


class Unfinished(Struct, frozen=True, kw_only=True):
    """A deployment that started and has no end, by ledger and engine."""

    draft: Draft[Body]
    """Event of the deployment's start."""
    started: Deployment
    """The draft's body."""
    version: str
    recorded: bool
    """True: the ledger has that event, or this clone, which will publish it."""
    doubts: tuple[str, ...] = ()
    """Names of unproven parts of a start that only a lock has."""

    @property
    def event(self) -> Event:
        """Return the start as an event."""
        draft = self.draft
        return Event(
            deployment=self.started,
            recorded_at=draft.recorded_at,
            actor=draft.actor,
            run=draft.run,
            record=None,
        )

    def __str__(self) -> str:
        """Return the deployment as text: what was started, by whom and when."""
        what = "rollback" if self.started.reason == "rollback" else "deployment"
        who, since = self.draft.actor.name, local_time(self.draft.recorded_at)
        text = f"the {what} {self.started.deployment} to {self.version} by {who}, started {since}"
        text += f", with {self.started.group}" if self.started.group is not None else ""
        return text if self.recorded else f"{text}, according to its lock"

    def ended(
        self,
        end: End,
        target: str,
        digest: str | None,
        detail: str,
        message: str,
        down: Undoing | None = None,
        up: Upgrade | None = None,
    ) -> Deployment:
        """Return the event that ends the deployment, without a duration: nobody measured it."""
        state = TargetState(
            name=target, status="failed" if end == "mixed" else end, digest=digest, detail=detail
        )
        said = "; ".join(text for text in (self.started.message, message) if text)
        changes = {"status": end, "targets": (state,), "message": said, "down": down, "up": up}
        return self.started.model_copy(update=changes)

    def drafts(self, end: Draft[Body], start: Draft[Body]) -> list[Draft[Body]]:
        """Return the records that the ledger lacks of the deployment, with this end."""
        return [end] if self.recorded else [start, end]

    def start(self, workspace: Workspace) -> Draft[Body]:
        """Return the start as this clone records it."""
        return self.draft if self.recorded else lock_claim.start(workspace, self.draft, self.started)


def store_start(
    env_ref: EnvironmentRef, unfinished: Unfinished | None, *, publish: bool
) -> Unfinished | None:
    """Record the start in the ledger or this clone, before the lock that holds it is taken over.

    Args:
        spot: the environment.
        unfinished: the interrupted deployment there, if there is one.
        publish: whether to ask the ledger's remote now, and not with the next event.
    """
    if unfinished is None or unfinished.recorded or unfinished.doubts:
        return unfinished
    try:
        env_ref.workspace.ledger.append_events([unfinished.start(env_ref.workspace)], publish=publish)
    except LedgerError as error:
        text = f"{unfinished} is not in the ledger, only its lock had it: {error.attempted}: {error.found}"
        env_ref.workspace.emit(Warned(text=text))
        return unfinished
    return replace(unfinished, recorded=True)


def find(env_ref: EnvironmentRef, ours: InstanceSet, holder: Holder | None) -> Unfinished | None:
    """Return the interrupted deployment of a place, by the lock, or else by its containers' labels.

    Args:
        spot: the environment.
        ours: containers of the environment.
        holder: holder of the lock, alive or not.
    """
    candidates = (*_start_in_lock(env_ref, holder), *_by_labels(env_ref, ours))
    return next((found for draft in candidates if (found := _without_end(env_ref, draft))), None)


def _start_in_lock(env_ref: EnvironmentRef, holder: Holder | None) -> Iterator[Draft[Body]]:
    """Return the start in a lock, if it is of this place and of the lock's deployment.

    If the ledger or this clone has the start, return that one.
    """
    draft = read(holder.journal) if holder is not None else None
    if draft is None or holder is None or not isinstance(draft.body, Deployment):
        return
    if (draft.service, draft.body.deployment) == (env_ref.place.service, holder.deployment):
        known = list(_starts(env_ref, draft.body.deployment))
        yield from known or [draft]


def find_last(env_ref: EnvironmentRef) -> Unfinished | None:
    """Return the last deployment of a place that was started and has no end in the ledger.

    Call it under the lock, because another holder may be about to record the end.
    """
    last = next(deployments(env_ref.workspace.ledger, env_ref.place.service, env_ref.place.environment), None)
    if last is None or last.deployment.status != "started":
        return None
    found = (_without_end(env_ref, draft) for draft in _starts(env_ref, last.deployment.deployment))
    return next(filter(None, found), None)


def _by_labels(env_ref: EnvironmentRef, ours: InstanceSet) -> Iterator[Draft[Body]]:
    """Return the starts in the ledger of deployments whose containers exist."""
    names = [each.labels.get(DEPLOYMENT, "") for each in (*ours.running, *ours.stopped)]
    for name in dict.fromkeys(filter(None, names)):
        yield from _starts(env_ref, name)


def _starts(env_ref: EnvironmentRef, deployment: str) -> Iterator[Draft[Body]]:
    """Return the start event of a deployment, from the ledger or waiting in this clone."""
    waiting = env_ref.workspace.ledger.unsynced()
    for event in _events(env_ref, deployment):
        if event.deployment.status == "started" and event.record is not None:
            yield env_ref.workspace.ledger.record(event.record).draft()
    for draft in waiting:
        body = draft.body
        if isinstance(body, Deployment) and (body.deployment, body.status) == (deployment, "started"):
            yield draft


def _without_end(env_ref: EnvironmentRef, draft: Draft[Body]) -> Unfinished | None:
    """Return the deployment of this start; None if its end is known."""
    body = draft.body
    if not isinstance(body, Deployment) or body.status != "started":
        return None
    events = list(_events(env_ref, body.deployment))
    if _has_end(events) or body.environment != env_ref.place.environment:
        return None
    if events:
        return Unfinished(draft=draft, started=body, version=_version(env_ref, body), recorded=True)
    return Unfinished(
        draft=draft,
        started=lock_claim.attested(env_ref, draft, body),
        version=_version(env_ref, body),
        recorded=False,
        doubts=lock_claim.doubts(env_ref, body),
    )


def ended(env_ref: EnvironmentRef, deployment: str) -> bool:
    """Return whether the ledger has the end of a deployment; False for an empty name."""
    return bool(deployment) and _has_end(_events(env_ref, deployment))


def _has_end(events: Iterable[Event]) -> bool:
    return any(event.deployment.status != "started" for event in events)


def _events(env_ref: EnvironmentRef, deployment: str) -> Iterator[Event]:
    every = events_of(env_ref.workspace.ledger, env_ref.place.service, deployment)
    mine = (deployment, env_ref.place.environment)
    return (event for event in every if (event.deployment.deployment, event.deployment.environment) == mine)


def _version(env_ref: EnvironmentRef, body: Deployment) -> str:
    """Return the release's version; the beginning of its digest if it is not recorded here."""
    try:
        release = env_ref.workspace.ledger.record(body.release).body
    except LedgerError:
        return body.digest[:19]
    return str(getattr(release, "version", body.digest[:19]))
