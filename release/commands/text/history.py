"""Records, releases and differences as text. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from release.commands.text.gates import gate_text
from release.commands.text.marks import version_text
from release.commands.text.parts import LISTED, Row, change_text
from release.ledger.query import RecordedVerification
from release.records import (
    Deployment,
    Draft,
    Evidence,
    Freeze,
    LockFile,
    Note,
    Operation,
    Quarantine,
    Record,
    Release,
    Verification,
)
from release.smoketext import smoke_lines
from release.text.control_characters import inert_line, inert_lines
from release.text.local_time import local_time

if TYPE_CHECKING:
    from release.ledger.release_diff import Difference, End
    from release.ledger.violations import Report


HISTORY: Final = ("when", "version", "what", "environment", "status", "who", "message")


Entry = Record[Any] | Draft[Any]


def history_row(entry: Entry, version: str, time: Callable[[str], str] = local_time) -> Sequence[str]:
    """Return one record as a row of `HISTORY`. `version` is that of its release, `time` writes its moment."""
    envelope = entry.envelope if isinstance(entry, Record) else entry
    waiting = "" if isinstance(entry, Record) else " (unsynced)"
    what, environment, status, message = _history_columns(entry.body)
    return (
        time(envelope.recorded_at),
        version,
        what,
        environment,
        status + waiting,
        envelope.actor.name,
        message,
    )


def _history_columns(body: Any) -> tuple[str, str, str, str]:
    match body:
        case Release():
            end = "recovered" if body.is_recovered else "released"
            return "release", "", end if body.adopted is None else "adopted", ""
        case Deployment():
            what = "rollback" if body.reason == "rollback" else "deploy"
            what = "adopt" if body.adopted is not None else what
            names = ", ".join(each.name for each in body.run_spec.processes or ())
            group = f"{body.group}" if body.group is not None else ""
            what = "; ".join(filter(None, [f"{what} {names}".rstrip(), group]))
            return what, body.environment, body.status, body.message
        case Quarantine():
            return "quarantine", body.environment or "", "lifted" if body.lifted else "set", body.message
        case Verification():
            return body.what, body.environment or "", body.result, _verification_result(body)
        case Freeze():
            end = f" until {local_time(body.until)}" if body.until is not None else ""
            return "freeze", body.environment, "thawed" if body.thawed else f"frozen{end}", body.message
        case Operation():
            return body.what, body.environment, _operation_result(body), body.message
        case Note():
            return "note", "", "", body.text
        case _:
            return str(getattr(body, "kind", "record")), "", "", ""


def _operation_result(body: Operation) -> str:
    """Return the result of an operation as text; of a command also the exit code."""
    return body.status if body.exit_status is None else f"{body.status}, exit status {body.exit_status}"


def _verification_result(body: Verification) -> str:
    """Return the result of a check in one line: the duration of a drill, else the problems."""
    if body.what == "drill" and body.result == "passed":
        return f"healthy after {body.duration_ms / 1000:.1f} s"
    problems = [problem for each in body.releases for problem in each.problems]
    passed = f"{sum(each.result == 'passed' for each in body.releases)} of {len(body.releases)} releases"
    return "; ".join([passed if body.what == "readiness" else body.detail, *problems])


def _lockfile_text(lock: LockFile | None) -> str:
    return f"{lock.path} ({lock.kind}), {len(lock.packages)} packages" if lock is not None else "not known"


def _recovery_rows(release: Release) -> list[Row]:
    recovered = release.recovered
    if recovered is None:
        return []
    text = inert_lines([f"read from {recovered.origin}", f"not known: {', '.join(recovered.unknown)}"])
    return [("recovered" if release.adopted is None else "adopted", text)]


def _evidence_rows(evidence: Evidence | None) -> list[Row]:
    if evidence is None:
        return []
    place = "beside the image" if evidence.kept == "registry" else "in the clone that made the release"
    names = ", ".join(sorted(evidence.files))
    return [("evidence", inert_lines([f"{names}, {place}", evidence.artifact]))]


def release_rows(record: Record[Release]) -> list[Row]:
    """Return labels and values of a release."""
    envelope, body = record.envelope, record.body
    author = inert_line(f"{envelope.actor.name} <{envelope.actor.email}>")
    return [
        ("image", inert_lines([f"{body.image.repository}@{body.image.digest}", body.image.platform])),
        ("config", body.image.config_digest),
        ("commit", f"{body.source.commit}\ncommitted {body.source.commit_time}, tag {body.source.tag}"),
        ("released", f"{local_time(envelope.recorded_at)} by {author}"),
        ("run", inert_line(envelope.run.url or envelope.run.id)),
        ("lock", _lockfile_text(body.lock)),
        ("bases", inert_lines(f"{base.reference}@{base.digest}" for base in body.bases)),
        ("gates", inert_lines(map(gate_text, body.gates))),
        ("smoke", inert_lines(smoke_lines(body.smoke))),
        *_evidence_rows(body.evidence),
        *_recovery_rows(body),
        ("record", record.id),
    ]


def report_lines(report: Report) -> list[str]:
    """Return a ledger verification as lines: violations, skipped parts, and the summary."""
    found = len(report.violations)
    noun = "violation" if found == 1 else "violations"
    verdict = f"{found} {noun}" if found else "clean"
    size = f"{report.commits} commits, {report.records} records, {report.releases} releases"
    return [
        *map(str, report.violations),
        *(f"not checked: {what}" for what in report.unchecked),
        f"{report.ledger}  {verdict}  {size}  {report.head or 'empty'}",
    ]


def drill_and_rebuild_rows(tried: Sequence[RecordedVerification]) -> list[Row]:
    """Return the latest drills and rebuilds of a release, newest last."""
    lines = [
        f"{local_time(each.recorded_at)}  {each.verification.what} {each.verification.result}"
        f"{f' in {each.verification.environment}' if each.verification.environment else ''}: "
        f"{_verification_result(each.verification)}"
        for each in tried[-LISTED:]
    ]
    return [("tested", inert_lines(lines))] if lines else []


def difference_title(found: Difference) -> str:
    """Return the headline of a comparison."""
    where = f" in {found.environment}" if found.environment is not None else ""
    return f"{found.service}{where}: {found.before.version} → {found.after.version}"


def difference_rows(found: Difference) -> list[Row]:
    """Return the differences of two releases, with both image sizes."""
    before, after, commits = found.before, found.after, found.commits
    rows = [
        ("from", _freeze_end_text(before)),
        ("to", _freeze_end_text(after)),
        ("commits", f"{before.commit[:12]} → {after.commit[:12]}\n{inert_line(commits.note)}".rstrip()),
        ("added", inert_lines(commits.added)),
        ("undone", inert_lines(commits.undone)),
        ("packages", inert_lines(map(change_text, found.packages))),
        ("installed", _package_changes_text(found)),
        ("bases", inert_lines(map(change_text, found.bases))),
        ("settings", inert_lines(map(change_text, found.settings))),
        ("size", f"{before.size:,} → {after.size:,} bytes ({found.size:+,})"),
        ("shared", f"{found.shared_layers} layers, {found.shared_bytes:,} bytes"),
        ("note", inert_lines(found.notes)),
    ]
    return [(label, text) for label, text in rows if text]


def _package_changes_text(found: Difference) -> str:
    """Return changed packages of the images that the lockfiles do not show, at most `LISTED`."""
    locked = {change.key for change in found.packages}
    lines = [change_text(change) for change in found.installed if change.key not in locked]
    rest = [f"and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    return inert_lines([*lines[:LISTED], *rest])


def _freeze_end_text(end: End) -> str:
    return f"{version_text(end.version, recovered=end.recovered)}  {end.digest}\nreleased {end.released}"
