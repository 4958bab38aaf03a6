"""Plan of pruning: which images, containers and objects of a cluster nothing needs any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice

from release.config import Retention
from release.deploy.core.image_source import ImageAvailability
from release.deploy.core.instance import Instance
from release.deploy.core.place import DEPLOYMENT
from release.deploy.core.upkeep import ImageStore, Needs, Unneeded
from release.deploy.environment.environment import LiveEnvironment, Workspace
from release.deploy.environment.identify import look
from release.deploy.inspection.prune_result import Kept, PrunePlan, Removal, kept_image, removal_of
from release.deploy.inspection.retention import REMEMBERED, SETTLED, needed, window_start
from release.images.engine import StoredImage
from release.ledger import query
from release.records import Record, Release
from release.reference import Digest, Repository
from release.runspec import RunSpec
from release.values import Struct


class SharedStore(Struct, frozen=True, kw_only=True):
    """An image store, and the environments that use it."""

    store: ImageStore
    sites: Sequence[LiveEnvironment]
    """One at least."""


def plan_pruning(ground: SharedStore, stock: ImageAvailability, retention: Retention) -> PrunePlan:
    """Return the plan for one image store. Nothing is changed.

    Args:
        ground: the image store, and the environments that use it.
        stock: shows whether an image to remove is also in a registry.
        retention: the number and age of releases to keep.

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
            kept.append(kept_image(release, image, reasons))
        else:
            removals.append(removal_of(release, image))
    return PrunePlan(
        service=workspace.service.service,
        engine=store.host,
        environments=tuple(live.place.environment for live in ground.sites),
        node=store.node,
        removals=tuple(removals),
        kept=tuple(kept),
        containers=tuple(each.name for live in environments_on(ground) for each in stopped_containers(live)),
        unknown=tuple(unknown),
        objects=tuple(_objects(ground, frozenset(wanted), window_start(retention, now))),
    )


def environments_on(ground: SharedStore) -> Sequence[LiveEnvironment]:
    """Return the environments that use this engine."""
    return ground.sites if not ground.store.node else ()


def _objects(ground: SharedStore, releases: frozenset[str], since: str) -> Iterator[Unneeded]:
    for live in environments_on(ground):
        yield from live.target.upkeep.unneeded(needed_objects(live, releases, since))


def needed_objects(live: LiveEnvironment, releases: frozenset[str], since: str) -> Needs:
    """Return settings whose objects must stay: of recent deployments and of kept releases.

    Args:
        site: the environment.
        releases: ids of the records of releases that stay.
        since: a moment; every deployment since then counts, and every one that runs or has no end.
    """
    ledger, place = live.workspace.ledger, live.place
    ran = [query.last_healthy(ledger, place.service, place.environment, release) for release in releases]
    known = [event.deployment.run_spec for event in (*ran, live.current()) if event is not None]
    begun, ended = dict[str, RunSpec](), set[str]()
    for event in islice(query.deployments(ledger, place.service, place.environment), REMEMBERED):
        deployment = event.deployment
        begun.setdefault(deployment.deployment, deployment.run_spec)
        ended |= {deployment.deployment} if deployment.status in SETTLED else set()
        known += [deployment.run_spec] if event.recorded_at >= since else []
    known += [spec for deployment, spec in begun.items() if deployment not in ended]
    return Needs(specs=known, ended=frozenset(ended))


def release_of(workspace: Workspace, store: ImageStore, image: StoredImage) -> Record[Release] | None:
    """Return the release with the content of an image. Names and labels only help to find it."""
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
    """Return why the engine needs the image, independent of the ledger."""
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


def stopped_containers(live: LiveEnvironment) -> Iterator[Instance]:
    """Return our stopped containers that can be removed.

    None where something else runs than what should: an operator may need to go back to them. Those of what
    should run were stopped by an operator, who will start them again.
    """
    ours, current = look(live), live.current()
    running = {container.labels.get(DEPLOYMENT) for container in ours.running}
    if current is not None and running == {current.deployment.deployment}:
        mine = current.deployment.deployment
        yield from (each for each in ours.stopped if each.deployment != mine)
