"""Errors for targets that name no release, or several."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Sequence
from typing import Final

from release.errors import TargetUnavailable
from release.ledger import layout, time_parsing
from release.ledger.deployments import Event, first_healthy
from release.ledger.quarantines import active_quarantine
from release.ledger.releases import (
    releases,
    versions,
)
from release.ledger.store import Ledger
from release.ledger.target_question import Question, not_quarantined, releases_that_ran
from release.records import Record, Release
from release.text.local_time import local_time

DEPLOYMENT_DIGITS: Final = 6


_LIKE_DIGITS: Final = 4
"""So many digits in common make a commit, digest or deployment worth suggesting."""


_SHOWN: Final = 5


HEX = re.compile(r"[0-9a-f]+")


def several_releases_error(question: Question, found: Sequence[Record[Release]]) -> TargetUnavailable:
    """Return the error for a target that several releases match."""
    listed = "".join(f"\n  {_line(record)}" for record in found)
    return TargetUnavailable(
        question.attempted,
        f"{len(found)} releases match:{listed}",
        f"give a version: --to {found[-1].body.version}",
    )


def several_deployments_error(question: Question, found: Sequence[Event]) -> TargetUnavailable:
    """Return the error for digits that several deployments match."""
    listed = "".join(
        f"\n  {event.deployment.deployment}  {event.deployment.environment}  {event.deployment.status}  "
        f"{local_time(event.recorded_at)}"
        for event in found
    )
    return TargetUnavailable(
        question.attempted,
        f"{len(found)} deployments match:{listed}",
        f"give all digits: --to {found[-1].deployment.deployment}",
    )


def _line(record: Record[Release]) -> str:
    body = record.body
    return (
        f"{body.version}  {body.image.digest[:19]}  commit {body.source.commit[:12]}  "
        f"{local_time(record.envelope.recorded_at)}"
    )


def no_release_error(question: Question) -> TargetUnavailable:
    """Return the error for a target that no release matches; it names the most similar release."""
    ledger, service = question.ledger, question.service
    known = versions(ledger, service)
    if not known:
        others = [name for name in ledger.names("index") if name != service]
        listed = f"; it has some of: {', '.join(others)}" if others else ""
        return TargetUnavailable(
            question.attempted,
            f"the ledger {ledger} has no release of {service}{listed}",
            f"check the service name {service}; `nox -s release` makes the first release"
            if others
            else _first(ledger),
        )
    newest = itertools.islice(releases(ledger, service), _SHOWN)
    listed = "".join(f"\n  {_line(record)}" for record in newest)
    near = _nearest(question, known)
    return TargetUnavailable(
        question.attempted,
        f"there is no such release; the last releases:{listed}",
        f"did you mean --to {near}?"
        if near
        else f"give a version of this list; {_history(question)} lists more",
    )


def _first(ledger: Ledger) -> str:
    """Return the next step for a ledger without releases: fetch the ledger, or make a release."""
    if ledger.head is None and ledger.remote is not None:
        return f"`invoke sync` fetches the ledger when the git remote {ledger.remote} answers"
    return "nox -s release"


def _nearest(question: Question, known: Sequence[str]) -> str | None:
    """Return the version most similar to the target; for digits, the id with the longest common beginning."""
    text = question.target.lower().removeprefix("sha256:")
    if HEX.fullmatch(text) and len(text) >= DEPLOYMENT_DIGITS:
        return _nearest_digits(question, text)
    wanted = question.target.rpartition("/")[2].removeprefix("v")
    return next(iter(difflib.get_close_matches(wanted, known, n=1)), None)


def _nearest_digits(question: Question, digits: str) -> str | None:
    folders = (layout.commit_folder, layout.digest_folder, layout.deployment_folder)
    names = (name for folder in folders for name in question.ledger.names(folder(question.service, digits)))
    common = ((_in_common(name, digits), name.partition("-")[0][:12]) for name in names)
    length, name = max(common, default=(0, ""))
    return name if length >= _LIKE_DIGITS else None


def _in_common(one: str, other: str) -> int:
    """Return the number of equal characters at the beginnings of two texts."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def too_many_steps_error(question: Question) -> TargetUnavailable:
    """Return the error for a target that goes back further than releases ran."""
    ran = list(releases_that_ran(question, question.place))
    standing = [found.release for found in not_quarantined(question, ran)]
    listed = "".join(
        f"\n  {_line(release)}{'' if release in standing else '  quarantined'}" for release in ran
    )
    aside = next((release for release in ran[1:] if release not in standing), None)
    lift = f"{_lifting(question, aside)}, or " if aside is not None else ""
    return TargetUnavailable(
        question.attempted,
        f"only {len(ran)} verified healthy there:{listed}"
        if ran
        else "no release was verified healthy there",
        f"{lift}give a release: --to VERSION; {_history(question)} lists them",
    )


def _lifting(question: Question, release: Record[Release]) -> str:
    """Return the command that lifts the quarantine of a release, in this environment or in all."""
    word = active_quarantine(question.ledger, question.service, release.id, question.environment)
    place = word.quarantine.environment if word is not None else None
    version = release.body.version
    return f"`{question.command(lift_options(version, place))}` ends the quarantine of {version}"


def lift_options(version: str, environment: str | None) -> str:
    """Return the options that lift a quarantine for an environment, or for all environments."""
    where = f" --environment {environment}" if environment is not None else ""
    return f"quarantine {version} --lift{where} --message WHY"


def _history(question: Question) -> str:
    return f"`{question.command('history')}`"


def too_early_error(question: Question, moment: time_parsing.ParsedTime) -> TargetUnavailable:
    """Return the error for a time before the first healthy release."""
    first = first_healthy(question.ledger, question.service, question.place)
    if first is None:
        return TargetUnavailable(
            question.attempted,
            f"{moment.explanation}; no release was ever verified healthy there",
            f"give a release: --to VERSION; {_history(question)} lists them",
        )
    version = question.release(first.deployment.release).body.version
    return TargetUnavailable(
        question.attempted,
        f"{moment.explanation}; the first release that was verified healthy there is {version}, since "
        f"{local_time(first.recorded_at)}",
        f"--to {version}",
    )
