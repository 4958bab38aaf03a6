"""State of an environment and findings of the doctor as text. Nothing is printed here."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from release.commands.text.marks import version_text
from release.commands.text.parts import Row, age_text, message_suffix
from release.ledger.query import Event, QuarantineState
from release.runspec import ProcessSpec
from release.text.control_characters import inert_line, inert_lines
from release.text.local_time import local_time
from release.text.shortening import counted

if TYPE_CHECKING:
    from release.deploy.core.finding import Finding
    from release.deploy.inspection.status import Running, Status


def status_rows(status: Status) -> list[Row]:
    """Return the running release, the requested release, and unfinished deployments."""
    expected = status.expected
    nothing = "nothing" if status.engine is not None else "not known"
    rows = [("engine", status.engine or "could not be asked")]
    rows.append(("running", inert_lines(_running_release_lines(status.replicas)) or nothing))
    if expected is not None:
        version = version_text(str(expected.version), recovered=expected.recovered)
        who = f"by {inert_line(expected.who)}{message_suffix(expected.message)}"
        rows.append(("ledger", f"{version}  deployed {age_text(expected.moment)} {who}"))
        rows.append(("group", f"deployed with {inert_line(expected.group)}" if expected.group else ""))
    rows += [("tasks", inert_lines(map(str, status.tasks))), ("update", inert_line(status.update or ""))]
    rows += [("drift", inert_lines(status.drift)), ("leftovers", inert_lines(status.leftovers))]
    rows += [("unknown containers", inert_lines(status.strangers))]
    rows += [("freeze", inert_line(status.freeze or "")), ("quarantine", inert_line(status.quarantine or ""))]
    rows += [("maintenance", inert_line(status.maintenance or ""))]
    rows += [("operation", f"{inert_line(status.operation)}; no end yet" if status.operation else "")]
    rows += [("migrations", status.migrations or "")]
    rows += [("interrupted", f"{status.unfinished}; `invoke converge`" if status.unfinished else "")]
    rows += [("lock", f"held by {inert_line(status.lock)}" if status.lock else "")]
    rows += [("unsynced", _unpublished_events_text(status.unsynced))]
    return [(label, text) for label, text in rows if text]


def _running_release_lines(replicas: Sequence[Running]) -> Iterator[str]:
    """Yield each running release, followed by its containers."""
    shown = ""
    for running in replicas:
        restarts = f", {running.restarts} restarts" if running.restarts else ""
        health = f", {running.health}" if running.health != "none" else ""
        version = version_text(running.version or "unknown version", recovered=running.recovered)
        what = f"{version}  {running.digest or 'no released digest'}"
        if what != shown:
            yield (shown := what)
        age = age_text(running.started_at)
        yield f"{running.container}: {running.status}{health}{restarts}, started {age}"


def requested_deployment_rows(event: Event | None, quarantine: QuarantineState | None) -> list[Row]:
    """Return the requested deployment, and the quarantine of its release."""
    rows: list[Row] = []
    if event is not None:
        deployment, message = event.deployment, message_suffix(event.deployment.message)
        where = f"{deployment.deployment} in {deployment.environment}, {deployment.status}"
        where += f", with {deployment.group}" if deployment.group is not None else ""
        when = f"{local_time(event.recorded_at)} by {inert_line(event.actor.name)}"
        rows.append(("deployment", f"{where}\n{when}{message}"))
        if deployment.run_spec.processes:
            rows.append(("processes", inert_lines(map(_process_text, deployment.run_spec.processes))))
        rows.append(("settings", json.dumps(deployment.run_spec.model_dump(mode="json", exclude_none=True))))
    return [*rows, *([("standing", inert_line(str(quarantine)))] if quarantine is not None else [])]


def _process_text(process: ProcessSpec) -> str:
    """Return a recorded process in a line."""
    after = [f"after {', '.join(process.after)}"] if process.after else []
    settings = process.settings
    count = [f"{settings.replicas} replicas"] if settings.replicas > 1 else []
    words = [shlex.join(settings.command)] if settings.command else []
    about = [*words, *count, *after, *(["exclusive"] if process.exclusive else [])]
    return f"{process.name}: {'; '.join(about) or 'as the environment'}"


def finding_row(finding: Finding) -> Row:
    """Return a finding of the doctor: state, reason, and next step."""
    if finding.state == "ok":
        return finding.name, inert_line(f"ok: {finding.found}")
    hint = [f"→ {finding.hint}"] if finding.hint else []
    state = "unknown" if finding.unknown else "NOT OK"
    return finding.name, inert_lines([f"{state}: {finding.found}", *hint])


def _unpublished_events_text(number: int) -> str:
    """Return the unpublished events of this clone as rows; none if there are none."""
    waits = "waits" if number == 1 else "wait"
    return f"{counted(number, 'event')} {waits} for `invoke sync`" if number else ""
