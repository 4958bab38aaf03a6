"""Removing what no rollback needs any more: images, stopped containers, a cluster's secrets and configs.

What may be needed is read off the ledger, never guessed from an image's age: the last healthy releases of
every environment, all that was released or deployed lately, whatever a container uses, and what is nowhere
else. Only images that the ledger knows as releases of this service are ever removed; layers they share with
others stay, for that is the engine's own business. Of a cluster every node is pruned whose engine is reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Final

from release.config import Retention
from release.deploy.core import lock
from release.deploy.core.image_source import ImageAvailability
from release.deploy.core.lock import Holder
from release.deploy.core.target import Upkeep
from release.deploy.core.upkeep import ImageStore, Unneeded
from release.deploy.environment.environment import LiveEnvironment, Workspace
from release.deploy.inspection.prune_plan import (
    SharedStore,
    environments_on,
    plan_pruning,
    stopped_containers,
)
from release.deploy.inspection.prune_result import PrunePlan, PruneResult, Removal
from release.errors import EngineError, LockHeld
from release.events import Emit, Warned
from release.reference import Digest

_LOCK_MINUTES: Final = 15


# --- what may be needed


# --- the plan


# --- doing it


def prune(
    ground: SharedStore,
    planned: PrunePlan,
    stock: ImageAvailability,
    retention: Retention,
    check: Callable[[], None],
) -> PruneResult:
    """Remove the planned objects that may still be removed, while no deployment is under way.

    Args:
        ground: the planned image store.
        planned: the plan that was shown.
        stock: availability of images, as used for the plan.
        retention: retention, as used for the plan.
        check: called between removals; raises an error to stop the work.

    Raises:
        LockHeld: a deployment is under way on this engine; nothing was removed.
        EngineError, LedgerError, Cancelled.
    """
    emit = ground.sites[0].workspace.emit
    if planned.nothing:
        return PruneResult(pruning=planned, removed=(), containers=())
    with ExitStack() as locks:
        for live in ground.sites:
            locks.enter_context(_locked(live, ground.store, planned))
        now = plan_pruning(ground, stock, retention)
        containers = list(_containers_removed(ground, planned, check))
        gone, still = [], {each.image for each in now.removals}
        for removal in planned.removals:
            check()
            if removal.image in still and _removed(ground.store, removal, emit):
                gone.append(removal)
        upkeep = ground.sites[0].target.upkeep
        objects = [each for each in planned.objects if each in now.objects and _dropped(upkeep, each, emit)]
    return PruneResult(
        pruning=planned, removed=tuple(gone), containers=tuple(containers), objects=tuple(objects)
    )


def _containers_removed(ground: SharedStore, planned: PrunePlan, check: Callable[[], None]) -> Iterator[str]:
    """Remove the planned containers that are still stopped; yield their names."""
    for live in environments_on(ground):
        for instance in stopped_containers(live):
            if instance.name in planned.containers:
                check()
                live.target.upkeep.remove(instance)
                yield instance.name


def _locked(live: LiveEnvironment, store: ImageStore, planned: PrunePlan) -> Any:
    """Hold the environment's lock, made from an image that stays. Raises LockHeld."""
    anchor = _lock_image(store, planned) if live.target.lock_needs_image else None
    lock_store = live.target.lock_store(anchor)
    holder = Holder.here(
        who=live.workspace.actor.name,
        url=live.workspace.run("prune").url,
        deployment="prune",
        milliseconds=_LOCK_MINUTES * 60_000,
        now=lock_store.now(),
    )
    return lock.hold_lock(lock_store, live.place, holder, live.workspace.emit, task="prune")


def _dropped(upkeep: Upkeep, unneeded: Unneeded, emit: Emit) -> bool:
    """Remove the object. If a service refers to it by now, warn and keep it."""
    try:
        upkeep.drop(unneeded)
    except EngineError as error:
        emit(Warned(text=f"could not remove {unneeded}: {error.found}"))
        return False
    return True


def _lock_image(store: ImageStore, planned: PrunePlan) -> Digest:
    """Return an image that stays. Raises LockHeld if no lock can be made from one."""
    going = {removal.image for removal in planned.removals}
    kept = [Digest(each.image) for each in planned.kept]
    others = (image.id for image in store.images(None) if str(image.id) not in going)
    found = next(iter(kept), None) or next(others, None)
    if found is None:
        raise LockHeld(
            f"prune {planned.service} on {store.host}",
            "the plan would remove every image, but the lock needs one that stays",
            "deploy a release there first",
        )
    return found


def _removed(store: ImageStore, removal: Removal, emit: Emit) -> bool:
    """Remove the image's names. If the store refuses one, warn and keep it."""
    try:
        for name in removal.names:
            store.untag(name)
    except EngineError as error:
        emit(Warned(text=f"could not remove {removal.version}: {error.found}"))
        return False
    return True


def on_engines(workspace: Workspace, names: Sequence[str], stack: ExitStack) -> list[SharedStore]:
    """Return the image stores of environments, open as long as the stack.

    Stores of a cluster's other nodes are included. Warns of unreachable nodes.

    Raises EngineUnreachable, EngineError, UsageError.
    """
    return stores_to_prune([stack.enter_context(workspace.live(name)) for name in names], stack)


def stores_to_prune(sites: Sequence[LiveEnvironment], stack: ExitStack) -> list[SharedStore]:
    """Return the image stores of environments that are open already."""
    found: dict[str, SharedStore] = {}
    others: dict[str, SharedStore] = {}
    for live in sites:
        own, *more = live.target.upkeep.stores(stack, live.workspace.emit)
        _join(found, own, live)
        for store in more:
            _join(others, store, live)
    return [*found.values(), *(ground for host, ground in others.items() if host not in found)]


def _join(stores: dict[str, SharedStore], store: ImageStore, live: LiveEnvironment) -> None:
    """Add an environment to the environments of a store."""
    known = stores.get(store.host)
    before = known.sites if known is not None else ()
    stores[store.host] = SharedStore(store=known.store if known is not None else store, sites=[*before, live])
