"""Questions to the ledger: which release, what ran, what ran before.

Each question reads a few short folders of the tree; none reads all records. What targets mean is written in
docs/reference/targets.md.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from semver import Version

from release.errors import LedgerError, TargetUnavailable, UsageError
from release.ledger import layout
from release.ledger.placing import entry
from release.ledger.store import Ledger
from release.records import Actor, Body, Deployment, Draft, Record, Release, Run

_PREFIX_DIGITS: Final = 7
_DEPLOYMENT_DIGITS: Final = 6
_SHOWN: Final = 5

_HEX = re.compile(r"[0-9a-f]+")
_VERSION_PREFIX = re.compile(r"v?(\d+(?:\.\d+)?)")
_STEPS_BACK = re.compile(r"-(\d{1,4})")


@dataclass(frozen=True, kw_only=True)
class Event:
    """A deployment event: in the ledger, or kept here until the remote answers."""

    deployment: Deployment
    recorded_at: str
    actor: Actor
    run: Run
    record: str | None
    """Its record's id; None while it is unsynced."""


# releases


def release_of_version(ledger: Ledger, service: str, version: str) -> Record[Release] | None:
    """The release of exactly this version."""
    found = entry(ledger, layout.version_path(service, version))
    return _release(ledger, found) if found is not None else None


def release_of_commit(ledger: Ledger, service: str, commit: str) -> Record[Release] | None:
    """The newest release of this full commit id."""
    found = _entries(ledger, layout.commit_folder(service, commit), commit)
    return max((_release(ledger, record) for record in found), key=_seq, default=None)


def releases(ledger: Ledger, service: str) -> Iterator[Record[Release]]:
    """All releases, newest first."""
    for record in history(ledger, service, kind=Release.kind):
        yield _as_release(record)


def versions(ledger: Ledger, service: str) -> tuple[str, ...]:
    """All released versions, in any order, without reading a record."""
    folder = layout.version_folder(service)
    return tuple(version for major in ledger.names(folder) for version in ledger.names(f"{folder}/{major}"))


def _release(ledger: Ledger, record: str) -> Record[Release]:
    return _as_release(ledger.record(record))


def _as_release(record: Record[Body]) -> Record[Release]:
    if not isinstance(record.body, Release):
        raise _wrong_kind(record, Release.kind)
    return Record(envelope=record.envelope, body=record.body)


def _wrong_kind(record: Record[Body], kind: str) -> LedgerError:
    found = f"the index calls it a {kind}, and it is a {record.envelope.kind}"
    return LedgerError(f"read the record {record.id}", found, "invoke verify --ledger")


def _seq(record: Record[Release]) -> int:
    return record.envelope.seq


def _entries(ledger: Ledger, folder: str, prefix: str) -> tuple[str, ...]:
    """The records in a folder whose names begin like this."""
    names = (name for name in ledger.names(folder) if name.startswith(prefix))
    found = (entry(ledger, f"{folder}/{name}") for name in names)
    return tuple(record for record in found if record is not None)


# targets


def resolve(ledger: Ledger, service: str, target: str, *, environment: str | None) -> Record[Release]:
    """What `--to` means: see docs/reference/targets.md.

    Raises:
        TargetUnavailable: the target is nothing (naming the nearest) or several things (listing them).
        UsageError: the target needs an environment, and none is given.
    """
    wanted = target.strip()
    steps = _steps(wanted)
    if steps is not None:
        return _back(ledger, service, wanted, steps, environment)
    for find in _READINGS:
        found = {record.id: record for record in find(ledger, service, wanted)}
        if found:
            return _only(wanted, sorted(found.values(), key=_seq))
    raise _nothing(ledger, service, wanted)


def _steps(target: str) -> int | None:
    match = _STEPS_BACK.fullmatch(target)
    return 1 if target == "previous" else int(match[1]) if match is not None else None


def _by_version(ledger: Ledger, service: str, target: str) -> Iterator[Record[Release]]:
    text = target.removeprefix("v")
    found = release_of_version(ledger, service, text) if Version.is_valid(text) else None
    if found is not None:
        yield found


def _by_version_prefix(ledger: Ledger, service: str, target: str) -> Iterator[Record[Release]]:
    """The highest version of a line; a pre-release only where the line has nothing else."""
    match = _VERSION_PREFIX.fullmatch(target)
    if match is None:
        return
    folder = f"{layout.version_folder(service)}/{match[1].partition('.')[0]}"
    names = [name for name in ledger.names(folder) if name.startswith(f"{match[1]}.")]
    line = [Version.parse(name) for name in names]
    final = [version for version in line if version.prerelease is None]
    if line:
        yield from _by_version(ledger, service, str(max(final or line)))


def _by_tag(ledger: Ledger, service: str, target: str) -> Iterator[Record[Release]]:
    yield from (
        record
        for record in _by_version(ledger, service, target.rpartition("/")[2])
        if record.body.source.tag == target
    )


def _by_digest(ledger: Ledger, service: str, target: str) -> Iterator[Record[Release]]:
    digits = target.lower().removeprefix("sha256:")
    marked = target.lower().startswith("sha256:")
    if _HEX.fullmatch(digits) and len(digits) >= (2 if marked else _PREFIX_DIGITS):
        for record in _entries(ledger, layout.digest_folder(service, digits), digits):
            yield _release(ledger, record)


def _by_commit(ledger: Ledger, service: str, target: str) -> Iterator[Record[Release]]:
    digits = target.lower()
    if _HEX.fullmatch(digits) and len(digits) >= _PREFIX_DIGITS:
        for record in _entries(ledger, layout.commit_folder(service, digits), digits):
            yield _release(ledger, record)


def _by_deployment(ledger: Ledger, service: str, target: str) -> Iterator[Record[Release]]:
    digits = target.lower()
    if not _HEX.fullmatch(digits) or len(digits) < _DEPLOYMENT_DIGITS:
        return
    for record in _entries(ledger, layout.deployment_folder(service, digits), digits):
        body = ledger.record(record).body
        if isinstance(body, Deployment):
            yield _release(ledger, body.release)
    for draft in _waiting(ledger, service):
        if draft.body.deployment.startswith(digits):
            yield _release(ledger, draft.body.release)


def _by_digits(ledger: Ledger, service: str, target: str) -> Iterator[Record[Release]]:
    """Digits without a word that says what they are: everything that begins with them."""
    yield from _by_commit(ledger, service, target)
    yield from _by_digest(ledger, service, target)
    yield from _by_deployment(ledger, service, target)


_Reading = Callable[[Ledger, str, str], Iterator[Record[Release]]]
_READINGS: Final[Sequence[_Reading]] = (_by_version, _by_tag, _by_version_prefix, _by_digits)
"""In this order; the first reading that finds something decides."""


def _only(target: str, found: Sequence[Record[Release]]) -> Record[Release]:
    if len(found) == 1:
        return found[0]
    listed = "".join(f"\n  {_line(record)}" for record in found)
    raise TargetUnavailable(
        f"find the release {target!r}",
        f"{len(found)} releases are called so:{listed}",
        f"use a version, as --to {found[-1].body.version}",
    )


def _line(record: Record[Release]) -> str:
    body = record.body
    return (
        f"{body.version}  {body.image.digest[:19]}  commit {body.source.commit[:12]}  "
        f"{record.envelope.recorded_at}"
    )


def _nothing(ledger: Ledger, service: str, target: str) -> TargetUnavailable:
    attempted = f"find the release {target!r} of {service}"
    known = versions(ledger, service)
    if not known:
        return TargetUnavailable(attempted, f"the ledger {ledger} has no release of it", "nox -s release")
    close = difflib.get_close_matches(target.removeprefix("v"), known, n=1)
    newest = itertools.islice(releases(ledger, service), _SHOWN)
    listed = "".join(f"\n  {_line(record)}" for record in newest)
    return TargetUnavailable(
        attempted,
        f"nothing is called so; the last releases:{listed}",
        f"did you mean --to {close[0]}?"
        if close
        else "use a version of this list; `invoke history` has more",
    )


def _back(ledger: Ledger, service: str, target: str, steps: int, environment: str | None) -> Record[Release]:
    """`previous` and `-N`: releases that ran verified healthy, each counted once, the current one as 0."""
    if environment is None:
        raise UsageError(f"find the release {target!r}", "no environment is named", "add --environment NAME")
    ran = list(itertools.islice(_ran(ledger, service, environment), steps + 1))
    if len(ran) > steps:
        return _release(ledger, ran[steps])
    listed = "".join(f"\n  {_line(_release(ledger, release))}" for release in ran)
    raise TargetUnavailable(
        f"find the release {target!r} of {service} in {environment}",
        f"only {len(ran)} ran there verified healthy:{listed}"
        if ran
        else "nothing ran there verified healthy",
        "name a release: --to VERSION; `invoke history` lists them",
    )


def _ran(ledger: Ledger, service: str, environment: str) -> Iterator[str]:
    """Ids of releases that ran healthy, last one first, each once."""
    seen: set[str] = set()
    for event in _healthy(ledger, service, environment):
        if event.deployment.release not in seen:
            seen.add(event.deployment.release)
            yield event.deployment.release


# deployments


def deployments(ledger: Ledger, service: str, environment: str) -> Iterator[Event]:
    """Deployment events of an environment, newest first; unsynced ones come first."""
    waiting = [draft for draft in _waiting(ledger, service) if draft.body.environment == environment]
    yield from (_unsynced(draft) for draft in reversed(waiting))
    folder = layout.environment_folder(service, environment)
    for path in _newest_first(ledger, folder, depth=3):
        yield _event(_record(ledger, path))


def _newest_first(ledger: Ledger, folder: str, *, depth: int) -> Iterator[str]:
    """Paths of the files below a folder, by falling name; `depth` levels of folders lie between."""
    for name in reversed(ledger.names(folder)):
        if depth == 0:
            yield f"{folder}/{name}"
        else:
            yield from _newest_first(ledger, f"{folder}/{name}", depth=depth - 1)


def _event(record: Record[Body]) -> Event:
    if not isinstance(record.body, Deployment):
        raise _wrong_kind(record, Deployment.kind)
    place = record.envelope
    return Event(
        deployment=record.body,
        recorded_at=place.recorded_at,
        actor=place.actor,
        run=place.run,
        record=record.id,
    )


def _unsynced(draft: Draft[Deployment]) -> Event:
    return Event(
        deployment=draft.body,
        recorded_at=draft.recorded_at,
        actor=draft.actor,
        run=draft.run,
        record=None,
    )


def _waiting(ledger: Ledger, service: str) -> Iterator[Draft[Deployment]]:
    """Deployment events of a service that are not in the ledger yet, oldest first."""
    for draft in ledger.unsynced():
        body = draft.body
        if draft.service == service and isinstance(body, Deployment):
            yield Draft(
                service=service,
                recorded_at=draft.recorded_at,
                actor=draft.actor,
                run=draft.run,
                tool=draft.tool,
                body=body,
            )


def _healthy(ledger: Ledger, service: str, environment: str) -> Iterator[Event]:
    events = deployments(ledger, service, environment)
    return (event for event in events if event.deployment.status == "healthy")


def current(ledger: Ledger, service: str, environment: str) -> Event | None:
    """The last deployment verified healthy: what should be running."""
    return next(_healthy(ledger, service, environment), None)


def last_healthy(ledger: Ledger, service: str, environment: str, release: str) -> Event | None:
    """The newest healthy deployment of this release record's id: a rollback restores its settings."""
    waiting = [
        draft
        for draft in _waiting(ledger, service)
        if (draft.body.environment, draft.body.release, draft.body.status)
        == (environment, release, "healthy")
    ]
    if waiting:
        return _unsynced(waiting[-1])
    folder = layout.healthy_folder(service, environment, release)
    names = [name for name in ledger.names(folder) if name.startswith(f"{release}-")]
    events = (_event(_record(ledger, f"{folder}/{name}")) for name in names)
    return max(events, key=lambda event: event.recorded_at, default=None)


def running_at(ledger: Ledger, service: str, environment: str, moment: str) -> Event | None:
    """What ran, verified healthy, at a moment (RFC 3339, UTC, milliseconds).

    Later years, months and days are passed over by their names.
    """
    folder = layout.environment_folder(service, environment)
    limit = layout.event_path(service, environment, moment, "~").removeprefix(f"{folder}/")
    paths = (f"{folder}/{path}" for path in _up_to(ledger, folder, "", limit, depth=3))
    known = [event for event in map(_unsynced, _waiting(ledger, service)) if event.recorded_at <= moment]
    mine = [event for event in known if event.deployment.environment == environment]
    waiting = [event for event in mine if event.deployment.status == "healthy"]
    there = (_event(_record(ledger, path)) for path in paths)
    found = next((event for event in there if event.deployment.status == "healthy"), None)
    return max([*waiting, *([found] if found else [])], key=lambda event: event.recorded_at, default=None)


def _up_to(ledger: Ledger, folder: str, below: str, limit: str, *, depth: int) -> Iterator[str]:
    """As `_newest_first`, without what comes after the limit."""
    for name in reversed(ledger.names(f"{folder}/{below}".rstrip("/"))):
        path = f"{below}/{name}".lstrip("/")
        if path > limit and not limit.startswith(f"{path}/"):
            continue
        if depth == 0:
            yield path
        else:
            yield from _up_to(ledger, folder, path, limit, depth=depth - 1)


# everything


def history(
    ledger: Ledger,
    service: str,
    *,
    kind: str | None = None,
    environment: str | None = None,
    since: str | None = None,
) -> Iterator[Record[Body]]:
    """All records of a service, last appended first; read as they are asked for.

    Args:
        ledger: where they are.
        service: whose they are.
        kind: only records of this kind: release, deployment, note; others are not even read.
        environment: only deployments of this environment, newest first.
        since: only records of this moment and later (RFC 3339, UTC, milliseconds).
    """
    if environment is not None:
        yield from _events_since(ledger, service, environment, since or "")
        return
    for path in _newest_first(ledger, layout.seq_folder(service), depth=2):
        if kind is None or path.endswith(f"-{kind}"):
            record = _record(ledger, path)
            if since is None or record.envelope.recorded_at >= since:
                yield record


def _events_since(ledger: Ledger, service: str, environment: str, since: str) -> Iterator[Record[Body]]:
    folder = layout.environment_folder(service, environment)
    records = (_record(ledger, path) for path in _newest_first(ledger, folder, depth=3))
    return itertools.takewhile(lambda record: record.envelope.recorded_at >= since, records)


def _record(ledger: Ledger, path: str) -> Record[Body]:
    """The record that an index entry names."""
    found = entry(ledger, path)
    assert found is not None  # noqa: S101 - the path comes from a listing
    return ledger.record(found)
