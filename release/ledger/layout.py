"""Paths in the ledger's tree, as docs/reference/ledger.md defines them. The functions read nothing.

Each path is written once and never changed. If two writers want the same path, one of them fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from release.records import (
    SCHEMA,
    Body,
    Deployment,
    Freeze,
    Operation,
    Quarantine,
    Record,
    Release,
    Verification,
)

FORMAT_PATH: Final = "format"
"""The file that makes a branch a ledger."""

_FORMAT_WORD: Final = "release-ledger"
FORMAT: Final = f"{_FORMAT_WORD} {SCHEMA}\n".encode()
"""Its content: a word and the version of the format that the ledger began with."""


def format_version(content: bytes) -> str | None:
    """Return the version in a `format` file; None if the content has another form."""
    word, _, version = content.decode("utf-8", "replace").strip().partition(" ")
    return version if word == _FORMAT_WORD and version else None


def record_path(record: str) -> str:
    """Return the path of the record with this id."""
    return f"records/{record[:2]}/{record}.json"


def version_folder(service: str) -> str:
    """Return the folder that has a folder for each major version."""
    return f"index/{service}/version"


def version_entry_path(service: str, version: str) -> str:
    """Return the path of a version's index entry."""
    return f"{version_folder(service)}/{version.partition('.')[0]}/{version}"


def digest_folder(service: str, digits: str) -> str:
    """Return the folder of digests that begin with these hexadecimal digits (at least two)."""
    return f"index/{service}/digest/{digits[:2]}"


def digest_entry_path(service: str, digits: str) -> str:
    """Return the path of a digest's index entry. `digits`: all 64 hexadecimal digits."""
    return f"{digest_folder(service, digits)}/{digits}"


def commit_folder(service: str, commit: str) -> str:
    """Return the folder of commits that begin with these hexadecimal digits (at least two)."""
    return f"index/{service}/commit/{commit[:2]}"


def commit_entry_path(service: str, commit: str) -> str:
    """Return the path of the index entry of a commit's first release. Later releases append `-<seq>`."""
    return f"{commit_folder(service, commit)}/{commit}"


def seq_folder(service: str) -> str:
    """Return the folder with all records of a service in order, in two levels of a thousand names."""
    return f"index/{service}/seq"


def seq_entry_path(service: str, seq: int, kind: str) -> str:
    """Return the path of the index entry of a service's record number `seq`."""
    digits = f"{seq:09d}"
    return f"{seq_folder(service)}/{digits[:3]}/{digits[3:6]}/{digits}-{kind}"


def environments_folder(service: str) -> str:
    """Return the folder that has a folder for each environment with deployments."""
    return f"index/{service}/environment"


def environment_folder(service: str, environment: str) -> str:
    """Return the folder with the events of an environment, by year, month and day."""
    return f"{environments_folder(service)}/{environment}"


def event_entry_path(service: str, environment: str, moment: str, record: str) -> str:
    """Return the path of a deployment event's index entry. `moment`: RFC 3339, UTC, milliseconds."""
    return _by_time(environment_folder(service, environment), moment, record)


def _by_time(folder: str, moment: str, record: str) -> str:
    day, _, time = moment.rstrip("Z").partition("T")
    return f"{folder}/{day.replace('-', '/')}/{time.replace(':', '').replace('.', '')}-{record}"


def event_time(year: str, month: str, day: str, name: str) -> str:
    """Return the time in an event's path (RFC 3339, UTC, milliseconds)."""
    time = name.partition("-")[0]
    return f"{year}-{month}-{day}T{time[:2]}:{time[2:4]}:{time[4:6]}.{time[6:]}Z"


def deployment_folder(service: str, deployment: str) -> str:
    """Return the folder of deployments whose ids begin with these digits (at least two)."""
    return f"index/{service}/deployment/{deployment[:2]}"


def healthy_folder(service: str, environment: str, release: str) -> str:
    """Return the folder with the healthy deployments of a release. `release`: its record id."""
    return f"index/{service}/healthy/{environment}/{release[:2]}"


def quarantine_folder(service: str, release: str) -> str:
    """Return the folder with the quarantines of a release, in order. `release`: its record id."""
    return f"index/{service}/quarantine/{release[:2]}"


def verifications_folder(service: str, what: str, environment: str) -> str:
    """Return the folder with the verifications of one sort in an environment, by year, month and day."""
    return f"index/{service}/verification/{what}/{environment}"


def verified_folder(service: str, release: str) -> str:
    """Return the folder with the drills and rebuilds of a release, in order. `release`: its record id."""
    return f"index/{service}/verified/{release[:2]}"


def _verification_paths(service: str, record: Record[Body], body: Verification) -> Iterator[str]:
    """Yield a verification's index paths: by environment and time, and by release if it has one."""
    if body.environment is not None:
        folder = verifications_folder(service, body.what, body.environment)
        yield _by_time(folder, record.envelope.recorded_at, record.id)
    if body.what != "readiness":
        for release in dict.fromkeys(each.release for each in body.releases):
            yield f"{verified_folder(service, release)}/{release}-{record.envelope.seq:09d}"


def operation_folder(service: str, environment: str) -> str:
    """Return the folder with the operations in an environment, by year, month and day."""
    return f"index/{service}/operation/{environment}"


def freeze_folder(service: str, environment: str) -> str:
    """Return the folder with the freezes and thaws of an environment, in order."""
    return f"index/{service}/freeze/{environment}"


def index_paths(record: Record[Body], taken: Callable[[str], bool]) -> Iterator[str]:
    """Yield the paths of all index entries of a record.

    Args:
        record: record with its number in the ledger.
        taken: returns whether a path exists; used for commits, which may have several releases.
    """
    service, seq = record.envelope.service, record.envelope.seq
    yield seq_entry_path(service, seq, record.envelope.kind)
    body = record.body
    if isinstance(body, Release):
        yield version_entry_path(service, body.version)
        yield digest_entry_path(service, body.image.digest.removeprefix("sha256:"))
        commit = commit_entry_path(service, body.source.commit)
        yield f"{commit}-{seq:09d}" if taken(commit) else commit
    elif isinstance(body, Deployment):
        yield event_entry_path(service, body.environment, record.envelope.recorded_at, record.id)
        yield f"{deployment_folder(service, body.deployment)}/{body.deployment}-{seq:09d}"
        if body.status == "healthy":
            folder = healthy_folder(service, body.environment, body.release)
            yield f"{folder}/{body.release}-{seq:09d}"
    elif isinstance(body, Quarantine):
        yield f"{quarantine_folder(service, body.release)}/{body.release}-{seq:09d}"
    elif isinstance(body, Verification):
        yield from _verification_paths(service, record, body)
    elif isinstance(body, Operation):
        folder = operation_folder(service, body.environment)
        yield _by_time(folder, record.envelope.recorded_at, record.id)
    elif isinstance(body, Freeze):
        yield f"{freeze_folder(service, body.environment)}/{seq:09d}"


def implies(record: Record[Body], path: str) -> bool:
    """Return whether a record implies an index entry at this path."""
    return any(path in index_paths(record, lambda _, taken=taken: taken) for taken in (False, True))  # type: ignore[misc]


_FAMILIES: Final = frozenset(
    {
        *("seq", "version", "digest", "commit", "environment", "deployment", "healthy"),
        *("quarantine", "freeze", "verification", "verified", "operation"),
    }
)
"""Indexes that this version reads."""


def may_imply(service: str, seq: int, kind: str, path: str) -> bool:
    """Return whether a record of a later version may have an index entry at this path.

    Such a record has an entry in `seq`, and entries in indexes that this version does not read.
    """
    parts = path.split("/")
    return path == seq_entry_path(service, seq, kind) or (
        parts[:2] == ["index", service] and len(parts) > 3 and parts[2] not in _FAMILIES
    )
