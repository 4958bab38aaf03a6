"""What can stand after `--to`, and what it means: docs/reference/targets.md, as functions."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from semver import Version

from release.errors import TargetUnavailable, UsageError
from release.ledger import layout, moments
from release.ledger.deployments import Event, events_of, first_healthy, ran, running_at
from release.ledger.moments import Clock
from release.ledger.quarantines import quarantined
from release.ledger.releases import (
    as_release,
    records_in,
    release_of_version,
    release_record,
    releases,
    seq,
    versions,
)
from release.ledger.store import Ledger
from release.records import Record, Release
from release.values import Struct

_PREFIX_DIGITS: Final = 7
_DEPLOYMENT_DIGITS: Final = 6
_LIKE_DIGITS: Final = 4
"""So many digits in common make a commit, digest or deployment worth suggesting."""
_SHOWN: Final = 5

_HEX = re.compile(r"[0-9a-f]+")
_VERSION_PREFIX = re.compile(r"v?(\d+(?:\.\d+)?)")
_STEPS_BACK = re.compile(r"-(\d{1,4})")


Command = Callable[[str], str]
"""Makes the whole command of words such as "history": service and environment are named where needed."""


class Found(Struct, frozen=True, kw_only=True):
    """What a target means."""

    release: Record[Release]
    event: Event | None = None
    """The healthy deployment that was asked for, by a time or by its id, in the environment asked about."""
    notes: tuple[str, ...] = ()
    """How it was read, and what was passed over: sentences for the person who asked."""


class Question(Struct, frozen=True, kw_only=True):
    """Where a target is looked up."""

    ledger: Ledger
    service: str
    target: str
    environment: str | None
    command: Command

    @property
    def attempted(self) -> str:
        """For errors."""
        where = f" in {self.environment}" if self.environment is not None else ""
        return f"find the release {self.target!r} of {self.service}{where}"

    @property
    def place(self) -> str:
        """The environment. Raises UsageError: none is named, and this target needs one."""
        if self.environment is None:
            raise UsageError(self.attempted, "no environment is given", "add --environment NAME")
        return self.environment

    def release(self, record: str) -> Record[Release]:
        """A release by its record's id."""
        return release_record(self.ledger, record)


def find(
    ledger: Ledger,
    service: str,
    target: str,
    *,
    environment: str | None,
    clock: Clock | None = None,
    command: Command = "invoke {}".format,
) -> Found:
    """Return what `--to` means: see docs/reference/targets.md.

    Args:
        ledger: where it is looked up.
        service: whose release it is.
        target: the words of the operator.
        environment: where it is to run, or ran.
        clock: now and the local zone, for times; absent: this machine's.
        command: how messages write what to run next.

    Raises:
        TargetUnavailable: the target is nothing (naming the nearest) or several things (listing them).
        UsageError: the target needs an environment and none is given, or is a time that cannot be read.
    """
    wanted = target.strip()
    question = Question(
        ledger=ledger, service=service, target=wanted, environment=environment, command=command
    )
    steps = _steps(wanted)
    if steps is not None:
        return _back(question, steps)
    moment = moments.read(wanted, clock or Clock())
    if moment is not None:
        return _at(question, moment)
    for reading in _READINGS:
        found = tuple(reading(question))
        if found:
            return _only(question, found)
    raise _nothing(question)


def is_steps_back(target: str) -> bool:
    """Return whether a text that begins like an option is a target: -2."""
    return _STEPS_BACK.fullmatch(target) is not None


def _steps(target: str) -> int | None:
    match = _STEPS_BACK.fullmatch(target)
    return 1 if target == "previous" else int(match[1]) if match is not None else None


# names


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
    """The highest version of a line that is not quarantined; a pre-release where there is nothing else."""
    match = _VERSION_PREFIX.fullmatch(question.target)
    if match is None:
        return
    folder = f"{layout.version_folder(question.service)}/{match[1].partition('.')[0]}"
    names = [name for name in question.ledger.names(folder) if name.startswith(f"{match[1]}.")]
    line = [Version.parse(name) for name in names]
    final = [version for version in line if version.prerelease is None]
    ordered = sorted(final or line, reverse=True)
    line_down = (found.release for version in ordered for found in _version(question, str(version)))
    standing = next(_standing(question, line_down), None)
    if standing is not None:
        yield standing
    elif ordered:
        # all are quarantined: the highest is what was meant, and deploying it is refused with the reason
        yield from _version(question, str(ordered[0]))


def _standing(question: Question, candidates: Iterable[Record[Release]]) -> Iterator[Found]:
    """The candidates that are not quarantined, each with what was passed over on the way."""
    passed_over: tuple[str, ...] = ()
    for release in candidates:
        word = quarantined(question.ledger, question.service, release.id, question.environment)
        if word is None:
            yield Found(release=release, notes=passed_over)
        else:
            passed_over += (f"{release.body.version} is skipped: it {word}",)


def _by_digits(question: Question) -> Iterator[Found]:
    """Digits without a word that says what they are: everything that begins with them."""
    marked = question.target.lower().startswith("sha256:")
    digits = question.target.lower().removeprefix("sha256:")
    if not _HEX.fullmatch(digits):
        return
    if len(digits) >= (2 if marked else _PREFIX_DIGITS):
        yield from _named(question, layout.digest_folder(question.service, digits), digits)
    if len(digits) >= _PREFIX_DIGITS and not marked:
        yield from _named(question, layout.commit_folder(question.service, digits), digits)
    if len(digits) >= _DEPLOYMENT_DIGITS and not marked:
        yield from _deployed(question, digits)


def _named(question: Question, folder: str, digits: str) -> Iterator[Found]:
    for record in records_in(question.ledger, folder, digits):
        yield Found(release=as_release(record))


def _deployed(question: Question, digits: str) -> Iterator[Found]:
    """One for each deployment; with its healthy event, if it has one here."""
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
    """The one release that was found, and the deployment if it is the only thing that was."""
    by_id = {one.release.id: one.release for one in found}
    named = {one.event.deployment.deployment: one.event for one in found if one.event is not None}
    if len(by_id) > 1:
        raise _several(question, sorted(by_id.values(), key=seq))
    if len(named) > 1:
        raise _several_deployments(question, tuple(named.values()))
    return found[0] if not named else Found(release=found[0].release, event=_mine(question, named.values()))


def _mine(question: Question, events: Iterable[Event]) -> Event | None:
    """The deployment whose settings can be restored here: it was healthy, and here."""
    (event,) = events
    here = event.deployment.environment == question.environment
    return event if here and event.deployment.status == "healthy" else None


def _several(question: Question, found: Sequence[Record[Release]]) -> TargetUnavailable:
    listed = "".join(f"\n  {_line(record)}" for record in found)
    return TargetUnavailable(
        question.attempted,
        f"{len(found)} releases match:{listed}",
        f"give a version: --to {found[-1].body.version}",
    )


def _several_deployments(question: Question, found: Sequence[Event]) -> TargetUnavailable:
    listed = "".join(
        f"\n  {event.deployment.deployment}  {event.deployment.environment}  {event.deployment.status}  "
        f"{event.recorded_at}"
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
        f"{record.envelope.recorded_at}"
    )


def _nothing(question: Question) -> TargetUnavailable:
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
    """What brings releases where there is none at all: the ledger itself, where this clone has none yet."""
    if ledger.head is None and ledger.remote is not None:
        return f"`invoke sync` fetches the ledger when the git remote {ledger.remote} answers"
    return "nox -s release"


def _nearest(question: Question, known: Sequence[str]) -> str | None:
    """The version that looks most like it; for digits, the name that begins most like it."""
    text = question.target.lower().removeprefix("sha256:")
    if _HEX.fullmatch(text) and len(text) >= _DEPLOYMENT_DIGITS:
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
    """Return how many characters at their beginnings are the same."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


# what ran


def _back(question: Question, steps: int) -> Found:
    """`previous` and `-N`: releases that ran verified healthy, each counted once, the current one as 0."""
    ran = _ran(question, question.place)
    now = next(ran, None)
    if now is not None and steps == 0:
        return Found(release=now)
    before = next(itertools.islice(_standing(question, ran), steps - 1, None), None) if steps else None
    if before is not None:
        return before
    raise _not_so_many(question)


def _not_so_many(question: Question) -> TargetUnavailable:
    ran = list(_ran(question, question.place))
    standing = [found.release for found in _standing(question, ran)]
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
    """Return how a release is taken back where it was set aside: here, or everywhere."""
    word = quarantined(question.ledger, question.service, release.id, question.environment)
    place = word.quarantine.environment if word is not None else None
    version = release.body.version
    return f"`{question.command(lifting(version, place))}` ends the quarantine of {version}"


def lifting(version: str, environment: str | None) -> str:
    """The words that end a quarantine said for an environment, or for all of them."""
    where = f" --environment {environment}" if environment is not None else ""
    return f"quarantine {version} --lift{where} --message WHY"


def _history(question: Question) -> str:
    return f"`{question.command('history')}`"


def _ran(question: Question, environment: str) -> Iterator[Record[Release]]:
    """Releases that ran healthy, last one first, each once."""
    for event in ran(question.ledger, question.service, environment):
        yield question.release(event.deployment.release)


def _at(question: Question, moment: moments.Moment) -> Found:
    """Return what ran, verified healthy, at a moment."""
    ledger, service, place = question.ledger, question.service, question.place
    event = running_at(ledger, service, place, moment.text)
    if event is not None:
        release = question.release(event.deployment.release)
        since = f"{release.body.version} ran in {place}, verified healthy at {event.recorded_at}"
        return Found(release=release, event=event, notes=(moment.said, since))
    raise _too_early(question, moment)


def _too_early(question: Question, moment: moments.Moment) -> TargetUnavailable:
    first = first_healthy(question.ledger, question.service, question.place)
    if first is None:
        return TargetUnavailable(
            question.attempted,
            f"{moment.said}; no release was ever verified healthy there",
            f"give a release: --to VERSION; {_history(question)} lists them",
        )
    version = question.release(first.deployment.release).body.version
    return TargetUnavailable(
        question.attempted,
        f"{moment.said}; the first release that was verified healthy there is {version}, since "
        f"{first.recorded_at}",
        f"--to {version}",
    )
