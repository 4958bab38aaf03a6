"""Plans, candidates and results of deployments as text. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from release.commands.text.marks import version_text
from release.commands.text.parts import Row, age_text, change_text, first_lines, message_suffix
from release.commands.text.processes import longest_time_text, process_lines
from release.deploy.core import watch_time
from release.deploy.planning.plan import MigrationCommand, Plan, Side
from release.events import Deployed
from release.migrations import Crossing
from release.reference import Digest
from release.scalars import duration_text
from release.text.control_characters import inert_line, inert_lines

if TYPE_CHECKING:
    from release.deploy.execution.deploy import Outcome
    from release.deploy.planning.rollback_candidates import Candidate


_DOWNTIME: Final = {
    "stop-first": "from the old one's stop until the new one is healthy",
    "start-first": "none: the old one keeps the traffic until then, and finishes what it has",
}


_BYTES: Final = {
    "engine": "on the engine",
    "registry": "pulled from the registry",
    "nodes": "on the nodes themselves, for the registry cannot give it",
    "rebuild": "built again from its record, and compared with it before anything is changed",
    "nowhere": "nowhere",
}


_NOTHING: Final = {"first": "nothing"}
"""Release that ran before, if the plan names none, by strategy."""


def plan_title(plan: Plan) -> str:
    """Return the headline of a plan."""
    verb = "roll back" if plan.reason == "rollback" else "deploy"
    return f"{verb} {plan.place.service} in {plan.place.environment} to {plan.after.version}"


def plan_rows(plan: Plan) -> list[Row]:
    """Return labels and values of a plan, without unchanged settings."""
    rows = [
        (
            "from",
            _previous_release_text(plan.before)
            if plan.before is not None
            else _NOTHING.get(plan.strategy, "unknown"),
        ),
        ("to", _release_result_text(plan.after, "released")),
        ("engine", plan.engine),
        ("bytes", _BYTES[plan.bytes_from]),
        ("strategy", plan.way),
        ("downtime", _DOWNTIME.get(plan.strategy, "")),
        ("processes", process_lines(plan.processes) if plan.strategy != "verify" else ""),
        ("at most", longest_time_text(plan.most_ms)),
        ("expected", f"{plan.expected_ms / 1000:.1f} s" if plan.expected_ms is not None else ""),
        ("watch", watch_time.words(plan.watch, replaces=plan.strategy != "first")),
        ("rehearsed", plan.rehearsed),
        ("settings", first_lines(map(change_text, plan.changes.settings))),
        (
            "secrets",
            first_lines(f"{name}: {_secret_text(result)}" for name, result in plan.changes.secrets.items()),
        ),
        ("variables", first_lines(_variable_sources(plan.origins))),
        ("undone", first_lines(plan.changes.undone.lines, plan.changes.undone.count)),
        ("added", first_lines(plan.changes.added.lines, plan.changes.added.count)),
        ("packages", first_lines(map(change_text, plan.changes.packages))),
        ("bases", first_lines(map(change_text, plan.changes.bases))),
        ("migrations", _crossed_migrations_text(plan.crossing)),
        *_migration_command_rows(plan),
        ("then", inert_lines(plan.then)),
        ("note", inert_lines(plan.notes)),
    ]
    return [(label, text) for label, text in rows if text]


def _variable_sources(origins: Mapping[str, str]) -> Iterator[str]:
    """Return the sources of variables, each with the variables' names."""
    for place in dict.fromkeys(origins.values()):
        yield f"{', '.join(name for name, found in origins.items() if found == place)}: {place}"


def _migration_command_rows(plan: Plan) -> Iterator[Row]:
    """Return the commands that migrate data, each with its time in the deployment."""
    if plan.down is not None:
        yield "first", _migration_command_text(plan.down, "the settings that it was deployed with")
    if plan.up is not None:
        moment = "last" if plan.up.runs_after else "first"
        yield moment, _migration_command_text(plan.up, "the settings of this deployment")


def _migration_command_text(command: MigrationCommand, settings: str) -> str:
    where = f"in a container of {command.version}, {command.image},"
    how = f"with {settings}, for {duration_text(command.timeout)} at most"
    return inert_lines([f"`{' '.join(command.command)}`", where, how])


def _crossed_migrations_text(found: Crossing | None) -> str:
    if found is None:
        return ""
    return first_lines(
        [
            *filter(None, [found.unknown]),
            *(f"- {path}" for path in found.undone),
            *(f"+ {path}" for path in found.added),
        ]
    )


def candidate_rows(offered: Sequence[Candidate]) -> list[Row]:
    """Return the releases that a rollback can choose, numbered from 1."""
    return [(str(number), _candidate_text(each)) for number, each in enumerate(offered, start=1)]


def _candidate_text(each: Candidate) -> str:
    marks = [*(["runs now"] if each.is_current else []), *([str(each.word)] if each.word else [])]
    body, event = each.release.body, each.event
    message = message_suffix(event.deployment.message)
    when = f"healthy {age_text(event.recorded_at)} by {inert_line(event.actor.name)}{message}"
    version = version_text(body.version, recovered=body.is_recovered)
    return inert_lines([f"{version}  {Digest(body.image.digest).short}  {when}", *marks])


def _previous_release_text(side: Side) -> str:
    """Return the release from before as text; also its status if it is not known as healthy."""
    if side.status == "unknown":
        started = f"started {age_text(side.moment)} by a deployment that this clone does not know"
        return f"{_release_text(side)}\n{started}"
    if side.status == "healthy":
        return _release_result_text(side, "deployed")
    how = {"started": "interrupted", "mixed": "left a mixed state"}.get(side.status, side.status)
    return f"{_release_result_text(side, 'tried')} ({how})"


def _release_result_text(side: Side, done: str) -> str:
    who = f"{inert_line(side.who)}{message_suffix(side.message)}"
    return f"{_release_text(side)}\n{done} {age_text(side.moment)} by {who}"


def _release_text(side: Side) -> str:
    version = version_text(side.version, recovered=side.recovered)
    return f"{version}  {Digest(side.digest).short}  commit {side.commit[:12]}"


def _secret_text(comparison: str) -> str:
    return {"rotated": "rotated since", "not comparable": "unknown: other fingerprint key"}.get(
        comparison, comparison
    )


def outcome_line(outcome: Outcome) -> str:
    """Return the result of a deployment in one line."""
    plan = outcome.plan
    done = "healthy" if outcome.changed else "healthy already"
    image = f"{outcome.repository}@{plan.after.digest}"
    return f"{plan.place.service} {plan.after.version} {plan.place.environment} {done} {image}"


def deployed_event(outcome: Outcome) -> Deployed:
    """Return the result of a deployment as an event."""
    plan = outcome.plan
    return Deployed(
        service=plan.place.service,
        environment=plan.place.environment,
        version=plan.after.version,
        digest=str(plan.after.digest),
        reference=f"{outcome.repository}@{plan.after.digest}",
        deployment=outcome.deployment,
        changed=outcome.changed,
    )
