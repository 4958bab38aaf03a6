"""Removing what no rollback needs any more: images, stopped containers, a cluster's secrets and configs.

What may be needed is read off the ledger, never guessed from an image's age: the last healthy releases of
every environment, all that was released or deployed lately, whatever a container uses, and what is nowhere
else. Only images that the ledger knows as releases of this service are ever removed; layers they share with
others stay, for that is the engine's own business. Of a cluster every node is pruned whose engine is reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Any, Final

from release.config import Retention
from release.deploy.core import lock
from release.deploy.core.image_source import ImageAvailability
from release.deploy.core.instance import Instance
from release.deploy.core.lock import Holder
from release.deploy.core.place import DEPLOYMENT
from release.deploy.core.target import Upkeep
from release.deploy.core.upkeep import ImageStore, Needs, Unneeded
from release.deploy.environment.environment import LiveEnvironment, Workspace
from release.deploy.environment.identify import look
from release.errors import EngineError, LedgerError, LockHeld
from release.events import Emit, Warned
from release.images.engine import StoredImage
from release.ledger import layout, query
from release.ledger.query import Event
from release.records import Record, Release
from release.reference import Digest, Repository
from release.runspec import RunSpec
from release.values import Struct, plain

_LOCK_MINUTES: Final = 15
_REMEMBERED: Final = 500
"""Number of deployment events that are read for what has an end, and what is recent."""
_SETTLED: Final = ("healthy", "restored", "failed")
"""Ends after which nothing is to be put back any more."""


class Removal(Struct, frozen=True, kw_only=True):
    """An image that goes: a release that nothing needs any more."""

    version: str
    digest: str
    image: str
    """Its id in the engine's store."""
    names: tuple[str, ...]
    """All of them are taken away, and with the last one the image goes."""
    layers: Mapping[str, int]
    """Compressed bytes by digest, as recorded."""


class Kept(Struct, frozen=True, kw_only=True):
    """An image that stays, and why."""

    version: str
    digest: str
    image: str
    reasons: tuple[str, ...]
    layers: Mapping[str, int]


class Pruning(Struct, frozen=True, kw_only=True):
    """Plan for one engine: what is removed and what stays."""

    service: str
    engine: str
    environments: tuple[str, ...]
    """Of this service, on this engine."""
    node: str
    """Name of the node in its cluster; empty if the environment itself is reached through it."""
    removals: tuple[Removal, ...]
    kept: tuple[Kept, ...]
    containers: tuple[str, ...]
    """Stopped ones that go."""
    unknown: tuple[str, ...]
    """Names of images in the service's repository that the ledger does not know: they are left alone."""
    objects: tuple[Unneeded, ...] = ()
    """Secrets and configs of a cluster that go."""

    @property
    def nothing(self) -> bool:
        """Return whether there is nothing to do."""
        return not self.removals and not self.containers and not self.objects

    def freed(self, gone: Sequence[Removal]) -> int:
        """Compressed bytes of the layers that no known release which stays has, when these go.

        By the records: an engine is slow to count its own, and others use it meanwhile.
        """
        stay = {digest for each in self.kept for digest in each.layers}
        stay |= {digest for each in self.removals if each not in gone for digest in each.layers}
        going = {digest: size for each in gone for digest, size in each.layers.items()}
        return sum(size for digest, size in going.items() if digest not in stay)

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {**_without_layers(plain(self)), "freed": self.freed(self.removals)}


class Pruned(Struct, frozen=True, kw_only=True):
    """Removed images, containers and objects."""

    pruning: Pruning
    removed: tuple[Removal, ...]
    containers: tuple[str, ...]
    objects: tuple[Unneeded, ...] = ()

    @property
    def nothing(self) -> bool:
        """Return whether nothing went."""
        return not self.removed and not self.containers and not self.objects

    @property
    def freed(self) -> int:
        """Bytes: see `Pruning.freed`."""
        return self.pruning.freed(self.removed)

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            **self.pruning.to_json(),
            "removed": [_without_layers(plain(each)) for each in self.removed],
            "removed_containers": list(self.containers),
            "removed_objects": [plain(each) for each in self.objects],
            "freed": self.freed,
        }


def _without_layers(data: Any) -> Any:
    """Layers are the record's to tell."""
    if isinstance(data, list | tuple):
        return [_without_layers(each) for each in data]
    if isinstance(data, dict):
        return {key: _without_layers(value) for key, value in data.items() if key != "layers"}
    return data


class Ground(Struct, frozen=True, kw_only=True):
    """A store of images that is pruned, and the environments that it serves."""

    store: ImageStore
    sites: Sequence[LiveEnvironment]
    """One at least."""


# --- what may be needed


def needed(workspace: Workspace, retention: Retention, now: datetime) -> dict[str, list[str]]:
    """Record ids of releases that a rollback may need, each with the reasons. Raises LedgerError."""
    reasons: dict[str, list[str]] = {}
    since = _since(retention, now)
    for release, reason in _reasons(workspace, retention.releases, since):
        told = reasons.setdefault(release, [])
        if reason not in told:
            told.append(reason)
    _check_complete(workspace)
    return reasons


def _check_complete(workspace: Workspace) -> None:
    """Refuse to judge what is needed by a part of the ledger. Raises LedgerError."""
    if workspace.ledger.unproven is not None:
        raise workspace.ledger.unproven
    if workspace.ledger.skipped:
        path, found = next(iter(workspace.ledger.skipped.items()))
        raise LedgerError(
            "find out which releases are needed", f"{path} cannot be read: {found}", _WHOLE_LEDGER
        )


_WHOLE_LEDGER: Final = (
    "no image was removed; prove the ledger: invoke verify --ledger. Or use a fresh clone, or "
    "a later version of the library"
)


def _since(retention: Retention, now: datetime) -> str:
    since = (now - timedelta(milliseconds=retention.window)).isoformat(timespec="milliseconds")
    return since.replace("+00:00", "Z")


def _reasons(workspace: Workspace, count: int, since: str) -> Iterator[tuple[str, str]]:
    ledger, service = workspace.ledger, workspace.service.service
    releases = query.releases(ledger, service)
    for record in takewhile(lambda each: each.envelope.recorded_at >= since, releases):
        yield record.id, f"released {record.envelope.recorded_at[:10]}"
    known = ledger.names(layout.environments_folder(service))
    for environment in sorted({*known, *workspace.service.environments}):
        yield from _of_environment(workspace, environment, count, since)


def _of_environment(
    workspace: Workspace, environment: str, count: int, since: str
) -> Iterator[tuple[str, str]]:
    ledger, service = workspace.ledger, workspace.service.service
    standing = 0
    for event in query.ran(ledger, service, environment):
        if standing == count:
            break
        release = event.deployment.release
        if query.quarantined(ledger, service, release, environment) is not None:
            yield release, f"healthy in {environment}, and quarantined since then"
            continue
        standing += 1
        yield release, f"healthy in {environment}, number {standing} from now"
    events = query.deployments(ledger, service, environment)
    for position, event in enumerate(events):
        if event.recorded_at < since and not (position == 0 and event.deployment.status == "started"):
            break
        yield event.deployment.release, f"{_done(event)} in {environment} {event.recorded_at[:10]}"


def _done(event: Event) -> str:
    return "begun" if event.deployment.status == "started" else f"deployed ({event.deployment.status})"


# --- the plan


def plan_pruning(ground: Ground, stock: ImageAvailability, retention: Retention) -> Pruning:
    """Return what may go from one engine. Nothing is touched.

    Args:
        ground: the engine, and the environments that it serves.
        stock: asked whether what would go is somewhere else.
        retention: how much is kept.

    Raises:
        EngineError, LedgerError.
    """
    workspace, store = ground.sites[0].workspace, ground.store
    now = datetime.now(UTC)
    wanted = needed(workspace, retention, now)
    used = store.used()
    removals: list[Removal] = []
    kept: list[Kept] = []
    unknown: list[str] = []
    for image in store.images(workspace.service.repository):
        release = release_of(workspace, store, image)
        if release is None:
            unknown += _ours(image, workspace.service.repository)
            continue
        reasons = [*wanted.get(release.id, ()), *_held(image, workspace.service.repository, used)]
        reasons += [] if reasons or retention.last_copies else _only_here(stock, release)
        if reasons:
            kept.append(_kept(release, image, reasons))
        else:
            removals.append(_removal(release, image))
    return Pruning(
        service=workspace.service.service,
        engine=store.host,
        environments=tuple(live.place.environment for live in ground.sites),
        node=store.node,
        removals=tuple(removals),
        kept=tuple(kept),
        containers=tuple(each.name for live in _through(ground) for each in _leftovers(live)),
        unknown=tuple(unknown),
        objects=tuple(_objects(ground, frozenset(wanted), _since(retention, now))),
    )


def _through(ground: Ground) -> Sequence[LiveEnvironment]:
    """The environments that are reached through this engine."""
    return ground.sites if not ground.store.node else ()


def _objects(ground: Ground, releases: frozenset[str], since: str) -> Iterator[Unneeded]:
    for live in _through(ground):
        yield from live.target.upkeep.unneeded(needs(live, releases, since))


def needs(live: LiveEnvironment, releases: frozenset[str], since: str) -> Needs:
    """The environment's settings that must stay: the last of each release that stays, and all recent ones.

    Args:
        site: the environment.
        releases: ids of the records of releases that stay.
        since: a moment; every deployment since then counts, and every one that runs or has no end.
    """
    ledger, place = live.workspace.ledger, live.place
    ran = [query.last_healthy(ledger, place.service, place.environment, release) for release in releases]
    known = [event.deployment.run_spec for event in (*ran, live.current()) if event is not None]
    begun, ended = dict[str, RunSpec](), set[str]()
    for event in islice(query.deployments(ledger, place.service, place.environment), _REMEMBERED):
        deployment = event.deployment
        begun.setdefault(deployment.deployment, deployment.run_spec)
        ended |= {deployment.deployment} if deployment.status in _SETTLED else set()
        known += [deployment.run_spec] if event.recorded_at >= since else []
    known += [spec for deployment, spec in begun.items() if deployment not in ended]
    return Needs(specs=known, ended=frozenset(ended))


def release_of(workspace: Workspace, store: ImageStore, image: StoredImage) -> Record[Release] | None:
    """The release whose very content an image is. Its names and labels only say where to look."""
    ledger, service = workspace.ledger, workspace.service.service
    if store.names_by_manifest:
        return query.release_of_digest(ledger, service, str(image.id))
    tags = [name.rpartition(":")[2] for name in image.references if "@" not in name]
    by_commit = (tag.removeprefix("sha-") for tag in tags if tag.startswith("sha-"))
    found = [query.release_of_commit(ledger, service, commit) for commit in by_commit]
    found += [query.release_of_version(ledger, service, tag) for tag in tags if not tag.startswith("sha-")]
    named = (release for release in found if release is not None)
    return next((one for one in named if one.body.image.config_digest == str(image.id)), None)


def _ours(image: StoredImage, repository: Repository) -> list[str]:
    return [name for name in image.references if name.startswith((f"{repository}:", f"{repository}@"))]


def _held(image: StoredImage, repository: Repository, used: Mapping[Digest, str]) -> Iterator[str]:
    """Return what keeps it on the engine, whatever the ledger says."""
    if image.id in used:
        yield f"used by the container {used[image.id]}"
    others = sorted(set(image.references) - set(_ours(image, repository)))
    if others:
        yield f"it also has the names {', '.join(others)}"


def _only_here(stock: ImageAvailability, release: Record[Release]) -> list[str]:
    holding = stock.holding(release.body.image)
    if holding.state == "whole":
        return []
    if holding.state == "none":
        return ["the only copy: no registry has it"]
    return [f"the only known copy: {holding.problem}"]


def _kept(release: Record[Release], image: StoredImage, reasons: Sequence[str]) -> Kept:
    return Kept(
        version=release.body.version,
        digest=release.body.image.digest,
        image=str(image.id),
        reasons=tuple(reasons),
        layers=_layers(release),
    )


def _removal(release: Record[Release], image: StoredImage) -> Removal:
    return Removal(
        version=release.body.version,
        digest=release.body.image.digest,
        image=str(image.id),
        names=tuple(dict.fromkeys(image.references)),
        layers=_layers(release),
    )


def _layers(release: Record[Release]) -> dict[str, int]:
    return {layer.digest: layer.size for layer in release.body.image.layers}


def _leftovers(live: LiveEnvironment) -> Iterator[Instance]:
    """Stopped containers of ours.

    None where something else runs than what should: an operator may need to go back to them.
    """
    ours, current = look(live), live.current()
    running = {container.labels.get(DEPLOYMENT) for container in ours.running}
    if current is not None and running == {current.deployment.deployment}:
        yield from ours.stopped


# --- doing it


def prune(
    ground: Ground,
    planned: Pruning,
    stock: ImageAvailability,
    retention: Retention,
    check: Callable[[], None],
) -> Pruned:
    """Remove what was planned, and still may go, while no deployment is under way.

    Args:
        ground: as it was planned for.
        planned: what was shown.
        stock: as it was planned with.
        retention: likewise.
        check: called between two removals; raises when the work is to be given up.

    Raises:
        LockHeld: a deployment is under way on this engine; nothing was touched.
        EngineError, LedgerError, Cancelled.
    """
    emit = ground.sites[0].workspace.emit
    if planned.nothing:
        return Pruned(pruning=planned, removed=(), containers=())
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
    return Pruned(pruning=planned, removed=tuple(gone), containers=tuple(containers), objects=tuple(objects))


def _containers_removed(ground: Ground, planned: Pruning, check: Callable[[], None]) -> Iterator[str]:
    """Remove the stopped containers of the plan that are still there; their names."""
    for live in _through(ground):
        for instance in _leftovers(live):
            if instance.name in planned.containers:
                check()
                live.target.upkeep.remove(instance)
                yield instance.name


def _locked(live: LiveEnvironment, store: ImageStore, planned: Pruning) -> Any:
    """The environment's lock, made of an image that stays. Raises LockHeld on entering."""
    anchor = _anchor(store, planned) if live.target.lock_needs_image else None
    lock_store = live.target.lock_store(anchor)
    holder = Holder.here(
        who=live.workspace.actor.name,
        url=live.workspace.run("prune").url,
        deployment="prune",
        milliseconds=_LOCK_MINUTES * 60_000,
        now=lock_store.now(),
    )
    return lock.held(lock_store, live.place, holder, live.workspace.emit, task="prune")


def _dropped(upkeep: Upkeep, unneeded: Unneeded, emit: Emit) -> bool:
    """Remove it; a cluster refuses what a service refers to by now, and that is told."""
    try:
        upkeep.drop(unneeded)
    except EngineError as error:
        emit(Warned(text=f"could not remove {unneeded}: {error.found}"))
        return False
    return True


def _anchor(store: ImageStore, planned: Pruning) -> Digest:
    """Any image that is not to go. Raises LockHeld: there is none to make a lock of."""
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
    """Take its names away; where the store refuses one, it stays, and that is told."""
    try:
        for name in removal.names:
            store.untag(name)
    except EngineError as error:
        emit(Warned(text=f"could not remove {removal.version}: {error.found}"))
        return False
    return True


def on_engines(workspace: Workspace, names: Sequence[str], stack: ExitStack) -> list[Ground]:
    """The engines that environments are on; they are open as long as the stack is.

    Of a cluster also the engines of its other nodes, as far as they are reached; the others are told.

    Raises EngineUnreachable, EngineError, UsageError.
    """
    return grounds([stack.enter_context(workspace.live(name)) for name in names], stack)


def grounds(sites: Sequence[LiveEnvironment], stack: ExitStack) -> list[Ground]:
    """The same for environments whose engines are open."""
    found: dict[str, Ground] = {}
    others: dict[str, Ground] = {}
    for live in sites:
        own, *more = live.target.upkeep.stores(stack, live.workspace.emit)
        _join(found, own, live)
        for store in more:
            _join(others, store, live)
    return [*found.values(), *(ground for host, ground in others.items() if host not in found)]


def _join(grounds: dict[str, Ground], store: ImageStore, live: LiveEnvironment) -> None:
    """Add an environment to those that a store serves."""
    known = grounds.get(store.host)
    before = known.sites if known is not None else ()
    grounds[store.host] = Ground(store=known.store if known is not None else store, sites=[*before, live])


def summary(kept: Kept) -> str:
    """One image that stays, in a line."""
    return f"{kept.version}  {Digest(kept.digest).short}  {'; '.join(kept.reasons)}"
