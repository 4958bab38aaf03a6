"""Targets of `--to`, as docs/reference/targets.md defines them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from semver import Version

from release.errors import TargetUnavailable
from release.ledger import layout, time_parsing
from release.ledger.deployments import Event, deployment_running_at, events_of
from release.ledger.releases import (
    as_release,
    records_in,
    release_of_version,
    releases,
    seq_of,
)
from release.ledger.store import Ledger
from release.ledger.target_errors import (
    DEPLOYMENT_DIGITS,
    HEX,
    no_release_error,
    several_deployments_error,
    several_releases_error,
    too_early_error,
    too_many_steps_error,
)
from release.ledger.target_question import Command, Found, Question, not_quarantined, releases_that_ran
from release.ledger.time_parsing import Clock
from release.text.local_time import local_time

NEWEST: Final = "newest"
"""The newest release that is not quarantined."""

_PREFIX_DIGITS: Final = 7


_VERSION_PREFIX = re.compile(r"v?(\d+(?:\.\d+)?)")


_STEPS_BACK = re.compile(r"-(\d{1,4})")


def find(
    ledger: Ledger,
    service: str,
    target: str,
    *,
    environment: str | None,
    clock: Clock | None = None,
    command: Command = "invoke {}".format,
) -> Found:
    """Return the release that `--to` names. See docs/reference/targets.md.

    Args:
        ledger: ledger to search.
        service: service of the release.
        target: text of the operator.
        environment: environment of the deployment.
        clock: present time and zone; None: this machine's.
        command: command name for messages.

    Raises:
        TargetUnavailable: the target names no release, or several; the error names candidates.
        UsageError: the target needs an environment, and none is given; or the time cannot be read.
    """
    wanted = target.strip()
    question = Question(
        ledger=ledger, service=service, target=wanted, environment=environment, command=command
    )
    steps = _steps(wanted)
    if steps is not None:
        return _back(question, steps)
    if wanted == NEWEST:
        return _newest(question)
    moment = time_parsing.parse_time(wanted, clock or Clock())
    if moment is not None:
        return _at(question, moment)
    for reading in _READINGS:
        found = tuple(reading(question))
        if found:
            return _only(question, found)
    raise no_release_error(question)


def is_steps_back(target: str) -> bool:
    """Return whether a text that begins like an option is a target, such as -2."""
    return _STEPS_BACK.fullmatch(target) is not None


def _steps(target: str) -> int | None:
    match = _STEPS_BACK.fullmatch(target)
    return 1 if target == "previous" else int(match[1]) if match is not None else None


def _by_version(question: Question) -> Iterator[Found]:
    text = question.target.removeprefix("v")
    if Version.is_valid(text):
        yield from _version(question, text)


def _version(question: Question, version: str) -> Iterator[Found]:
    release = release_of_version(question.ledger, question.service, version)
    if release is not None:
        yield Found(release=release)


def _by_tag(question: Question) -> Iterator[Found]:
    version = question.target.rpartition("/")[2].removeprefix("v")
    for found in _version(question, version) if Version.is_valid(version) else ():
        if found.release.body.source.tag == question.target:
            yield found


def _by_version_prefix(question: Question) -> Iterator[Found]:
    """Yield the highest version with this prefix that is not quarantined; pre-releases come last."""
    match = _VERSION_PREFIX.fullmatch(question.target)
    if match is None:
        return
    folder = f"{layout.version_folder(question.service)}/{match[1].partition('.')[0]}"
    names = [name for name in question.ledger.names(folder) if name.startswith(f"{match[1]}.")]
    line = [Version.parse(name) for name in names]
    final = [version for version in line if version.prerelease is None]
    ordered = sorted(final or line, reverse=True)
    line_down = (found.release for version in ordered for found in _version(question, str(version)))
    standing = next(not_quarantined(question, line_down), None)
    if standing is not None:
        yield standing
    elif ordered:
        # all are quarantined: the highest is what was meant, and deploying it is refused with the reason
        yield from _version(question, str(ordered[0]))


def _by_digits(question: Question) -> Iterator[Found]:
    """Yield the releases and deployments whose version, digest, commit or id begins with these digits."""
    marked = question.target.lower().startswith("sha256:")
    digits = question.target.lower().removeprefix("sha256:")
    if not HEX.fullmatch(digits):
        return
    if len(digits) >= (2 if marked else _PREFIX_DIGITS):
        yield from _named(question, layout.digest_folder(question.service, digits), digits)
    if len(digits) >= _PREFIX_DIGITS and not marked:
        yield from _named(question, layout.commit_folder(question.service, digits), digits)
    if len(digits) >= DEPLOYMENT_DIGITS and not marked:
        yield from _deployed(question, digits)


def _named(question: Question, folder: str, digits: str) -> Iterator[Found]:
    for record in records_in(question.ledger, folder, digits):
        yield Found(release=as_release(record))


def _deployed(question: Question, digits: str) -> Iterator[Found]:
    """Yield the release of each deployment, with its healthy event in the environment, if there is one."""
    attempts: dict[str, Event] = {}
    for event in events_of(question.ledger, question.service, digits):
        known = attempts.get(event.deployment.deployment)
        if known is None or known.deployment.status != "healthy":
            attempts[event.deployment.deployment] = event
    for event in attempts.values():
        yield Found(release=question.release(event.deployment.release), event=event)


_Reading = Callable[[Question], Iterator[Found]]


_READINGS: Final[Sequence[_Reading]] = (_by_version, _by_tag, _by_version_prefix, _by_digits)
"""In this order; the first reading that finds something decides."""


def _only(question: Question, found: Sequence[Found]) -> Found:
    """Return the only release found, with its deployment if unique. Raise TargetUnavailable."""
    by_id = {one.release.id: one.release for one in found}
    named = {one.event.deployment.deployment: one.event for one in found if one.event is not None}
    if len(by_id) > 1:
        raise several_releases_error(question, sorted(by_id.values(), key=seq_of))
    if len(named) > 1:
        raise several_deployments_error(question, tuple(named.values()))
    return found[0] if not named else Found(release=found[0].release, event=_mine(question, named.values()))


def _mine(question: Question, events: Iterable[Event]) -> Event | None:
    """Return the healthy event in the environment, whose settings can be restored; None if there is none."""
    (event,) = events
    here = event.deployment.environment == question.environment
    return event if here and event.deployment.status == "healthy" else None


def _back(question: Question, steps: int) -> Found:
    """Return the release for `previous` and `-N`. It counts releases that ran healthy, from current 0."""
    ran = releases_that_ran(question, question.place)
    now = next(ran, None)
    if now is not None and steps == 0:
        return Found(release=now)
    before = next(itertools.islice(not_quarantined(question, ran), steps - 1, None), None) if steps else None
    if before is not None:
        return before
    raise too_many_steps_error(question)


def _newest(question: Question) -> Found:
    """Return the newest release that is not quarantined. Raise TargetUnavailable if there is none."""
    found = next(not_quarantined(question, releases(question.ledger, question.service)), None)
    if found is None:
        raise TargetUnavailable(
            f"find the newest release of {question.service}",
            "it has none that is not quarantined",
            f"release it: nox -s release; `{question.command('history')}` lists what there is",
        )
    return found


def _at(question: Question, moment: time_parsing.ParsedTime) -> Found:
    """Return the release that ran verified healthy at a time. Raise TargetUnavailable if none did."""
    ledger, service, place = question.ledger, question.service, question.place
    event = deployment_running_at(ledger, service, place, moment.text)
    if event is not None:
        release = question.release(event.deployment.release)
        since = f"{release.body.version} ran in {place}, verified healthy at {local_time(event.recorded_at)}"
        return Found(release=release, event=event, notes=(moment.explanation, since))
    raise too_early_error(question, moment)
