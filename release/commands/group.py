"""`--services` and `--group`: deploy several services of one repository with one command."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from release.commands.command_line import CommandContext, parse_wait_seconds, require_confirmation
from release.commands.deploy import (
    prepare_deployment,
    prune_if_configured,
    read_allowance,
    rebuild_missing_image,
    wait_for_lock,
)
from release.commands.text import plans
from release.config import Config, load
from release.deploy.environment.environment import LiveEnvironment, Workspace
from release.deploy.execution import newcomers
from release.deploy.execution.deploy import Outcome
from release.deploy.execution.group import GroupPlan, carry_out
from release.deploy.execution.newcomers import Stopped
from release.deploy.execution.operate import Subject
from release.deploy.planning.group_targets import targets_of_deploy, targets_of_rollback
from release.deploy.planning.plan import Reason
from release.deploy.planning.policy import Allowance
from release.deploy.planning.prepare import Prepared
from release.errors import LockHeld, NotReady, UsageError
from release.events import Notice
from release.git.source import Source
from release.values import replace


def choose_services(cmd: CommandContext, configured: Config) -> tuple[str, ...]:
    """Return the names of the services in the order of replacement. Raise UsageError."""
    if cmd.options.group is not None:
        return configured.group(cmd.options.group)
    names = [name.strip() for name in (cmd.options.services or "").split(",")]
    if "" in names:
        raise UsageError("choose the services", "a name is empty", "name each once: --services api,web")
    if again := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError("choose the services", f"{', '.join(again)!r} is named twice", "name each once")
    return tuple(configured.service(name).service for name in names)


@contextmanager
def open_workspaces(cmd: CommandContext) -> Iterator[list[Workspace]]:
    """Yield the workspaces of the services, which share one ledger."""
    with closing(Source.open(Path.cwd())) as source:
        names = choose_services(cmd, load(source.root))
    with cmd.open_workspace(names[0]) as first:
        yield [first, *(first.beside(name) for name in names[1:])]


def deploy_services(cmd: CommandContext, why: Reason) -> int:
    """Prepare, show, confirm and carry out deployments of several services; return the exit code."""
    allowed, deadline = read_allowance(cmd.options), time.monotonic() + parse_wait_seconds(cmd.options)
    with open_workspaces(cmd) as workspaces, ExitStack() as stack:
        lives = [stack.enter_context(each.live(cmd.options.environment)) for each in workspaces]
        while True:
            for live in sorted(lives, key=lambda each: each.place.service):
                wait_for_lock(cmd, live, why, deadline)
            was_shown = False
            try:
                plan = _plan_all_services(cmd, lives, why, allowed)
                was_shown = True
                return _confirm_and_deploy_all(cmd, plan)
            except LockHeld:
                if time.monotonic() >= deadline or (was_shown and not cmd.options.yes):
                    raise


def _plan_all_services(
    cmd: CommandContext, lives: Sequence[LiveEnvironment], why: Reason, allowed: Allowance
) -> GroupPlan:
    """Return the plan of all services; raise one error with the problems of all. Print nothing."""
    answers = lives[0].workspace.refresh()
    choose = targets_of_rollback if why == "rollback" else targets_of_deploy
    targets = choose(lives, cmd.options.to)
    made: list[Prepared] = []
    stops: list[Subject] = []
    wrong: list[NotReady] = []
    for live in lives:
        try:
            to = targets[live.place.service]
            if to is None:
                stops += newcomers.subject_of(live, answers=answers)
                continue
            made.append(prepare_deployment(cmd, live, why, allowed, to=to, answers=answers))
        except NotReady as error:
            wrong.append(error)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        found = "; ".join(f"{error.attempted}: {error.found}" for error in wrong)
        raise NotReady(
            "deploy several services", found, "; ".join(dict.fromkeys(each.hint for each in wrong))
        )
    return GroupPlan(name=cmd.options.group, plans=tuple(made), stops=tuple(stops))


def _confirm_and_deploy_all(cmd: CommandContext, plan: GroupPlan) -> int:
    """Show all plans, ask once, deploy, and print the result of each service."""
    console = cmd.console
    for each in plan.plans:
        console.mask_values(each.hidden)
    if cmd.options.plan:
        _show_plans(cmd, plan)
        return 0
    for each in plan.plans:
        console.print_fields(plans.plan_title(each.plan), plans.plan_rows(each.plan))
    for stop in plan.stops:
        console.print_fields(stop.attempted, newcomers.rows(stop))
    if plan.stops or any(each.plan.strategy != "verify" for each in plan.plans):
        require_confirmation(cmd, plan.title)
    ready = [
        rebuild_missing_image(cmd, one.live, one) if one.bytes.where == "rebuild" else one
        for one in plan.plans
    ]
    plan = replace(plan, plans=tuple(ready))
    done = carry_out(plan, message=cmd.options.message, interruption=cmd.interruption)
    _print_results(cmd, plan, done.outcomes, done.stopped)
    for each, outcome in zip(plan.plans, done.outcomes, strict=True):
        if outcome.changed:
            prune_if_configured(each.live, answers=each.answers)
    return 0


def _show_plans(cmd: CommandContext, plan: GroupPlan) -> None:
    if cmd.options.json:
        told = [each.plan.to_json() for each in plan.plans]
        stops = [newcomers.to_json(each) for each in plan.stops]
        cmd.console.print_json({"group": plan.name, "plans": told, "stops": stops})
        return
    for each in plan.plans:
        cmd.console.print_sheet(plans.plan_title(each.plan), plans.plan_rows(each.plan))
    for stop in plan.stops:
        cmd.console.print_sheet(stop.attempted, newcomers.rows(stop))


def _print_results(
    cmd: CommandContext, plan: GroupPlan, done: Sequence[Outcome], stopped: Sequence[Stopped]
) -> None:
    """Print the result of each service; after a rollback also the command that undoes it."""
    for outcome in done:
        cmd.console.emit(plans.deployed_event(outcome))
        if not cmd.options.json:
            cmd.console.print_result(plans.outcome_line(outcome))
    for each in stopped if not cmd.options.json else ():
        cmd.console.print_result(each.text)
    if cmd.options.json:
        told = {"deployments": [outcome.record for outcome in done], "stops": [one.record for one in stopped]}
        cmd.console.print_json({"group": plan.name, **told})
    undo = _group_undo_command(cmd, plan, done)
    if undo and any(outcome.changed for outcome in done):
        cmd.console.emit(Notice(text=f"to undo this: {undo}"))


def _group_undo_command(cmd: CommandContext, plan: GroupPlan, done: Sequence[Outcome]) -> str:
    """Return the command that undoes a rollback; empty if the release before was never healthy."""
    sides = [outcome.plan.before for outcome in done]
    if done[0].plan.reason != "rollback" or any(side is None or side.status != "healthy" for side in sides):
        return ""
    names = ",".join(each.live.place.service for each in plan.plans)
    whole = plan.name is not None and not plan.stops
    chosen = f"--group {plan.name}" if whole else f"--services {names}"
    named = ",".join(
        f"{outcome.plan.place.service}={side.deployment}"
        for outcome, side in zip(done, sides, strict=True)
        if side
    )
    words = f"invoke rollback {chosen} --to {named}"
    if cmd.options.environment is not None:
        words += f" --environment {cmd.options.environment}"
    if any(outcome.abandons for outcome in done):
        words += ' --allow-quarantined --message "undo the rollback"'
    return "; ".join([words, *(each.live.place.command("start") for each in plan.stops)])
