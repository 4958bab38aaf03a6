"""Work after a deployment ended, when its lock is free again: hooks and webhooks. It changes no result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from release.config import Webhook
from release.deploy.core.rollout import RolloutContext
from release.deploy.environment.environment import Workspace
from release.deploy.execution import hooks
from release.deploy.execution.hooks import HookSubject
from release.errors import ReleaseError
from release.events import Warned
from release.network import webhook
from release.programs.cancellation import Cancellation
from release.programs.interruption import Interruption
from release.secrets.redact import Mask
from release.secrets.sources import resolve_secrets


def after_the_end(
    subject: HookSubject, when: str, ends: Sequence[Mapping[str, Any]], interruption: Interruption
) -> None:
    """Run hooks and send messages after a deployment ended. Do nothing if no end is recorded.

    A signal that stopped the deployment does not stop hooks and messages; a later signal does.
    """
    if not ends:
        return
    record, live, mask = ends[-1], subject.live, Mask(subject.hidden)
    context = RolloutContext(
        emit=live.workspace.emit,
        cancellation=Cancellation() if interruption.arrived is not None else interruption.cancellation,
        mask=mask,
    )
    try:
        _keep_messages(subject, subject.moment(when), record)
        with interruption.held():
            hooks.run_after(subject, when, record, context)
        deliver_waiting(live.workspace)
    except Exception as error:  # noqa: BLE001 - whatever it is, the deployment has ended as it has
        found = f"cannot {error.attempted}: {error.found}" if isinstance(error, ReleaseError) else repr(error)
        live.workspace.emit(Warned(text=mask(f"work after the deployment failed: {found}")))


def _keep_messages(subject: HookSubject, moment: str, record: Mapping[str, Any]) -> None:
    """Store a message for each webhook of this moment and environment."""
    workspace, environment = subject.live.workspace, subject.live.place.environment
    for name, hook in workspace.service.webhooks.items():
        if moment in hook.on and (not hook.environments or environment in hook.environments):
            data = message(subject, moment, record)
            webhook.keep_message(
                workspace.source.git_dir, name, str(record.get("deployment", "0" * 12)), data
            )


def message(subject: HookSubject, moment: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a message, without settings. docs/how-to/hooks.md lists its keys."""
    release, place = subject.release, subject.live.place
    actor = record.get("actor") or {}
    targets = record.get("targets") or [{}]
    return {
        "type": f"release.{moment}",
        "service": place.service,
        "environment": place.environment,
        "version": release.version,
        "previous_version": subject.previous_version,
        "commit": release.source.commit,
        "image": f"{release.image.repository}@{release.image.digest}",
        "deployment": record.get("deployment"),
        "reason": subject.reason,
        "status": record.get("status"),
        "detail": targets[0].get("detail"),
        "message": record.get("message"),
        "actor": actor.get("name"),
        "recorded_at": record.get("recorded_at"),
        "record": record.get("id"),
    }


def deliver_waiting(workspace: Workspace) -> int:
    """Send the waiting messages of this clone; return how many were sent. Failures are only warnings."""
    known, sent = workspace.service.webhooks, 0
    if not known:
        return 0
    silent: set[str] = set()
    for each in webhook.waiting_messages(
        workspace.source.git_dir, lambda text: workspace.emit(Warned(text=text))
    ):
        hook = known.get(each.hook)
        if hook is None or each.expired:
            why = "it waited for a week" if each.expired else f"there is no webhook {each.hook} any more"
            workspace.emit(Warned(text=f"the message {each.id} was given up: {why}"))
            each.path.unlink(missing_ok=True)
        elif each.hook in silent or not _delivered(workspace, each, hook):
            silent.add(each.hook)
        else:
            sent += 1
    return sent


def _delivered(workspace: Workspace, waiting: webhook.Message, hook: Webhook) -> bool:
    sources = {waiting.hook: hook.secret}
    root, environ = workspace.source.root, workspace.environ
    values, missing = resolve_secrets(sources, root=root, environ=environ, tell=workspace.tell)
    try:
        if missing:
            attempted = f"sign the message {waiting.id} for the webhook {waiting.hook}"
            raise ReleaseError(attempted, missing[0].reason)
        webhook.deliver(waiting, hook, values[waiting.hook])
    except ReleaseError as error:
        text = f"cannot {error.attempted}: {error.found}. It waits in this clone; `invoke sync` tries again"
        workspace.emit(Warned(text=text))
        return False
    waiting.path.unlink(missing_ok=True)
    return True
