"""The fence of migrations: going back to code that is older than the data needs a word, maybe a command.

Going forward is no concern here: a release brings its migrations along, and applies them as it always does.
The command that undoes them: `release.deploy.planning.downgrade_command`.
"""

from __future__ import annotations

from release import migrations
from release.deploy.environment.environment import EnvironmentRef
from release.deploy.planning.policy import Allowance
from release.errors import Problem, SourceError
from release.migrations import Crossing
from release.records import Record, Release


def unmatched_patterns(live: EnvironmentRef, *releases: Record[Release] | None) -> tuple[str, ...]:
    """Return a warning for each pattern that matches no file of these releases.

    Nothing is said where this clone lacks one of their commits.
    """
    settings = live.workspace.service.migrations
    known = [release.body.source.commit for release in releases if release is not None]
    if settings is None or not known:
        return ()
    try:
        found = [live.workspace.source.listing(commit, live.workspace.service.context) for commit in known]
    except SourceError:
        return ()
    return migrations.unmatched_pattern_warnings([path for files in found for path in files], settings.paths)


def gate_problems(live: EnvironmentRef, found: Crossing | None, allowed: Allowance) -> list[Problem]:
    """Return the migrations that prevent a rollback, unless an option allows it."""
    settings = live.workspace.service.migrations
    if found is None or settings is None or not found.goes_back or allowed.cross_migrations:
        return []
    if found.unknown:
        then = "`git fetch` may get the commits; with --cross-migrations the data stays as it is"
    elif settings.down is None:
        then = "with --cross-migrations the data stays as it is, because no `down` command is configured"
    else:
        command = " ".join(found.command(settings.down, settings.base))
        then = f"with --cross-migrations `{command}` runs first"
    return [Problem(path="migrations", message=f"{found}; {then}")]
