"""What the tasks do that ask whether a rollback would work, and rehearse one."""

from __future__ import annotations

import secrets as randomness
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from release import config
from release.config import Retention, Service
from release.deploy import outlook
from release.deploy.drill import Conditions, Drilled, Rehearsal, failed, prepare_drill
from release.deploy.drill import drill as run_drill
from release.deploy.prune import Ground, Pruned, Pruning, grounds, on_engines, plan_pruning
from release.deploy.prune import prune as run_prune
from release.deploy.readiness import Question, Readiness, assess, draft_of, verification
from release.deploy.rollout import elapsed_ms
from release.deploy.site import Desk, Site
from release.deploy.stock import Stock
from release.deploy.swarm import drill as in_swarm
from release.errors import Cancelled, EngineError, LedgerUnreachable, ReleaseError, UsageError
from release.events import Emit, Notice, Warned
from release.images.engine import Engine
from release.ledger import query
from release.process import Cancellation
from release.records import Verification
from release.source import Source

if TYPE_CHECKING:
    from release.commands import Door

UNAVAILABLE = 6
"""The exit status for what cannot be gone back to."""


def readiness(door: Door) -> int:
    """Could the last releases of every environment be put back now? 6 where one could not."""
    last, found = _last(door.words.last), []
    with Stock(deep=door.words.deep) as stock:
        for name in _services(door.words.service):
            with door.desk(name) as desk:
                answers = desk.refresh()
                found += list(_assessed(door, desk, stock, last, publish=answers))
    if door.words.json:
        door.console.document([each.to_json() for each in found])
    else:
        _show(door, found)
    return 0 if all(each.ready for each in found) else UNAVAILABLE


def rebuild(door: Door) -> int:
    """Can a released image be made again from its record? 6 where the content is another."""
    from release.remake import remake

    words = door.words
    with door.desk() as desk:
        answers = desk.refresh()
        found = query.find(desk.ledger, desk.service.service, words.rebuild or "", environment=None)
        with door.interruption.held(), Engine.connect() as engine:
            made = remake(desk, found.release, engine, door.interruption.cancellation, keep=words.keep)
        if words.record:
            keep(door, desk, made.verification(), publish=answers)
    if words.json:
        door.console.document(made.to_json())
    else:
        door.console.result(outlook.rebuild_text(made))
    return 0 if made.proven else UNAVAILABLE


def drill(door: Door) -> int:
    """Rehearse a rollback beside what runs, and record how long it took."""
    began, words = time.monotonic(), door.words
    with door.desk() as desk, desk.site(words.environment) as site:
        answers = desk.refresh()
        service, place = desk.service.service, site.place
        found = query.find(desk.ledger, service, words.to or "previous", environment=place.environment)
        for note in found.notes:
            door.console.emit(Notice(text=note))
        conditions = Conditions(secrets=words.with_secrets, networks=words.with_networks)
        with _ground(desk, site, words.on or site.settings.drill_on) as ground:
            rehearsal: Rehearsal
            if ground.settings.engine == "swarm":
                rehearsal = in_swarm.prepare(site, ground, found.release, found.event, conditions)
            else:
                rehearsal = prepare_drill(site, ground.engine, found.release, found.event, conditions)
            door.console.hide(rehearsal.secrets.values())
            _announce(door, rehearsal)
            drilled = _drilled(door, desk, rehearsal, lambda: elapsed_ms(began), publish=answers)
    if words.json:
        door.console.document(drilled.to_json())
    else:
        door.console.result(outlook.drill_line(drilled))
    return 0


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
        engines = on_engines(desk, _environments(desk, words.environment), stack)
        plans = [(ground, plan) for ground in engines for plan in _planned(ground, stock, retention)]
        if words.plan:
            _show_prunings(door, [plan for _, plan in plans])
            return 0
        for _, plan in plans:
            door.console.fields(outlook.prune_title(plan), outlook.prune_rows(plan))
        if not all(plan.nothing for _, plan in plans):
            _agree_to_prune(door, desk)
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
    """What went; nothing of a node that went silent. Raises EngineError, LockHeld, Cancelled."""
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


def _agree_to_prune(door: Door, desk: Desk) -> None:
    title = f"prune the images of {desk.service.service}"
    if door.words.yes:
        return
    if not door.console.interactive:
        raise UsageError(title, "there is no terminal to ask on, and nothing was touched", "add --yes")
    if not door.console.confirm(f"{title}?"):
        raise Cancelled(title, "you did not say yes; nothing was touched")


def prune_after(site: Site, *, answers: bool) -> None:
    """What a deployment ends with where that is configured. It is done and told; this can only warn."""
    desk = site.desk
    if not desk.service.retention.prune_after_deploy:
        return
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
    try:
        yield
    except ReleaseError as error:
        desk.emit(Warned(text=f"{said}: cannot {error.attempted}: {error.found}"))


@contextmanager
def _ground(desk: Desk, site: Site, other: str | None) -> Iterator[Site]:
    """Where the rehearsal is: the environment itself, or another one."""
    if other is None or other == site.place.environment:
        yield site
        return
    with desk.site(other) as elsewhere:
        yield elsewhere


def _announce(door: Door, rehearsal: Rehearsal) -> None:
    """Say what will be done. Real secrets or networks need a yes: the service then acts with them."""
    title = outlook.drill_title(rehearsal)
    door.console.fields(title, outlook.drill_rows(rehearsal))
    words, real = door.words, rehearsal.conditions
    if not (real.secrets or real.networks) or words.yes:
        return
    if not door.console.interactive:
        raise UsageError(title, "with real secrets or networks it acts like the real one", "add --yes")
    if not door.console.confirm(f"{title}?"):
        raise Cancelled(title, "you did not say yes; nothing was started")


def _drilled(
    door: Door, desk: Desk, rehearsal: Rehearsal, elapsed: Callable[[], int], *, publish: bool
) -> Drilled:
    """Carry it out and record it, however it ends; one that was cancelled says nothing."""
    interruption = door.interruption
    with interruption.held():
        try:
            drilled = _run(rehearsal, desk.emit, interruption.cancellation, elapsed)
        except Cancelled:
            raise
        except ReleaseError as error:
            if not door.words.no_record:
                keep(door, desk, failed(rehearsal, error, elapsed()), publish=publish)
            raise
        if not door.words.no_record:
            keep(door, desk, drilled.verification(), publish=publish)
    return drilled


def _run(rehearsal: Rehearsal, emit: Emit, cancellation: Cancellation, elapsed: Callable[[], int]) -> Drilled:
    if isinstance(rehearsal, in_swarm.SwarmRehearsal):
        return in_swarm.drill(rehearsal, emit, cancellation, elapsed)
    return run_drill(rehearsal, emit, cancellation, elapsed)


def _last(text: str | None) -> int | None:
    if text is not None and (not text.isdecimal() or int(text) < 1):
        raise UsageError(f"verify the last {text!r} releases", "that is not a number above 0", "use --last 5")
    return int(text) if text is not None else None


def _services(named: str | None) -> list[str]:
    """Every service of the repository, or the one that is named. Raises UsageError, ConfigError."""
    with closing(Source.open(Path.cwd())) as source:
        configured = config.load(source.root)
    services: list[Service] = (
        [configured.service(named)] if named is not None else list(configured.services.values())
    )
    return [service.service for service in services]


def _assessed(
    door: Door, desk: Desk, stock: Stock, last: int | None, *, publish: bool
) -> Iterator[Readiness]:
    words = door.words
    question = Question(
        releases=last or desk.service.retention.releases,
        stock=stock,
        deep=words.deep,
        engine=not words.no_engine,
        secrets=not words.secrets_elsewhere,
        check=door.interruption.cancellation.check,
    )
    for environment in _environments(desk, words.environment):
        found = assess(desk, environment, question)
        if words.record:
            keep(door, desk, verification(found), publish=publish)
        yield found


def _environments(desk: Desk, named: str | None) -> list[str]:
    if named is None and desk.service.environments:
        return list(desk.service.environments)
    return [desk.service.environment(named)[0]]


def _show(door: Door, found: list[Readiness]) -> None:
    rows = [row for each in found for row in outlook.readiness_rows(each)]
    if rows:
        door.console.table(outlook.READINESS, rows)
    for each in found:
        door.console.result(outlook.readiness_line(each))


def keep(door: Door, desk: Desk, body: Verification, *, publish: bool = True) -> None:
    """Put a check into the ledger; where the remote does not answer it waits in this clone."""
    draft = draft_of(desk, body, randomness.token_hex(6))
    if desk.ledger.append_event(draft, publish=publish) is None:
        door.console.emit(Warned(text="the git remote does not answer: this waits here for `invoke sync`"))
