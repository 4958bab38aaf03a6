"""The fence of migrations: going back to code that is older than the data needs a word, maybe a command.

Going forward is no concern here: a release brings its migrations along, and applies them as it always does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from release import migrations
from release.deploy.docker import Identity, container_spec
from release.deploy.policy import Allowance
from release.deploy.rollout import step
from release.deploy.site import Site, Spot
from release.deploy.target import Means
from release.errors import DeploymentFailed, Problem, ReleaseError, SourceError
from release.events import Progress
from release.images.engine import ContainerSpec
from release.migrations import Crossing, between, matching
from release.records import Record, Release
from release.redact import Redacted
from release.reference import Digest
from release.runspec import RunSpec

ROLE: Final = "migration"
"""The role in the labels."""
_LINES: Final = 1000
"""How many lines of a down command's output are shown at most."""


def crossing(site: Spot, running: Record[Release] | None, target: Record[Release]) -> Crossing | None:
    """What lies between what runs and the target; None where there is nothing to say.

    The two commits decide, with today's paths. Where this clone lacks one of them, equal summaries in the two
    records prove that there is nothing; else it is taken for going back.
    """
    settings = site.desk.service.migrations
    if settings is None or running is None or running.id == target.id:
        return None
    try:
        sides = [_files(site, release, settings.paths) for release in (running, target)]
    except SourceError as error:
        return _by_records(running, target, error)
    found = between(*sides)
    return found if found.undone or found.added else None


def idle(site: Spot, *releases: Record[Release] | None) -> tuple[str, ...]:
    """What to say of patterns that match no file of any of these releases: a wrong one fences nothing.

    Nothing is said where this clone lacks one of their commits.
    """
    settings = site.desk.service.migrations
    known = [release.body.source.commit for release in releases if release is not None]
    if settings is None or not known:
        return ()
    try:
        found = [site.desk.source.listing(commit, site.desk.service.context) for commit in known]
    except SourceError:
        return ()
    return migrations.idle([path for files in found for path in files], settings.paths)


def _files(site: Spot, release: Record[Release], paths: tuple[str, ...]) -> dict[str, str]:
    source = site.desk.source
    return matching(source.listing(release.body.source.commit, site.desk.service.context), paths)


def _by_records(running: Record[Release], target: Record[Release], error: SourceError) -> Crossing | None:
    ours, theirs = running.body.migrations, target.body.migrations
    if ours is not None and ours == theirs:
        return None
    versions = f"{target.body.version} and {running.body.version}"
    return Crossing(
        unknown=f"which migrations lie between {versions} is not known: {error.attempted}: {error.found}"
    )


def closed(site: Spot, found: Crossing | None, allowed: Allowance) -> list[Problem]:
    """What stands in the way of going back, unless that is allowed."""
    settings = site.desk.service.migrations
    if found is None or settings is None or not found.goes_back or allowed.cross_migrations:
        return []
    if found.unknown:
        then = "`git fetch` may bring the commits; with --cross-migrations the data stays as it is"
    elif settings.down is not None:
        then = f"with --cross-migrations `{' '.join(found.command(settings.down))}` runs first"
    else:
        then = "with --cross-migrations the data stays as it is, for no `down` command is configured"
    return [Problem(path="migrations", message=f"{found}; {then}")]


@dataclass(frozen=True, kw_only=True)
class Down:
    """The command that undoes migrations, and the container that it runs in."""

    container: ContainerSpec
    version: str
    """Of the release whose image it is."""
    secrets: Mapping[str, Redacted] = field(repr=False)
    timeout: int
    """Milliseconds."""


def down(
    site: Site,
    found: Crossing | None,
    running: Record[Release] | None,
    spec: RunSpec | None,
    secrets: Mapping[str, Redacted],
) -> Down | None:
    """What has to run before what runs is replaced; None where nothing has to.

    Args:
        site: the environment.
        found: what lies between.
        running: the release that runs: it knows how to undo its own migrations.
        spec: the settings it runs with.
        secrets: the values of theirs.
    """
    settings = site.desk.service.migrations
    if settings is None or settings.down is None or found is None or not found.undone:
        return None
    if running is None or spec is None:
        return None
    body = running.body
    identity = Identity(
        deployment="",
        version=body.version,
        commit=body.source.commit,
        digest=Digest(body.image.digest),
        record=running.id,
    )
    made = container_spec(site.place, identity, spec, image=site.target.id_of(body.image), secrets=secrets)
    alone = replace(
        made,
        name=f"{site.place.container}-down",
        command=found.command(settings.down),
        labels=site.place.labels(ROLE),
        aliases=(),
        publish=(),
        restart="no",
    )
    return Down(container=alone, version=body.version, secrets=secrets, timeout=settings.timeout)


def run(site: Site, what: Down, means: Means) -> None:
    """Run it to its end, and tell what it wrote. Raises DeploymentFailed: nothing that serves was touched."""
    command = " ".join(what.container.command or ())
    attempted = f"undo migrations with `{command}` in the image of {what.version}"
    with step(means.emit, "down") as say:
        try:
            status, lines = _ended(site, what, means)
        except (TimeoutError, ReleaseError) as error:
            found = error.found if isinstance(error, ReleaseError) else f"not done after {what.timeout} ms"
            raise _failed(attempted, found, ()) from error
        for line in lines:
            means.emit(Progress(name="down", text=line))
        if status != 0:
            raise _failed(attempted, f"exit status {status}", lines)
        say(command)


def _ended(site: Site, what: Down, means: Means) -> tuple[int, tuple[str, ...]]:
    """Its exit status and its last lines, secrets taken out; the container is gone afterwards."""
    engine = site.engine
    container = engine.create(what.container)
    try:
        engine.start(container)
        status = engine.wait(container, timeout=what.timeout, cancellation=means.cancellation)
        return status, means.mask.lines(engine.logs(container, lines=_LINES))
    finally:
        engine.remove(container)


def _failed(attempted: str, found: str, lines: tuple[str, ...]) -> DeploymentFailed:
    return DeploymentFailed(
        attempted,
        f"{found}; what runs was not touched",
        "look at the data: a part of it may be done; then mend it and run the command again",
        lines[-20:],
    )
