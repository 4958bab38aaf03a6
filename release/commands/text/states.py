"""Plans, records and states as labels and text for people. Nothing is printed and nothing is asked here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from release.commands.text.gates import gate_text
from release.commands.text.marks import named
from release.deploy.core import watch
from release.deploy.planning.plan import First, Plan, Side
from release.events import Deployed
from release.inert import inert_line, inert_lines
from release.ledger.query import Event, QuarantineState, Tried
from release.migrations import Crossing
from release.records import (
    Deployment,
    Draft,
    Freeze,
    LockFile,
    Note,
    Quarantine,
    Record,
    Recovered,
    Release,
    Verification,
)
from release.reference import Digest
from release.runspec import duration_text
from release.smoketext import smoke_lines

if TYPE_CHECKING:
    from release.deploy.execution.deploy import Outcome
    from release.deploy.inspection.doctor import Finding
    from release.deploy.inspection.status import Running, Status
    from release.deploy.planning.candidates import Candidate
    from release.ledger.diff import Change, Difference, End
    from release.ledger.violations import Report

Row = tuple[str, str]

_STRATEGY: Final = {
    "stop-first": "stop-first: the old container is stopped, and kept until the new one is proven",
    "start-first": "start-first: the new container is healthy before the proxy gives it the traffic",
    "rolling": "rolling: the Swarm replaces the tasks, a few at a time, by the recorded update policy",
    "first": "nothing runs yet",
    "verify": "runs already with these settings: only verified",
}
_DOWNTIME: Final = {
    "stop-first": "from the old one's stop until the new one is healthy",
    "start-first": "none: the old one keeps the traffic until then, and finishes what it has",
}
_BYTES: Final = {
    "engine": "on the engine",
    "registry": "pulled from the registry",
    "nodes": "on the nodes themselves, for the registry cannot give it",
    "rebuild": "built again from its record, and proven to be the same, before anything is touched",
    "nowhere": "nowhere",
}
_LISTED: Final = 15
"""How many lines of one kind a plan shows."""


def _said(message: str) -> str:
    return f": {inert_line(message)}" if message else ""


def age(moment: str) -> str:
    """Return how long ago a moment was, in its largest unit: "2 h ago"."""
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now" if seconds < 5 else f"{seconds} s ago"


def plan_title(plan: Plan) -> str:
    """The headline of a plan."""
    verb = "roll back" if plan.reason == "rollback" else "deploy"
    return f"{verb} {plan.service} in {plan.environment} to {plan.after.version}"


def plan_rows(plan: Plan) -> list[Row]:
    """A plan, without what does not change."""
    rows = [
        ("from", _from(plan.before) if plan.before is not None else "nothing known"),
        ("to", _side(plan.after, "released")),
        ("engine", plan.engine),
        ("bytes", _BYTES[plan.bytes_from]),
        ("strategy", _STRATEGY[plan.strategy]),
        ("downtime", _DOWNTIME.get(plan.strategy, "")),
        ("expected", f"{plan.expected_ms / 1000:.1f} s" if plan.expected_ms is not None else ""),
        ("watch", watch.words(plan.watch, replaces=plan.strategy != "first")),
        ("rehearsed", plan.rehearsed),
        ("settings", _list(map(_changed, plan.settings))),
        ("secrets", _list(f"{name}: {_secret(told)}" for name, told in plan.secrets.items())),
        ("undone", _list(plan.undone, plan.undone_count)),
        ("added", _list(plan.added, plan.added_count)),
        ("packages", _list(map(_changed, plan.packages))),
        ("bases", _list(map(_changed, plan.bases))),
        ("migrations", _crossing(plan.crossing)),
        ("first", _first(plan.down)),
        ("then", inert_lines(plan.then)),
        ("note", inert_lines(plan.notes)),
    ]
    return [(label, text) for label, text in rows if text]


def _first(down: First | None) -> str:
    if down is None:
        return ""
    where = f"in a container of {down.version}, {down.image},"
    how = f"with the settings that it was deployed with, for {duration_text(down.timeout)} at most"
    return inert_lines([f"`{' '.join(down.command)}`", where, how])


def _crossing(found: Crossing | None) -> str:
    if found is None:
        return ""
    return _list(
        [
            *filter(None, [found.unknown]),
            *(f"- {path}" for path in found.undone),
            *(f"+ {path}" for path in found.added),
        ]
    )


def candidate_rows(offered: Sequence[Candidate]) -> list[Row]:
    """Return what could be gone back to, numbered from 1."""
    return [(str(number), _candidate(each)) for number, each in enumerate(offered, start=1)]


def _candidate(each: Candidate) -> str:
    marks = [*(["runs now"] if each.is_current else []), *([str(each.word)] if each.word else [])]
    body, event = each.release.body, each.event
    said = _said(event.deployment.message)
    when = f"healthy {age(event.recorded_at)} by {inert_line(event.actor.name)}{said}"
    version = named(body.version, recovered=body.recovered is not None)
    return inert_lines([f"{version}  {Digest(body.image.digest).short}  {when}", *marks])


def _from(side: Side) -> str:
    """Return what is left; of a deployment that is not known as healthy, how it stands."""
    if side.status == "unknown":
        return f"{_what(side)}\nstarted {age(side.moment)} by a deployment that this clone does not know"
    if side.status == "healthy":
        return _side(side, "deployed")
    how = {"started": "never ended", "mixed": "left a mixed state"}.get(side.status, side.status)
    return f"{_side(side, 'tried')} ({how})"


def _side(side: Side, done: str) -> str:
    said = _said(side.message)
    return f"{_what(side)}\n{done} {age(side.moment)} by {inert_line(side.who)}{said}"


def _what(side: Side) -> str:
    version = named(side.version, recovered=side.recovered)
    return f"{version}  {Digest(side.digest).short}  commit {side.commit[:12]}"


def _changed(change: Change) -> str:
    if change.old is None:
        return f"{change.key}: + {_value(change.new)}"
    if change.new is None:
        return f"{change.key}: - {_value(change.old)}"
    return f"{change.key}: {_value(change.old)} → {_value(change.new)}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def _secret(told: str) -> str:
    return {"rotated": "rotated since", "not comparable": "unknown: other fingerprint key"}.get(told, told)


def _list(lines: Iterable[str], count: int | None = None) -> str:
    """The first of them, and how many more there are; `count` where they are more than these lines."""
    every = list(lines)
    rest = [f"… and {(count or len(every)) - _LISTED} more"] if len(every) > _LISTED else []
    return inert_lines([*every[:_LISTED], *rest])


def outcome_line(outcome: Outcome) -> str:
    """The result of a deployment in one line."""
    plan = outcome.plan
    done = "healthy" if outcome.changed else "healthy already"
    image = f"{outcome.repository}@{plan.after.digest}"
    return f"{plan.service} {plan.after.version} {plan.environment} {done} {image}"


def deployed(outcome: Outcome) -> Deployed:
    """The same for machines."""
    plan = outcome.plan
    return Deployed(
        service=plan.service,
        environment=plan.environment,
        version=plan.after.version,
        digest=str(plan.after.digest),
        reference=f"{outcome.repository}@{plan.after.digest}",
        deployment=outcome.deployment,
        changed=outcome.changed,
    )


def status_rows(status: Status) -> list[Row]:
    """Return what runs, what should, and what is open."""
    expected = status.expected
    nothing = "nothing" if status.engine is not None else "not known"
    rows = [("engine", status.engine or "could not be asked")]
    rows.append(("running", inert_lines(_serving(status.replicas)) or nothing))
    if expected is not None:
        said = _said(expected.message)
        version = named(str(expected.version), recovered=expected.recovered)
        rows.append(
            ("ledger", f"{version}  deployed {age(expected.moment)} by {inert_line(expected.who)}{said}")
        )
    rows += [("tasks", inert_lines(map(str, status.tasks))), ("update", inert_line(status.update or ""))]
    rows += [("drift", inert_lines(status.drift)), ("leftovers", inert_lines(status.leftovers))]
    rows += [("not ours", inert_lines(status.strangers))]
    rows += [("freeze", inert_line(status.freeze or "")), ("quarantine", inert_line(status.quarantine or ""))]
    rows += [("migrations", status.migrations or "")]
    rows += [("half done", f"{status.unfinished}; `invoke converge`" if status.unfinished else "")]
    rows += [("lock", f"held by {inert_line(status.lock)}" if status.lock else "")]
    rows += [("unsynced", f"{status.unsynced} events wait for `invoke sync`" if status.unsynced else "")]
    return [(label, text) for label, text in rows if text]


def _serving(replicas: Sequence[Running]) -> Iterator[str]:
    """Return what runs, and below it in which containers; once where several run the same."""
    said = ""
    for running in replicas:
        restarts = f", {running.restarts} restarts" if running.restarts else ""
        health = f", {running.health}" if running.health != "none" else ""
        version = named(running.version or "unknown version", recovered=running.recovered)
        what = f"{version}  {running.digest or 'no released digest'}"
        if what != said:
            yield (said := what)
        yield f"{running.container}: {running.status}{health}{restarts}, started {age(running.started_at)}"


HISTORY: Final = ("when", "version", "what", "environment", "status", "who", "message")

Entry = Record[Any] | Draft[Any]


def history_row(entry: Entry, version: str) -> Sequence[str]:
    """One record as a row of `HISTORY`. `version` is that of the release it is about."""
    envelope = entry.envelope if isinstance(entry, Record) else entry
    waiting = "" if isinstance(entry, Record) else " (unsynced)"
    what, environment, status, message = _told(entry.body)
    return (
        envelope.recorded_at[:19].replace("T", " ") + "Z",
        version,
        what,
        environment,
        status + waiting,
        envelope.actor.name,
        message,
    )


def _told(body: Any) -> tuple[str, str, str, str]:
    match body:
        case Release():
            return "release", "", "recovered" if body.recovered is not None else "released", ""
        case Deployment():
            what = "rollback" if body.reason == "rollback" else "deploy"
            return what, body.environment, body.status, body.message
        case Quarantine():
            return "quarantine", body.environment or "", "lifted" if body.lifted else "set", body.message
        case Verification():
            return body.what, body.environment or "", body.result, _findings(body)
        case Freeze():
            end = f" until {body.until[:19]}Z" if body.until is not None else ""
            return "freeze", body.environment, "thawed" if body.thawed else f"frozen{end}", body.message
        case Note():
            return "note", "", "", body.text
        case _:
            return str(getattr(body, "kind", "record")), "", "", ""


def _findings(body: Verification) -> str:
    """Return what a check says in one line: of a drill its time, else what speaks against releases."""
    if body.what == "drill" and body.result == "passed":
        return f"healthy after {body.duration_ms / 1000:.1f} s"
    problems = [problem for each in body.releases for problem in each.problems]
    told = f"{sum(each.result == 'passed' for each in body.releases)} of {len(body.releases)} releases"
    return "; ".join([told if body.what == "readiness" else body.detail, *problems])


def _lock(lock: LockFile | None) -> str:
    return f"{lock.path} ({lock.kind}), {len(lock.packages)} packages" if lock is not None else "not known"


def _recovered(recovered: Recovered | None) -> list[Row]:
    if recovered is None:
        return []
    told = inert_lines([f"read from {recovered.origin}", f"not known: {', '.join(recovered.unknown)}"])
    return [("recovered", told)]


def release_rows(record: Record[Release]) -> list[Row]:
    """A release, readably."""
    envelope, body = record.envelope, record.body
    return [
        ("image", inert_lines([f"{body.image.repository}@{body.image.digest}", body.image.platform])),
        ("config", body.image.config_digest),
        ("commit", f"{body.source.commit}\ncommitted {body.source.commit_time}, tag {body.source.tag}"),
        (
            "released",
            f"{envelope.recorded_at} by {inert_line(f'{envelope.actor.name} <{envelope.actor.email}>')}",
        ),
        ("run", inert_line(envelope.run.url or envelope.run.id)),
        ("lock", _lock(body.lock)),
        ("bases", inert_lines(f"{base.reference}@{base.digest}" for base in body.bases)),
        ("gates", inert_lines(map(gate_text, body.gates))),
        ("smoke", inert_lines(smoke_lines(body.smoke))),
        *_recovered(body.recovered),
        ("record", record.id),
    ]


def report_lines(report: Report) -> list[str]:
    """Return what a verification found: a line for each violation, what was not looked at, and the sum."""
    found = len(report.violations)
    noun = "violation" if found == 1 else "violations"
    verdict = f"{found} {noun}" if found else "clean"
    size = f"{report.commits} commits, {report.records} records, {report.releases} releases"
    return [
        *map(str, report.violations),
        *(f"not checked: {what}" for what in report.unchecked),
        f"{report.ledger}  {verdict}  {size}  {report.head or 'empty'}",
    ]


def standing_rows(event: Event | None, word: QuarantineState | None) -> list[Row]:
    """The deployment that was asked for, and whether the release is set aside."""
    rows: list[Row] = []
    if event is not None:
        told, said = event.deployment, _said(event.deployment.message)
        where = f"{told.deployment} in {told.environment}, {told.status}"
        rows.append(("deployment", f"{where}\n{event.recorded_at} by {inert_line(event.actor.name)}{said}"))
        rows.append(("settings", json.dumps(told.run_spec.model_dump(mode="json", exclude_none=True))))
    return [*rows, *([("standing", inert_line(str(word)))] if word is not None else [])]


def tried_rows(tried: Sequence[Tried]) -> list[Row]:
    """The latest drills and rebuilds of a release, newest last."""
    lines = [
        f"{each.recorded_at[:19]}Z  {each.verification.what} {each.verification.result}"
        f"{f' in {each.verification.environment}' if each.verification.environment else ''}: "
        f"{_findings(each.verification)}"
        for each in tried[-_LISTED:]
    ]
    return [("tried out", inert_lines(lines))] if lines else []


def difference_title(found: Difference) -> str:
    """The headline of a comparison."""
    where = f" in {found.environment}" if found.environment is not None else ""
    return f"{found.service}{where}: {found.before.version} → {found.after.version}"


def difference_rows(found: Difference) -> list[Row]:
    """Return what differs; what is the same is left out, the size apart."""
    before, after, commits = found.before, found.after, found.commits
    rows = [
        ("from", _end(before)),
        ("to", _end(after)),
        ("commits", f"{before.commit[:12]} → {after.commit[:12]}\n{inert_line(commits.note)}".rstrip()),
        ("added", inert_lines(commits.added)),
        ("undone", inert_lines(commits.undone)),
        ("packages", inert_lines(map(_changed, found.packages))),
        ("bases", inert_lines(map(_changed, found.bases))),
        ("settings", inert_lines(map(_changed, found.settings))),
        ("size", f"{before.size:,} → {after.size:,} bytes ({found.size:+,})"),
        ("shared", f"{found.shared_layers} layers, {found.shared_bytes:,} bytes"),
        ("note", inert_lines(found.notes)),
    ]
    return [(label, text) for label, text in rows if text]


def _end(end: End) -> str:
    return f"{named(end.version, recovered=end.recovered)}  {end.digest}\nreleased {end.released}"


def finding_row(finding: Finding) -> Row:
    """One answer of the doctor: ok, or what to do."""
    if finding.well:
        return finding.name, inert_line(f"ok: {finding.found}")
    hint = [f"→ {finding.hint}"] if finding.hint else []
    return finding.name, inert_lines([f"NOT OK: {finding.found}", *hint])
