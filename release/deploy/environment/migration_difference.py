"""The migrations that lie between two releases of an environment."""

from __future__ import annotations

from release.deploy.environment.environment import EnvironmentRef
from release.errors import SourceError
from release.migrations import Crossing, matching_files, migrations_between
from release.records import Record, Release


def crossing_between(
    live: EnvironmentRef, running: Record[Release] | None, target: Record[Release]
) -> Crossing | None:
    """Return the migrations between the running release and the target; None if there are none to show.

    The two commits decide, with today's paths. Where this clone lacks one of them, equal summaries in the two
    records prove that there is nothing; else it is taken for going back.
    """
    settings = live.workspace.service.migrations
    if settings is None or running is None or running.id == target.id:
        return None
    try:
        sides = [_files(live, release, settings.paths) for release in (running, target)]
    except SourceError as error:
        return _by_records(running, target, error)
    found = migrations_between(*sides)
    return found if found.undone or found.added else None


def _files(live: EnvironmentRef, release: Record[Release], paths: tuple[str, ...]) -> dict[str, str]:
    source = live.workspace.source
    return matching_files(source.listing(release.body.source.commit, live.workspace.service.context), paths)


def _by_records(running: Record[Release], target: Record[Release], error: SourceError) -> Crossing | None:
    ours, theirs = running.body.migrations, target.body.migrations
    if ours is not None and ours == theirs:
        return None
    versions = f"{target.body.version} and {running.body.version}"
    return Crossing(
        unknown=f"which migrations lie between {versions} is not known: {error.attempted}: {error.found}"
    )
