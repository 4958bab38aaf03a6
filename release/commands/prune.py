"""`invoke prune`: engines lose what no rollback needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from release.commands.door import Door, agree, environments
from release.config import Retention
from release.deploy import outlook
from release.deploy.prune import Ground, Pruned, Pruning, grounds, on_engines, plan_pruning
from release.deploy.prune import prune as run_prune
from release.deploy.site import Desk, Site
from release.deploy.stock import Stock
from release.errors import EngineError, LedgerUnreachable, ReleaseError
from release.events import Notice, Warned


def prune(door: Door) -> int:
    """Remove what no rollback needs from the engines of the service's environments."""
    words = door.words
    with door.desk() as desk, ExitStack() as stack:
        if not desk.refresh() and not words.offline:
            raise LedgerUnreachable(
                f"prune the images of {desk.service.service}",
                "the git remote does not answer, and it may know of deployments that need one",
                "try again when it is back, or say --offline to go by what this clone knows",
            )
        retention = _retention(door, desk)
        stock = stack.enter_context(Stock())
        engines = on_engines(desk, environments(desk, words.environment), stack)
        plans = [(ground, plan) for ground in engines for plan in _planned(ground, stock, retention)]
        if words.plan:
            _show_prunings(door, [plan for _, plan in plans])
            return 0
        for _, plan in plans:
            door.console.fields(outlook.prune_title(plan), outlook.prune_rows(plan))
        if not all(plan.nothing for _, plan in plans):
            agree(door, f"prune the images of {desk.service.service}")
        check = door.interruption.cancellation.check
        with door.interruption.held():
            done = [each for ground, plan in plans for each in _done(ground, plan, stock, retention, check)]
    if words.json:
        door.console.document([each.to_json() for each in done])
    else:
        for each in done:
            door.console.result(outlook.pruned_line(each))
    return 0


def _planned(ground: Ground, stock: Stock, retention: Retention) -> Iterator[Pruning]:
    """Its plan; none of a node that went silent. Raises EngineError."""
    with _without_it(ground):
        yield plan_pruning(ground, stock, retention)


def _done(
    ground: Ground, plan: Pruning, stock: Stock, retention: Retention, check: Callable[[], None]
) -> Iterator[Pruned]:
    """Return what went; nothing of a node that went silent. Raises EngineError, LockHeld, Cancelled."""
    with _without_it(ground):
        yield run_prune(ground, plan, stock, retention, check)


@contextmanager
def _without_it(ground: Ground) -> Iterator[None]:
    """A node of a Swarm that does not answer any more is told, and the others are pruned all the same."""
    try:
        yield
    except EngineError as error:
        if not ground.node:
            raise
        text = f"not pruned: {ground.node}: cannot {error.attempted}: {error.found}"
        ground.sites[0].desk.emit(Warned(text=text))


def _retention(door: Door, desk: Desk) -> Retention:
    configured = desk.service.retention
    return configured.model_copy(update={"last_copies": configured.last_copies or door.words.last_copies})


def _show_prunings(door: Door, plans: list[Pruning]) -> None:
    if door.words.json:
        door.console.document([plan.to_json() for plan in plans])
        return
    for plan in plans:
        door.console.sheet(outlook.prune_title(plan), outlook.prune_rows(plan))


def prune_after(site: Site, *, answers: bool) -> None:
    """What a deployment ends with where that is configured. It is done and told; this can only warn."""
    desk = site.desk
    with _only_warning(desk, "nothing was pruned"), ExitStack() as stack:
        if not answers:
            raise LedgerUnreachable("prune", "the git remote does not answer")
        stock = stack.enter_context(Stock())
        for ground in grounds([site], stack):
            where = f"nothing was pruned on {ground.node or ground.engine.host}"
            with _only_warning(desk, where):
                plan = plan_pruning(ground, stock, desk.service.retention)
                done = run_prune(ground, plan, stock, desk.service.retention, lambda: None)
                if not done.nothing:
                    desk.emit(Notice(text=outlook.pruned_line(done)))


@contextmanager
def _only_warning(desk: Desk, said: str) -> Iterator[None]:
    """Whatever it is: a defect of the pruning is no failure of what is done."""
    try:
        yield
    except ReleaseError as error:
        desk.emit(Warned(text=f"{said}: cannot {error.attempted}: {error.found}"))
    except Exception as error:  # noqa: BLE001
        desk.emit(Warned(text=f"{said}: {type(error).__name__}: {error}"))
