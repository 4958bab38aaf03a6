"""Which release a container really runs: its labels claim one, and the id of its image proves it."""

from __future__ import annotations

from collections.abc import Iterable

from release.deploy.docker import DIGEST, VERSION
from release.deploy.site import Site
from release.images.engine import ContainerState
from release.ledger import query
from release.records import Record, Release


def proven(site: Site, container: ContainerState, *likely: Record[Release] | None) -> Record[Release] | None:
    """The release whose content the container runs; None where it is no release that this clone knows.

    Args:
        site: the environment.
        container: as the target tells it.
        likely: releases that are looked at first, after the one that the labels name.
    """
    first = [release for release in (_claimed(site, container), *likely) if release is not None]
    found = _first(site, container, first)
    every = query.releases(site.desk.ledger, site.place.service)
    return found if found is not None else _first(site, container, every)


def _claimed(site: Site, container: ContainerState) -> Record[Release] | None:
    ledger, service = site.desk.ledger, site.place.service
    version, digest = (container.labels.get(name) for name in (VERSION, DIGEST))
    found = query.release_of_version(ledger, service, version) if version else None
    return found or (query.release_of_digest(ledger, service, digest) if digest else None)


def _first(
    site: Site, container: ContainerState, candidates: Iterable[Record[Release]]
) -> Record[Release] | None:
    return next((release for release in candidates if _is(site, container, release)), None)


def _is(site: Site, container: ContainerState, release: Record[Release]) -> bool:
    return container.image == site.target.id_of(release.body.image)
