"""Hold the lock of a place while it is changed, and check that nothing changed before it was held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from release.deploy.core import lock
from release.deploy.core.image_location import EMBEDDED, ImageLocation
from release.deploy.core.instance import InstanceSet
from release.deploy.core.lock import Holder
from release.deploy.core.lock_store import LockStore
from release.deploy.core.place import describe
from release.deploy.environment import identify, journal
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.planning.prepare import Prepared
from release.errors import ImageLost, LockHeld
from release.events import Warned
from release.records import Body, Draft
from release.reference import Repository

_SPARE_MS: Final = 15 * 60_000
"""Time that a lock lasts longer than the work under it may take."""


def make_holder(
    live: LiveEnvironment, store: LockStore, started: Draft[Body], *, run: str, deployment: str, longest: int
) -> Holder:
    """Return this process as the holder of a lock.

    Args:
        live: the environment.
        store: where the lock is kept; its clock counts.
        started: the event that starts the deployment; the lock keeps it.
        run: id of the run that works under the lock.
        deployment: the deployment that is carried out or ended.
        longest: milliseconds that the work may take.
    """
    return Holder.here(
        who=live.workspace.actor.name,
        url=live.workspace.run(run).url,
        deployment=deployment,
        milliseconds=_SPARE_MS + longest,
        now=store.now(),
        journal=journal.write(started),
    )


@contextmanager
def locked(prepared: Prepared, store: LockStore, holder: Holder) -> Iterator[None]:
    """Hold the lock of a deployment. If the engine lost part of the image, pull the image again.

    Raises LockHeld, RegistryError, EngineError: nothing was changed.
    """
    live, body = prepared.live, prepared.target.body
    with ExitStack() as stack:
        for is_last in (Repository(body.image.repository).host == EMBEDDED, True):
            held = lock.hold_lock(
                store,
                live.place,
                holder,
                live.workspace.emit,
                breaking=prepared.found.takeover.breaks,
                task=lock.task_of(prepared.request.reason),
            )
            try:
                stack.enter_context(held)
                break
            except ImageLost as error:
                if is_last:
                    raise
                text = f"{error.attempted}: {error.found}; using the registry instead"
                live.workspace.emit(Warned(text=text))
                live.target.images.fetch(
                    body, prepared.spec, ImageLocation(where="registry"), live.workspace.emit
                )
        yield


def ensure_unchanged(live: LiveEnvironment, before: InstanceSet, attempted: str, *, stopped: bool) -> None:
    """Raise LockHeld if the containers changed since they were shown. Call it under the lock.

    Args:
        live: the environment.
        before: the containers that were shown.
        attempted: what is attempted, for the error.
        stopped: whether the number of stopped containers is compared too.
    """
    now = identify.look(live)
    if now.ids != before.ids or (stopped and len(now.stopped) != len(before.stopped)):
        raise LockHeld(
            attempted,
            f"another deployment came first; now running: {describe(now.running)}",
            f"`{live.place.command('status')}` shows what runs; then run the command again",
        )
