"""`invoke deploy` and `invoke rollback`: from the command line to the printed result."""

from __future__ import annotations

import time
from typing import Literal

from release.commands.command_line import (
    CommandContext,
    find_target,
    parse_wait_seconds,
    require_confirmation,
)
from release.commands.options import CommandOptions
from release.commands.text import plans
from release.deploy.core import lock
from release.deploy.environment import journal
from release.deploy.environment.environment import LiveEnvironment, Workspace
from release.deploy.environment.observe import Observation, last_good, look_around
from release.deploy.execution.deploy import Outcome, carry_out
from release.deploy.planning.plan import Plan, Reason
from release.deploy.planning.policy import Allowance
from release.deploy.planning.prepare import Prepared, prepare
from release.errors import Cancelled, LockHeld, TargetUnavailable, UsageError
from release.events import Notice
from release.ledger import query
from release.values import replace


def deploy(cmd: CommandContext) -> int:
    """Deploy the release of `--to` and return the exit code."""
    if cmd.names_several_services:
        return _deploy_several_services(cmd, "promote")
    if cmd.options.to is None:
        with cmd.open_workspace() as workspace:
            raise _no_release_named_error(workspace)
    return _deploy_one_service(cmd, "promote")


def rollback(cmd: CommandContext) -> int:
    """Roll back to `--to`, or to the last healthy release before, and return the exit code."""
    if cmd.names_several_services:
        return _deploy_several_services(cmd, "rollback")
    return _deploy_one_service(cmd, "rollback")


def _no_release_named_error(workspace: Workspace) -> UsageError:
    newest = next(query.releases(workspace.ledger, workspace.service.service), None)
    example = newest.body.version if newest is not None else "0.1.0"
    return UsageError(
        "deploy",
        "--to is missing",
        f"{workspace.command(f'deploy --to {example}')}; `{workspace.command('history')}` lists releases",
    )


def _deploy_several_services(cmd: CommandContext, why: Reason) -> int:
    from release.commands.group import deploy_services

    return deploy_services(cmd, why)


def _deploy_one_service(cmd: CommandContext, why: Reason) -> int:
    """Prepare, show, confirm and carry out a deployment; begin again if another one came first."""
    allowed, deadline = read_allowance(cmd.options), time.monotonic() + parse_wait_seconds(cmd.options)
    with cmd.open_workspace() as workspace, workspace.live(cmd.options.environment) as live:
        while True:
            wait_for_lock(cmd, live, why, deadline)
            was_shown = False
            try:
                prepared = prepare_deployment(cmd, live, why, allowed)
                was_shown = True
                return _confirm_and_deploy(cmd, live, prepared)
            except LockHeld:
                if time.monotonic() >= deadline or (was_shown and not cmd.options.yes):
                    raise


def wait_for_lock(cmd: CommandContext, live: LiveEnvironment, why: Reason, deadline: float) -> None:
    """Wait up to the deadline for the end of another deployment here. Raise LockHeld."""
    left, lock_store = deadline - time.monotonic(), live.target.lock_store()
    if left <= 0 or cmd.options.break_lock or lock.current_holder(lock_store, live.place) is None:
        return
    live.workspace.refresh()  # a lock whose deployment has ended is nobody's
    lock.await_free(
        lock_store,
        live.place,
        seconds=left,
        emit=cmd.console.emit,
        check=cmd.interruption.cancellation.check,
        is_over=lambda holder: journal.ended(live, holder.deployment),
        task=lock.task_of(why),
    )


def prepare_deployment(
    cmd: CommandContext,
    live: LiveEnvironment,
    why: Reason,
    allowed: Allowance,
    *,
    to: str | None = None,
    answers: bool | None = None,
) -> Prepared:
    """Collect all facts and return the prepared deployment; print nothing.

    Args:
        cmd: the command.
        live: the environment.
        why: deploy or rollback.
        allowed: exceptions of the command line.
        to: the release, if it is chosen already.
        answers: whether the ledger's remote answered a moment ago; absent: it is asked.
    """
    answers = live.workspace.refresh() if answers is None else answers
    observation = look_around(live)
    try:
        to = to or cmd.options.to or _choose_release(cmd, live, observation)
        found = find_target(cmd, live.workspace, to, live.place.environment)
    except TargetUnavailable as error:
        # it may be behind the commit that is not proven: that is the answer, and not that it does not exist
        raise live.workspace.ledger.unproven or error from error
    return prepare(
        live, found.release, why, answers=answers, ran=found.event, allowed=allowed, observation=observation
    )


def _confirm_and_deploy(cmd: CommandContext, live: LiveEnvironment, prepared: Prepared) -> int:
    """Show the plan, ask, deploy, and print the result."""
    options, console = cmd.options, cmd.console
    console.mask_values(prepared.hidden)
    if options.plan:
        _show_plan(cmd, prepared.plan)
        return 0
    console.print_fields(plans.plan_title(prepared.plan), plans.plan_rows(prepared.plan))
    if prepared.plan.strategy != "verify":
        require_confirmation(cmd, plans.plan_title(prepared.plan))
    if prepared.bytes.where == "rebuild":
        prepared = rebuild_missing_image(cmd, live, prepared)
    outcome = carry_out(prepared, message=options.message, interruption=cmd.interruption)
    _print_outcome(cmd, live, outcome)
    if outcome.changed:
        prune_if_configured(live, answers=prepared.answers)
    return 0


def rebuild_missing_image(cmd: CommandContext, live: LiveEnvironment, prepared: Prepared) -> Prepared:
    """Rebuild the image from its record. Raise TargetUnavailable if its digest differs."""
    from release.image_rebuild import rebuild_image

    builder = live.target.images.builder
    assert builder is not None  # noqa: S101 - a plan without one is refused
    with cmd.interruption.held():
        made = rebuild_image(
            live.workspace, prepared.target, builder, cmd.interruption.cancellation, keep=True
        )
    if made.kept is None:
        raise TargetUnavailable(
            f"build {made.version} again from its record",
            f"{made.verdict}, so the environment was not changed: {'; '.join(made.notes)}",
            f"`{live.place.command('history')}` lists other releases; if you have a copy of "
            "this image, load it with `docker load`",
        )
    image = replace(prepared.found.image, bytes=live.target.images.locate(prepared.target.body.image))
    return replace(prepared, found=replace(prepared.found, image=image))


def prune_if_configured(live: LiveEnvironment, *, answers: bool) -> None:
    """Prune the engine after a deployment if the configuration says so."""
    if live.workspace.service.retention.prune_after_deploy:
        from release.commands.prune import prune_after_deployment

        prune_after_deployment(live, answers=answers)


def _choose_release(cmd: CommandContext, live: LiveEnvironment, observation: Observation) -> str:
    """Let a person at a terminal choose a release if none is named. Raises Cancelled."""
    default = last_good(live, observation)
    if cmd.options.yes or cmd.options.plan or cmd.options.json or not cmd.console.can_ask:
        return default
    from release.deploy.planning.rollback_candidates import candidates, chosen

    offered = candidates(live, observation.left)
    title = f"roll back {live.place}"
    cmd.console.print_fields(f"{title} to", plans.candidate_rows(offered))
    while True:
        answer = cmd.console.choose("a number; Enter for the healthy release before; q to stop:")
        if answer in ("q", "n", "no"):
            raise Cancelled(title, "you chose no release; nothing was changed")
        if (to := chosen(offered, default, answer)) is not None:
            return to


def read_allowance(options: CommandOptions) -> Allowance:
    """Return the exceptions that the options allow. Raise UsageError if a reason is missing."""
    needs_reason = {
        "use --allow-quarantined": options.allow_quarantined,
        "use --thaw": options.thaw,
        "use --break-lock": options.break_lock,
    }
    for attempted, asked in needs_reason.items():
        if asked and not options.message:
            raise UsageError(attempted, "the record needs a reason", "add --message WHY")
    return Allowance(
        quarantined=options.allow_quarantined,
        thaw=options.thaw,
        break_lock=options.break_lock,
        cross_migrations=options.cross_migrations,
        down=_parse_down_option(options.down),
        up=_parse_up_option(options.up),
        rebuild=options.rebuild,
        again=options.again,
    )


def _parse_down_option(word: str | None) -> Literal["done", "again"] | None:
    """Return the value of `--down`. Raise UsageError."""
    match word:
        case None | "done" | "again":
            return word
        case _:
            hint = (
                "--down done: the data already fits the older release; --down again: run the "
                "command once more"
            )
            raise UsageError(f"roll back with --down {word!r}", "it is neither done nor again", hint)


def _parse_up_option(word: str | None) -> bool:
    """Return whether the `up` command is skipped. Raises UsageError."""
    if word in (None, "done"):
        return word is not None
    raise UsageError(
        f"deploy with --up {word!r}",
        "it is not done",
        "--up done: the data is migrated; absent: the command runs",
    )


def _show_plan(cmd: CommandContext, plan: Plan) -> None:
    if cmd.options.json:
        cmd.console.print_json(plan.to_json())
    else:
        cmd.console.print_sheet(plans.plan_title(plan), plans.plan_rows(plan))


def _print_outcome(cmd: CommandContext, live: LiveEnvironment, outcome: Outcome) -> None:
    """Print the result; after a rollback also the command that undoes it."""
    cmd.console.emit(plans.deployed_event(outcome))
    if cmd.options.json:
        cmd.console.print_json(outcome.record)
    else:
        cmd.console.print_result(plans.outcome_line(outcome))
    if outcome.changed and outcome.plan.reason == "rollback" and (how := _rollback_undo_text(live, outcome)):
        cmd.console.emit(Notice(text=how))


def _rollback_undo_text(live: LiveEnvironment, outcome: Outcome) -> str:
    """Return the text on how to undo a rollback; empty if the release before was never healthy."""
    before = outcome.plan.before
    if before is None or before.status not in ("healthy", "unknown"):
        return ""
    once = ", after `invoke sync` in the clone that deployed it" if before.status == "unknown" else ""
    return f"to undo this{once}: {rollback_undo_command(live, outcome)}"


def rollback_undo_command(live: LiveEnvironment, outcome: Outcome) -> str:
    """Return the command that undoes a rollback, with the settings from before and a message."""
    before, after = outcome.plan.before, outcome.plan.after
    assert before is not None  # noqa: S101 - a rollback from nothing has nothing to undo
    target = before.version if before.version != after.version else before.deployment
    words = f"rollback --to {target}"
    if outcome.abandons:
        words += f' --allow-quarantined --message "undo the rollback to {after.version}"'
    return live.place.command(words)
