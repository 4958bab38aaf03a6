"""Which release a container runs, and whether a deployment made it.

The labels of a container are claims. The id of its image and a record of the ledger prove them: an image that
was built with our labels, or committed from a container of ours, has another id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from release.deploy.core.instance import AdoptedInstance, Instance, InstanceSet
from release.deploy.core.place import DEPLOYMENT, DIGEST, VERSION
from release.deploy.environment.environment import LiveEnvironment
from release.errors import LedgerError
from release.ledger import query
from release.ledger.query import Event
from release.records import Record, Release
from release.values import replace


def look(live: LiveEnvironment) -> InstanceSet:
    """Return the target's instances. Those that the ledger does not prove to be ours are strangers.

    Raises EngineError.
    """
    found = live.target.instances.look()
    strange = {each.id for each in found.every if not is_ours(live, each)}
    return _with_adopted(live, found if not strange else _without(found, strange))


def _with_adopted(live: LiveEnvironment, found: InstanceSet) -> InstanceSet:
    """Return the set with the instances of an adopted object, until a deployment replaced it.

    They get the labels of the release that was recorded for them, if they still run its image.
    """
    event = live.current()
    release = live.release_of(event)
    if event is None or release is None or (adopted := event.deployment.adopted) is None:
        return found
    known = {each.id for each in found.every}
    there = [each for each in live.target.adoptions.instances(adopted) if each.id not in known]
    return replace(found, running=(*found.running, *(_adopted(live, event, release, each) for each in there)))


def _adopted(
    live: LiveEnvironment, event: Event, release: Record[Release], instance: Instance
) -> AdoptedInstance:
    adopted, body = event.deployment.adopted, release.body
    assert adopted is not None  # noqa: S101 - asked by the only caller
    is_same = str(instance.image) == adopted.image
    labels = {DEPLOYMENT: event.deployment.deployment, VERSION: body.version, DIGEST: body.image.digest}
    return AdoptedInstance(
        id=instance.id,
        name=instance.name,
        image=live.target.images.id_of(body.image) if is_same else instance.image,
        status=instance.status,
        health=instance.health,
        restarts=instance.restarts,
        started_at=instance.started_at,
        labels={**instance.labels, **(labels if is_same else {})},
        created_at=instance.created_at,
        adopted=adopted,
    )


def _without(found: InstanceSet, strange: set[str]) -> InstanceSet:
    def mine(containers: Iterable[Instance]) -> tuple[Instance, ...]:
        return tuple(each for each in containers if each.id not in strange)

    others = tuple(each for each in found.every if each.id in strange)
    return replace(
        found,
        running=mine(found.running),
        waiting=mine(found.waiting),
        stopped=mine(found.stopped),
        strangers=(*found.strangers, *others),
    )


def is_ours(live: LiveEnvironment, container: Instance) -> bool:
    """Return whether a deployment to this place made the container, or the service of a cluster.

    Its image is a release of the ledger, its name is one that the deployment gives, and its labels are not
    those of the image. A cluster's service inherits nothing, and people change its image: a recorded
    deployment under the service's name is enough.
    """
    if not live.target.instances.inherit_labels:
        return _is_recorded(live, container) or _released(live, container) is not None
    return live.place.calls(container) and runs_release(live, container)


def runs_release(live: LiveEnvironment, container: Instance) -> bool:
    """Return whether the container runs a release of the ledger, and its labels are not the image's own."""
    release = _released(live, container)
    if release is None or not container.labels.get(DEPLOYMENT):
        return False
    return _is_recorded(live, container) or not _inherits(live, container, release)


def _is_recorded(live: LiveEnvironment, container: Instance) -> bool:
    return bool(live.events_of(container.labels.get(DEPLOYMENT, "")))


def _released(live: LiveEnvironment, container: Instance) -> Record[Release] | None:
    """Return the release that a container's labels name, if the container runs its image."""
    return _first(live, container, _claims(live, container))


def _inherits(live: LiveEnvironment, container: Instance, release: Record[Release]) -> bool:
    """Return whether the deployment in the labels is inherited from the image."""
    own = (live.target.images.labels_of(release.body.image) or {}).get(DEPLOYMENT)
    return own is not None and own == container.labels.get(DEPLOYMENT)


def stranger_notices(live: LiveEnvironment, strangers: Iterable[Instance]) -> tuple[str, ...]:
    """Return a notice for each stranger: it is not changed, and which command shows it."""
    return tuple(
        f"{each.name} ({each.status}) has the labels of {live.place}, but no record of the "
        "ledger proves that a deployment made it. It is not changed; look at it before you remove it"
        for each in strangers
    )


def proven(
    live: LiveEnvironment, container: Instance, *likely: Record[Release] | None
) -> Record[Release] | None:
    """Return the release whose content the container runs; None if this clone knows no such release.

    Args:
        live: the environment.
        container: the container, as the target describes it.
        likely: releases to compare first, after those in the labels.
    """
    first = [release for release in (*_claims(live, container), *likely) if release is not None]
    found = _first(live, container, first)
    every = query.releases(live.workspace.ledger, live.place.service)
    return found if found is not None else _first(live, container, every)


def _claims(live: LiveEnvironment, container: Instance) -> Iterator[Record[Release]]:
    ledger, service = live.workspace.ledger, live.place.service
    version, digest = (container.labels.get(name) for name in (VERSION, DIGEST))
    with suppress(LedgerError):
        if version and (found := query.release_of_version(ledger, service, version)) is not None:
            yield found
    with suppress(LedgerError):
        if digest and (found := query.release_of_digest(ledger, service, digest)) is not None:
            yield found


def _first(
    live: LiveEnvironment, container: Instance, candidates: Iterable[Record[Release]]
) -> Record[Release] | None:
    return next((release for release in candidates if _is(live, container, release)), None)


def _is(live: LiveEnvironment, container: Instance, release: Record[Release]) -> bool:
    return container.image == live.target.images.id_of(release.body.image)
