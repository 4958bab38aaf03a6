"""The session `refresh`: update the lockfile, run the gates, and move the branch to the passing commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from release.chain.installed.stage import InstalledChecked
from release.chain.refreshing.refresh import RefreshedLockfile, fast_forward, refresh_lockfile
from release.errors import ReleaseError, UsageError
from release.events import Notice, Warned
from release.git.working_copy import changed_files
from release.parsing import jsontext
from release.values import replace

if TYPE_CHECKING:
    from release.chain.assemble import Project
    from release.chain.plan import Options, Plan
    from release.chain.stage_context import StageContext

COLUMNS: Final = ("package", "before", "after", "changes")
_BOUNDS: Final = jsontext.Bounds(size=8 * 1024 * 1024, depth=16)

Rows = list[tuple[str, str, str, str]]


def run_refresh(
    project: Project,
    options: Options,
    packages: tuple[str, ...],
    context: Callable[[Project, Plan], StageContext],
    run: Callable[[StageContext], None],
) -> Rows:
    """Update the lockfile; return the changed packages as rows of `COLUMNS`.

    Args:
        project: the project at the commit whose lockfile is updated.
        options: the options of the run.
        packages: the packages to update; empty: all.
        context: returns the stage context for a plan.
        run: runs all gates in a stage context.

    Raises:
        UsageError: files are changed and not committed.
        ReleaseError: the tool or a gate failed; branch and working copy are as they were.
    """
    if changed := changed_files(project.source):
        attempted, found = "update the lockfile", f"{changed[0]} is changed and not committed"
        raise UsageError(attempted, found, "commit it, or put it away with: git stash")
    first = context(project, project.plan_gates(project.read_facts(options), options))
    try:
        made = refresh_lockfile(first, packages)
    finally:
        first.run_folder.remove_temporary_files()
    updated = replace(project, commit=made.commit)
    ctx = context(updated, updated.plan_gates(updated.read_facts(options), options))
    try:
        run(ctx)
    except ReleaseError:
        text = f"the update is not taken over; to see it: git show {made.commit.id[:12]}"
        project.emit(Warned(text=text))
        raise
    _move_branch(project, made)
    return list(_changed_package_rows(made, ctx))


def _move_branch(project: Project, made: RefreshedLockfile) -> None:
    short = made.commit.id[:12]
    if fast_forward(project.source, project.commit, made.commit):
        project.emit(Notice(text=f"commit {short} is ready: {made.commit.subject}"))
    else:
        text = f"the branch has moved: take the update over with: git cherry-pick {short}"
        project.emit(Warned(text=text))


def _changed_package_rows(made: RefreshedLockfile, ctx: StageContext) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for each changed package, with its changelog URL if the metadata has one."""
    places = _changelog_urls(ctx)
    for change in made.changes:
        yield change.key, str(change.old or ""), str(change.new or ""), places.get(change.key, "")


def _changelog_urls(ctx: StageContext) -> dict[str, str]:
    installed = ctx.products.find(InstalledChecked)
    if installed is None:
        return {}
    packages = jsontext.read(installed.packages, _BOUNDS).get("packages", ())
    return {str(row["name"]): str(row["changelog"]) for row in packages if "changelog" in row}
