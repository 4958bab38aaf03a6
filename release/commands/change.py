"""`invoke deploy` and `invoke rollback`: from the words of the operator to the told result."""

from __future__ import annotations

import time
from typing import Literal

from release.commands.door import Door, Words, agree, find
from release.deploy import journal, lock, view
from release.deploy.operation import Outcome, carry_out
from release.deploy.plan import Plan, Reason
from release.deploy.policy import Allowance
from release.deploy.prepare import Prepared, prepare
from release.deploy.sight import Sight, last_good, look_around
from release.deploy.site import Desk, Site
from release.errors import Cancelled, LockHeld, TargetUnavailable, UsageError
from release.events import Notice
from release.frozen import replace
from release.ledger import query


def deploy(door: Door) -> int:
    """Deploy `--to`."""
    if door.words.to is None:
        with door.desk() as desk:
            raise _nothing_named(desk)
    return _change(door, "promote")


def rollback(door: Door) -> int:
    """Roll back to `--to`, or to the last release that was healthy before."""
    return _change(door, "rollback")


def _nothing_named(desk: Desk) -> UsageError:
    newest = next(query.releases(desk.ledger, desk.service.service), None)
    example = newest.body.version if newest is not None else "0.1.0"
    return UsageError(
        "deploy",
        "--to is missing",
        f"{desk.command(f'deploy --to {example}')}; `{desk.command('history')}` lists releases",
    )


def _change(door: Door, why: Reason) -> int:
    """Resolve, prepare, show, ask, carry out, tell; once more when somebody else came first."""
    allowed, deadline = allowance(door.words), time.monotonic() + door.words.patience
    with door.desk() as desk, desk.site(door.words.environment) as site:
        while True:
            _await_lock(door, site, why, deadline)
            was_shown = False
            try:
                prepared = _prepared(door, site, why, allowed)
                was_shown = True
                return _carried_out(door, site, prepared)
            except LockHeld:
                if time.monotonic() >= deadline or (was_shown and not door.words.yes):
                    raise


def _await_lock(door: Door, site: Site, why: Reason, deadline: float) -> None:
    """Wait until nobody deploys here, where the command line says so. Raises LockHeld."""
    left, keeper = deadline - time.monotonic(), site.target.keeper()
    if left <= 0 or door.words.break_lock or lock.peek(keeper, site.place) is None:
        return
    site.desk.refresh()  # a lock whose deployment has ended is nobody's
    lock.await_free(
        keeper,
        site.place,
        seconds=left,
        emit=door.console.emit,
        check=door.interruption.cancellation.check,
        is_over=lambda holder: journal.ended(site, holder.deployment),
        task=lock.task_of(why),
    )


def _prepared(door: Door, site: Site, why: Reason, allowed: Allowance) -> Prepared:
    """Everything found out and decided; nothing is shown yet."""
    answers, sight = site.desk.refresh(), look_around(site)
    try:
        to = door.words.to or _choice(door, site, sight)
        found = find(door, site.desk, to, site.place.environment)
    except TargetUnavailable as error:
        # it may be behind the commit that is not proven: that is the answer, and not that it does not exist
        raise site.desk.ledger.unproven or error from error
    return prepare(site, found.release, why, answers=answers, ran=found.event, allowed=allowed, sight=sight)


def _carried_out(door: Door, site: Site, prepared: Prepared) -> int:
    """Shown, agreed to, done and told."""
    words, console = door.words, door.console
    console.hide(prepared.hidden)
    if words.plan:
        _show_plan(door, prepared.plan)
        return 0
    console.fields(view.plan_title(prepared.plan), view.plan_rows(prepared.plan))
    if prepared.plan.strategy != "verify":
        agree(door, view.plan_title(prepared.plan))
    if prepared.bytes.where == "rebuild":
        prepared = _made_again(door, site, prepared)
    outcome = carry_out(prepared, message=words.message, interruption=door.interruption)
    _tell(door, site, outcome)
    if outcome.changed:
        _tidy(site, answers=prepared.answers)
    return 0


def _made_again(door: Door, site: Site, prepared: Prepared) -> Prepared:
    """With the image built again from its record. Raises TargetUnavailable: it came out as another one."""
    from release.remake import remake

    with door.interruption.held():
        made = remake(site.desk, prepared.target, site.engine, door.interruption.cancellation, keep=True)
    if made.kept is None:
        raise TargetUnavailable(
            f"build {made.version} again from its record",
            f"{made.verdict}, and nothing was touched: {'; '.join(made.notes)}",
            f"`{site.place.command('history')}` lists other releases; "
            "`docker load` brings this one from a copy",
        )
    return replace(prepared, bytes=site.target.locate(prepared.target.body.image))


def _tidy(site: Site, *, answers: bool) -> None:
    """Prune the engine, where that is configured; what was deployed is told already."""
    if site.desk.service.retention.prune_after_deploy:
        from release.commands.prune import prune_after

        prune_after(site, answers=answers)


def _choice(door: Door, site: Site, sight: Sight) -> str:
    """What to go back to, where nothing is named: a person at a terminal may choose. Raises Cancelled."""
    default = last_good(site, sight)
    if door.words.yes or door.words.plan or door.words.json or not door.console.interactive:
        return default
    from release.deploy.candidates import candidates, chosen

    offered = candidates(site, sight.left)
    title = f"roll back {site.place}"
    door.console.fields(f"{title} to", view.candidate_rows(offered))
    while True:
        answer = door.console.choose("a number, Enter for what was healthy before, q for none:")
        if answer in ("q", "n", "no"):
            raise Cancelled(title, "you chose none; nothing was touched")
        if (to := chosen(offered, default, answer)) is not None:
            return to


def allowance(words: Words) -> Allowance:
    """Return what the command line allows, and why. Raises UsageError."""
    needs_reason = {
        "use --allow-quarantined": words.allow_quarantined,
        "use --thaw": words.thaw,
        "use --break-lock": words.break_lock,
    }
    for attempted, asked in needs_reason.items():
        if asked and not words.message:
            raise UsageError(attempted, "the record needs to say why", "add --message WHY")
    return Allowance(
        quarantined=words.allow_quarantined,
        thaw=words.thaw,
        break_lock=words.break_lock,
        cross_migrations=words.cross_migrations,
        down=_known_of_data(words.down),
        rebuild=words.remake,
        again=words.again,
    )


def _known_of_data(word: str | None) -> Literal["done", "again"] | None:
    """The word of `--down`. Raises UsageError."""
    match word:
        case None | "done" | "again":
            return word
        case _:
            hint = "--down done: the data is as the older release needs it; --down again: run it once more"
            raise UsageError(f"go back with --down {word!r}", "that is neither done nor again", hint)


def _show_plan(door: Door, plan: Plan) -> None:
    if door.words.json:
        door.console.document(plan.to_json())
    else:
        door.console.sheet(view.plan_title(plan), view.plan_rows(plan))


def _tell(door: Door, site: Site, outcome: Outcome) -> None:
    """The result; after a rollback, the command that undoes it."""
    door.console.emit(view.deployed(outcome))
    if door.words.json:
        door.console.document(outcome.record)
    else:
        door.console.result(view.outcome_line(outcome))
    if outcome.changed and outcome.plan.reason == "rollback" and (how := _undoing(site, outcome)):
        door.console.emit(Notice(text=how))


def _undoing(site: Site, outcome: Outcome) -> str:
    """Return how a rollback is undone; nothing where what it replaced was never verified healthy."""
    before = outcome.plan.before
    if before is None or before.status not in ("healthy", "unknown"):
        return ""
    once = ", once `invoke sync` ran in the clone that deployed it" if before.status == "unknown" else ""
    return f"to undo this{once}: {undo(site, outcome)}"


def undo(site: Site, outcome: Outcome) -> str:
    """The command that puts back what a rollback replaced, with the settings it ran with, and says why."""
    before, after = outcome.plan.before, outcome.plan.after
    assert before is not None  # noqa: S101 - a rollback from nothing has nothing to undo
    target = before.version if before.version != after.version else before.deployment
    words = f"rollback --to {target}"
    if outcome.abandons:
        words += f' --allow-quarantined --message "undo the rollback to {after.version}"'
    return site.place.command(words)
