"""`invoke prune`: remove images and containers that no rollback needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from release.commands.command_line import CommandContext, choose_environments, require_confirmation
from release.commands.text import checks
from release.config import Retention
from release.deploy.core.image_source import ImageAvailability
from release.deploy.environment.environment import LiveEnvironment, Workspace
from release.deploy.inspection.prune import on_engines, stores_to_prune
from release.deploy.inspection.prune import prune as run_prune
from release.deploy.inspection.prune_plan import SharedStore, plan_pruning
from release.deploy.inspection.prune_result import PrunePlan, PruneResult
from release.errors import EngineError, LedgerUnreachable, ReleaseError
from release.events import Notice, Warned


def prune(cmd: CommandContext) -> int:
    """Prune the engines of the service's environments, and return the exit code."""
    options = cmd.options
    with cmd.open_workspace() as workspace, ExitStack() as stack:
        if not workspace.refresh() and not options.offline:
            raise LedgerUnreachable(
                f"prune the images of {workspace.service.service}",
                "the git remote does not answer, and it may have deployments that need an image",
                "run it again when the remote answers, or add --offline to use what this clone knows",
            )
        retention = _retention_settings(cmd, workspace)
        stock = stack.enter_context(ImageAvailability())
        engines = on_engines(workspace, choose_environments(workspace, options.environment), stack)
        plans = [(ground, plan) for ground in engines for plan in _plan_engines(ground, stock, retention)]
        if options.plan:
            _show_prunings(cmd, [plan for _, plan in plans])
            return 0
        for _, plan in plans:
            cmd.console.print_fields(checks.prune_title(plan), checks.prune_rows(plan))
        if not all(plan.nothing for _, plan in plans):
            require_confirmation(cmd, f"prune the images of {workspace.service.service}")
        check = cmd.interruption.cancellation.check
        with cmd.interruption.held():
            done = [
                each
                for ground, plan in plans
                for each in _prune_engines(ground, plan, stock, retention, check)
            ]
    if options.json:
        cmd.console.print_json([each.to_json() for each in done])
    else:
        for each in done:
            cmd.console.print_result(checks.prune_result_line(each))
    return 0


def _plan_engines(ground: SharedStore, stock: ImageAvailability, retention: Retention) -> Iterator[PrunePlan]:
    """Yield the plan for an engine; none for a silent node of a cluster. Raise EngineError."""
    with _skip_silent_node(ground):
        yield plan_pruning(ground, stock, retention)


def _prune_engines(
    ground: SharedStore,
    plan: PrunePlan,
    stock: ImageAvailability,
    retention: Retention,
    check: Callable[[], None],
) -> Iterator[PruneResult]:
    """Yield the removed objects; none for a silent node. Raise EngineError, LockHeld, Cancelled."""
    with _skip_silent_node(ground):
        yield run_prune(ground, plan, stock, retention, check)


@contextmanager
def _skip_silent_node(ground: SharedStore) -> Iterator[None]:
    """Warn that a node of the cluster does not answer; the other nodes are pruned."""
    try:
        yield
    except EngineError as error:
        if not ground.store.node:
            raise
        text = f"no image was removed on {ground.store.node}: cannot {error.attempted}: {error.found}"
        ground.sites[0].workspace.emit(Warned(text=text))


def _retention_settings(cmd: CommandContext, workspace: Workspace) -> Retention:
    configured = workspace.service.retention
    return configured.model_copy(update={"last_copies": configured.last_copies or cmd.options.last_copies})


def _show_prunings(cmd: CommandContext, plans: list[PrunePlan]) -> None:
    if cmd.options.json:
        cmd.console.print_json([plan.to_json() for plan in plans])
        return
    for plan in plans:
        cmd.console.print_sheet(checks.prune_title(plan), checks.prune_rows(plan))


def prune_after_deployment(live: LiveEnvironment, *, answers: bool) -> None:
    """Prune after a deployment if configured. An error is only a warning."""
    workspace = live.workspace
    with _turn_errors_into_warnings(workspace, "no image was removed"), ExitStack() as stack:
        if not answers:
            raise LedgerUnreachable("prune", "the git remote does not answer")
        stock = stack.enter_context(ImageAvailability())
        for ground in stores_to_prune([live], stack):
            where = f"no image was removed on {ground.store.node or ground.store.host}"
            with _turn_errors_into_warnings(workspace, where):
                plan = plan_pruning(ground, stock, workspace.service.retention)
                done = run_prune(ground, plan, stock, workspace.service.retention, lambda: None)
                if not done.nothing:
                    workspace.emit(Notice(text=checks.prune_result_line(done)))


@contextmanager
def _turn_errors_into_warnings(workspace: Workspace, said: str) -> Iterator[None]:
    """In the block, turn each error into a warning, so that the deployment does not fail."""
    try:
        yield
    except ReleaseError as error:
        workspace.emit(Warned(text=f"{said}: cannot {error.attempted}: {error.found}"))
    except Exception as error:  # noqa: BLE001
        workspace.emit(Warned(text=f"{said}: {type(error).__name__}: {error}"))
