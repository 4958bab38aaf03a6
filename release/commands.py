"""What the invoke tasks do. Imported when one of them runs; what only one of them needs, that one imports.

A rollback waits for every import of its own: those that others need are inside of their functions.
"""

from __future__ import annotations

import os
import secrets as randomness
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from release.actor import TOOL, now
from release.console import Console
from release.deploy import lock, view
from release.deploy.operation import Outcome, carry_out, event_json
from release.deploy.plan import Plan, Reason
from release.deploy.policy import Allowance, after
from release.deploy.prepare import Prepared, prepare
from release.deploy.sight import last_good, look_around
from release.deploy.site import Desk, Site
from release.deploy.target import Way
from release.errors import Cancelled, LedgerError, LockHeld, TargetUnavailable, UsageError
from release.events import Notice, Warned
from release.interruption import Interruption
from release.ledger import query
from release.records import Body, Deployment, Draft, Freeze, Quarantine, Record, Release, Verification
from release.runspec import parse_duration

if TYPE_CHECKING:
    from release.deploy.converge import Halves
    from release.deploy.status import Status


@dataclass(frozen=True, kw_only=True)
class Words:
    """What the command line says."""

    to: str | None = None
    service: str | None = None
    environment: str | None = None
    message: str = ""
    yes: bool = False
    plan: bool = False
    json: bool = False
    limit: str = "20"
    ledger: bool = False
    since: str | None = None
    other: str | None = None
    lift: bool = False
    allow_quarantined: bool = False
    last: str | None = None
    deep: bool = False
    record: bool = False
    no_engine: bool = False
    secrets_elsewhere: bool = False
    thaw: bool = False
    until: str | None = None
    break_lock: bool = False
    cross_migrations: bool = False
    wait: str = "0"
    finish: bool = False
    revert: bool = False
    rebuild: str | None = None
    again: bool = False
    """`deploy` and `rollback` with `--rebuild`."""
    repair: bool = False
    keep: bool = False
    on: str | None = None
    with_secrets: bool = False
    with_networks: bool = False
    no_record: bool = False
    last_copies: bool = False
    exit_code: bool = False
    offline: bool = False

    @property
    def count(self) -> int:
        """The limit as a number. Raises UsageError."""
        if not self.limit.isdecimal() or int(self.limit) < 1:
            raise UsageError(f"list {self.limit!r} records", "that is not a number above 0", "use --limit 20")
        return int(self.limit)

    @property
    def patience(self) -> int:
        """How many seconds to wait for the lock. Raises UsageError."""
        if not self.wait.isdecimal():
            raise UsageError(f"wait for {self.wait!r} seconds", "that is not a whole number", "use --wait 60")
        return int(self.wait)


@dataclass(frozen=True, kw_only=True)
class Door:
    """What every command works with."""

    words: Words
    console: Console
    interruption: Interruption

    @contextmanager
    def desk(self, service: str | None = None) -> Iterator[Desk]:
        """The service's repository, found from the folder where the command runs."""
        opened = Desk.open(
            Path.cwd(), service or self.words.service, environ=os.environ, emit=self.console.emit
        )
        with opened as desk:
            yield desk


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
        "deploy", "--to is missing", f"invoke deploy --to {example}; `invoke history` lists releases"
    )


def _change(door: Door, why: Reason) -> int:
    """Resolve, prepare, show, ask, carry out, tell; once more when somebody else came first."""
    allowed, deadline = _allowance(door.words), time.monotonic() + door.words.patience
    with door.desk() as desk, desk.site(door.words.environment) as site:
        while True:
            _await_lock(door, site, deadline)
            try:
                return _change_once(door, site, why, allowed)
            except LockHeld:
                if time.monotonic() >= deadline or not door.words.yes:
                    raise


def _await_lock(door: Door, site: Site, deadline: float) -> None:
    """Wait until nobody deploys here, where the command line says so. Raises LockHeld."""
    left = deadline - time.monotonic()
    if left > 0 and door.words.patience and not door.words.break_lock:
        emit, check = door.console.emit, door.interruption.cancellation.check
        lock.await_free(site.target.keeper(), site.place, seconds=left, emit=emit, check=check)


def _change_once(door: Door, site: Site, why: Reason, allowed: Allowance) -> int:
    words, console, desk = door.words, door.console, site.desk
    answers, sight = desk.refresh(), look_around(site)
    to = words.to or _choice(door, site, last_good(site, sight))
    found = _found(door, desk, to, site.place.environment)
    prepared = prepare(
        site, found.release, why, answers=answers, ran=found.event, allowed=allowed, sight=sight
    )
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
        _tidy(site, answers=answers)
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
            "`invoke history` lists other releases; `docker load` brings this one from a copy",
        )
    return replace(prepared, bytes=site.target.locate(prepared.target.body.image))


def _tidy(site: Site, *, answers: bool) -> None:
    """Prune the engine, where that is configured; what was deployed is told already."""
    from release import checks

    checks.prune_after(site, answers=answers)


def _choice(door: Door, site: Site, default: str) -> str:
    """What to go back to, where nothing is named: a person at a terminal may choose. Raises Cancelled."""
    if door.words.yes or door.words.plan or door.words.json or not door.console.interactive:
        return default
    from release.deploy.candidates import candidates, chosen

    offered = candidates(site)
    title = f"roll back {site.place}"
    door.console.fields(f"{title} to", view.candidate_rows(offered))
    while True:
        answer = door.console.choose("a number, Enter for what was healthy before, q for none:")
        if answer in ("q", "n", "no"):
            raise Cancelled(title, "you chose none; nothing was touched")
        if (to := chosen(offered, default, answer)) is not None:
            return to


def _found(door: Door, desk: Desk, target: str, environment: str | None) -> query.Found:
    """What a target means; how it was read is told."""
    found = query.find(desk.ledger, desk.service.service, target, environment=environment)
    for note in found.notes:
        door.console.emit(Notice(text=note))
    return found


def _allowance(words: Words) -> Allowance:
    """What the command line allows, and why. Raises UsageError."""
    needs_reason = {
        "deploy what is quarantined": words.allow_quarantined,
        "deploy to what is frozen": words.thaw,
        "take the lock from who holds it": words.break_lock,
    }
    for attempted, asked in needs_reason.items():
        if asked and not words.message:
            raise UsageError(attempted, "the record needs to say why", "add --message WHY")
    return Allowance(
        quarantined=words.allow_quarantined,
        thaw=words.thaw,
        break_lock=words.break_lock,
        cross_migrations=words.cross_migrations,
        rebuild=words.again,
    )


def _show_plan(door: Door, plan: Plan) -> None:
    if door.words.json:
        door.console.document(plan.to_json())
    else:
        door.console.sheet(view.plan_title(plan), view.plan_rows(plan))


def agree(door: Door, title: str) -> None:
    """A person says yes, or the command line did. Raises UsageError, Cancelled."""
    if door.words.yes:
        return
    if not door.console.interactive:
        raise UsageError(title, "there is no terminal to ask on, and nothing was touched", "add --yes")
    if not door.console.confirm(f"{title}?"):
        raise Cancelled(title, "you did not say yes; nothing was touched")


def _tell(door: Door, site: Site, outcome: Outcome) -> None:
    """The result; after a rollback, the command that undoes it."""
    door.console.emit(view.deployed(outcome))
    if door.words.json:
        door.console.document(outcome.record)
    else:
        door.console.result(view.outcome_line(outcome))
    if outcome.changed and outcome.plan.reason == "rollback" and outcome.plan.before is not None:
        door.console.emit(Notice(text=f"to undo this: {undo(site, outcome)}"))


def undo(site: Site, outcome: Outcome) -> str:
    """The command that puts back what a rollback replaced, with the settings it ran with, and says why."""
    before, after = outcome.plan.before, outcome.plan.after
    assert before is not None  # noqa: S101 - a rollback from nothing has nothing to undo
    target = before.version if before.version != after.version else before.deployment
    words = ["invoke rollback", f"--to {target}"]
    if len(site.desk.config.services) > 1:
        words.append(f"--service {site.place.service}")
    if len(site.desk.service.environments) > 1:
        words.append(f"--environment {site.place.environment}")
    if outcome.abandons:
        words.append(f'--allow-quarantined --message "undo the rollback to {after.version}"')
    return " ".join(words)


def status(door: Door) -> int:
    """What really runs; 1 where it differs from the ledger and the command line wants to know."""
    with door.desk() as desk:
        desk.refresh()
        named = door.words.environment
        every: list[str | None] = [*desk.service.environments]
        names = [named] if named is not None or not every else every
        found = [_status(desk, name) for name in names]
    if door.words.json:
        data = [each.to_json() for each in found]
        door.console.document(data[0] if len(data) == 1 else data)
    else:
        for each in found:
            door.console.sheet(f"{each.service} in {each.environment}", view.status_rows(each))
    return 1 if door.words.exit_code and any(each.drift for each in found) else 0


def _status(desk: Desk, environment: str | None) -> Status:
    from release.deploy.status import read_status

    with desk.site(environment) as site:
        return read_status(site)


def history(door: Door) -> int:
    """What was released, deployed and rolled back, newest first."""
    count = door.words.count
    with door.desk() as desk:
        desk.refresh()
        entries = _entries(desk, door.words.environment, _since(door))
        if door.words.json:
            door.console.document([_json(entry) for entry in islice(entries, count)])
        else:
            version = _versions(desk)
            door.console.table(
                view.HISTORY,
                [view.history_row(entry, version(entry.body)) for entry in islice(_ended(entries), count)],
            )
    return 0


def _since(door: Door) -> str | None:
    """The beginning of the span that is asked for. Raises UsageError."""
    if door.words.since is None:
        return None
    moment = query.read_since(door.words.since, query.Clock())
    door.console.emit(Notice(text=moment.said))
    return moment.text


def _entries(desk: Desk, environment: str | None, since: str | None) -> Iterator[view.Entry]:
    """Events that wait to be published, then the ledger."""
    if environment is not None:
        desk.service.environment(environment)
    service = desk.service.service
    waiting = (draft for draft in reversed(desk.ledger.unsynced()) if draft.service == service)
    yield from (
        draft for draft in waiting if _is_in(draft, environment) and draft.recorded_at >= (since or "")
    )
    yield from query.history(desk.ledger, service, environment=environment, since=since)


def _is_in(draft: Draft[Body], environment: str | None) -> bool:
    body = draft.body
    kinds = Deployment | Freeze | Verification
    return environment is None or (isinstance(body, kinds) and body.environment == environment)


def _ended(entries: Iterator[view.Entry]) -> Iterator[view.Entry]:
    """One entry for each deployment: its end; its start only where no end is known. Newest first."""
    seen: set[str] = set()
    for entry in entries:
        body = entry.body
        if not isinstance(body, Deployment):
            yield entry
        elif body.deployment not in seen:
            seen.add(body.deployment)
            yield entry


def _json(entry: Record[Body] | Draft[Body]) -> dict[str, Any]:
    if isinstance(entry, Record):
        return {"id": entry.id, **entry.to_json()}
    return event_json(entry, None)


def _versions(desk: Desk) -> Any:
    """A function that names the version a record is about; each release is read once."""

    @cache
    def of_release(record: str) -> str:
        try:
            body = desk.ledger.record(record).body
        except LedgerError:
            return "?"
        return body.version if isinstance(body, Release) else "?"

    def of(body: Body) -> str:
        if isinstance(body, Release):
            return body.version
        if isinstance(body, Verification):
            return of_release(body.releases[0].release) if len(body.releases) == 1 else ""
        return of_release(body.release) if isinstance(body, Deployment | Quarantine) else ""

    return of


def show(door: Door) -> int:
    """One release, or the deployment that was asked for. invoke takes an option, too, for the argument."""
    target = door.words.to or ""
    with door.desk() as desk:
        desk.refresh()
        name = _environment(door, desk)
        found = _found(door, desk, _target("show", target), name)
        word = query.quarantined(desk.ledger, desk.service.service, found.release.id, name)
        tried = query.tried_out(desk.ledger, desk.service.service, found.release.id)
    if door.words.json:
        door.console.document(_json(found.release))
    else:
        title = f"{found.release.envelope.service} {found.release.body.version}"
        standing = view.standing_rows(found.event, word)
        door.console.sheet(title, [*view.release_rows(found.release), *standing, *view.tried_rows(tried)])
    return 0


def _target(command: str, target: str) -> str:
    """Refuse an option that invoke took for the argument; -2 is a target."""
    if target.startswith("-") and not query.is_steps_back(target):
        raise UsageError(
            f"{command} {target!r}", "that is an option, not a release", f"invoke --help {command}"
        )
    return target


def _environment(door: Door, desk: Desk) -> str | None:
    """The one that is named, or the only one there is; None where neither."""
    name = door.words.environment
    if name is None and len(desk.service.environments) != 1:
        return None
    return desk.service.environment(name)[0]


def diff(door: Door) -> int:
    """What is other in one release than in another."""
    from release.ledger.diff import compare

    targets = [_target("diff", word or "") for word in (door.words.to, door.words.other)]
    with door.desk() as desk:
        desk.refresh()
        name = _environment(door, desk)
        before, after = (_found(door, desk, target, name) for target in targets)
        found = compare(
            desk.ledger,
            desk.source,
            desk.service.service,
            before,
            after,
            environment=name,
            folder=desk.service.context,
        )
    if door.words.json:
        door.console.document(found.to_json())
    else:
        door.console.sheet(view.difference_title(found), view.difference_rows(found))
    return 0


def quarantine(door: Door) -> int:
    """Set a release aside, or end that."""
    words = door.words
    if not words.message:
        raise UsageError("quarantine a release", "the record needs to say why", "add --message WHY")
    with door.desk() as desk:
        desk.refresh()
        if words.environment is not None:
            desk.service.environment(words.environment)
        found = _found(door, desk, _target("quarantine", words.to or ""), _environment(door, desk))
        _say(door, desk, found.release)
    return 0


def _say(door: Door, desk: Desk, release: Record[Release]) -> None:
    """Record the word on a release, and tell it. Lifting what does not hold changes nothing."""
    words, service = door.words, desk.service.service
    where = words.environment or "every environment"
    if words.lift and query.quarantined(desk.ledger, service, release.id, words.environment) is None:
        door.console.result(f"{service} {release.body.version} is not quarantined in {where}")
        return
    body = Quarantine(
        release=release.id, environment=words.environment, message=words.message, lifted=words.lift
    )
    done = "may be deployed again" if words.lift else "is quarantined"
    _record(door, desk, body, f"{service} {release.body.version} {done} in {where}: {words.message}")


def _record(door: Door, desk: Desk, body: Body, sentence: str) -> None:
    """Record a word of the operator, and tell it."""
    draft: Draft[Body] = Draft(
        service=desk.service.service,
        recorded_at=now(),
        actor=desk.actor,
        run=desk.run(randomness.token_hex(6)),
        tool=TOOL,
        body=body,
    )
    record = desk.ledger.append_event(draft)
    if record is None:
        door.console.emit(Warned(text="the git remote does not answer: this waits here for `invoke sync`"))
    if door.words.json:
        door.console.document(event_json(draft, record))
    else:
        door.console.result(sentence)


def freeze(door: Door) -> int:
    """Refuse deployments to an environment, for a while or until it is thawed."""
    words = door.words
    if not words.message:
        raise UsageError("freeze an environment", "the record needs to say why", "add --message WHY")
    until = after(now(), _span(words.until)) if words.until is not None else None
    with door.desk() as desk:
        desk.refresh()
        place = desk.spot(words.environment).place
        end = f"until {until[:19]}Z" if until is not None else "until it is thawed"
        body = Freeze(environment=place.environment, message=words.message, until=until)
        _record(door, desk, body, f"{place} is frozen {end}: {words.message}")
    return 0


def _span(text: str) -> int:
    """Milliseconds of a time such as "2h". Raises UsageError."""
    try:
        span = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"freeze for {text!r}", str(error), "use --for 2h") from error
    assert isinstance(span, int)  # noqa: S101 - what `parse_duration` makes of text
    return span


def thaw(door: Door) -> int:
    """Take deployments again. Where nothing is frozen, nothing changes."""
    words = door.words
    if not words.message:
        raise UsageError("thaw an environment", "the record needs to say why", "add --message WHY")
    with door.desk() as desk:
        desk.refresh()
        place = desk.spot(words.environment).place
        if query.frozen(desk.ledger, place.service, place.environment, now()) is None:
            door.console.result(f"{place} is not frozen")
            return 0
        body = Freeze(environment=place.environment, message=words.message, thawed=True)
        _record(door, desk, body, f"{place} takes deployments again: {words.message}")
    return 0


def converge(door: Door) -> int:
    """Bring a deployment that ended in the middle to an end, or undo it."""
    from release.deploy import converge as half_done

    words = door.words
    if words.finish and words.revert:
        raise UsageError("converge", "both --finish and --revert are given", "give one")
    way: Way | None = "finish" if words.finish else "revert" if words.revert else None
    _allowance(words)
    with door.desk() as desk, desk.site(words.environment) as site:
        answers = desk.refresh()
        halves = half_done.examine(site, way=way, break_lock=words.break_lock)
        if halves is None:
            return _nothing_open(door, site)
        return _converge(door, halves, answers=answers)


def _nothing_open(door: Door, site: Site) -> int:
    """Say so; a lock whose deployment ended is removed."""
    from release.deploy.converge import tidy

    if not door.words.plan and tidy(site):
        door.console.emit(Notice(text="removed a lock whose deployment had ended"))
    if door.words.json:
        door.console.document(None)
    else:
        door.console.result(f"{site.place}: nothing is half done")
    return 0


def _converge(door: Door, halves: Halves, *, answers: bool) -> int:
    from release.deploy.converge import carry_out as bring_to_an_end

    words, console = door.words, door.console
    if words.plan:
        if words.json:
            console.document(halves.to_json())
        else:
            console.sheet(halves.title, halves.rows)
        return 0
    console.fields(halves.title, halves.rows)
    agree(door, halves.title)
    done = bring_to_an_end(halves, message=words.message, answers=answers, interruption=door.interruption)
    if words.json:
        console.document(done.record)
    else:
        console.result(f"{halves.site.place}: {done.end}: {done.evidence}")
    return 0


def sync(door: Door) -> int:
    """Publish events that were kept here."""
    with door.desk() as desk:
        published = desk.ledger.sync()
        waiting = len(desk.ledger.unsynced())
    if door.words.json:
        door.console.document({"published": published, "unsynced": waiting})
    else:
        door.console.result(f"{published} events published, {waiting} waiting")
    return 0


def verify(door: Door) -> int:
    """Prove that rollbacks would work; or the ledgers of the services, 1 where something is wrong."""
    if door.words.repair:
        from release import repair

        return repair.repair(door)
    if not door.words.ledger:
        from release import checks

        return checks.rebuild(door) if door.words.rebuild is not None else checks.readiness(door)
    return _verify_ledgers(door)


def _verify_ledgers(door: Door) -> int:
    """From their first commits on; 1 where something is wrong."""
    from release import config
    from release.deploy.imagetags import ImageTags
    from release.ledger.verify import verify as verify_ledger
    from release.source import Source

    source = Source.open(Path.cwd())
    with closing(source):
        configured = config.load(source.root)
        named = door.words.service
        services = [configured.service(named)] if named is not None else list(configured.services.values())
        reports = []
        for settings in dict.fromkeys(service.ledger for service in services):
            with ImageTags() as tags:
                reports.append(verify_ledger(source, settings, witness=tags))
    if door.words.json:
        door.console.document([report.to_json() for report in reports])
    else:
        for report in reports:
            for line in view.report_lines(report):
                door.console.result(line)
    return 1 if any(report.violations for report in reports) else 0


def drill(door: Door) -> int:
    """Rehearse a rollback."""
    from release import checks

    return checks.drill(door)


def prune(door: Door) -> int:
    """Remove images that no rollback needs."""
    from release import checks

    return checks.prune(door)


def doctor(door: Door) -> int:
    """Is everything there?"""
    from release.deploy.doctor import examine

    found = list(examine(Path.cwd(), door.words.service, environ=os.environ, emit=door.console.emit))
    if door.words.json:
        names = ("name", "well", "found", "hint")
        door.console.document([{name: getattr(item, name) for name in names} for item in found])
    else:
        door.console.sheet("doctor", [view.finding_row(item) for item in found])
    return 0 if all(item.well for item in found) else 1


def ledger_rebuild(door: Door) -> int:
    """Make again what the ledger lost: its index, or when it is gone the releases themselves."""
    from release import recovery

    with door.desk() as desk:
        plan = recovery.plan(desk)
        if door.words.plan:
            if door.words.json:
                door.console.document(plan.to_json())
            else:
                door.console.sheet(plan.title, plan.rows)
            return 0
        door.console.fields(plan.title, plan.rows)
        agree(door, plan.title)
        made = plan.carry_out()
    if door.words.json:
        door.console.document(made)
    else:
        door.console.result(plan.done)
    return 0
