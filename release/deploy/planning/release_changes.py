"""Differences between what runs and what will run: settings, secrets, commits, packages and base images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from release.deploy.core import fingerprints
from release.deploy.environment.environment import EnvironmentRef
from release.deploy.planning.plan import NO_COMMITS, Changes, Commits
from release.errors import SourceError
from release.git.history import read_messages
from release.ledger.release_diff import (
    Change,
    base_digests,
    changed_values,
    flatten_settings,
    missing_commits,
)
from release.records import Record, Release
from release.runspec import RunSpec

_COMMITS: Final = 50
"""Most commits in a plan."""


def release_changes(old: Record[Release] | None, new: Record[Release]) -> Changes:
    """Return the packages and base images that differ between two releases."""
    return Changes(packages=_packages(old, new), bases=_bases(old, new))


def commit_changes(env_ref: EnvironmentRef, old: Record[Release] | None, new: Record[Release]) -> Changes:
    """Return the commits that the change removes and adds."""
    if old is None:
        return Changes()
    return Changes(undone=_commits(env_ref, old, new), added=_commits(env_ref, new, old))


def settings_changes(old: RunSpec, new: RunSpec) -> tuple[Change, ...]:
    """Return differing settings by key, each variable and label apart, without secrets."""
    return changed_values(
        flatten_settings(old, without=["secrets"]), flatten_settings(new, without=["secrets"])
    )


def secret_changes(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return the comparison of each secret's fingerprints, by name, without equal ones."""
    compared = {name: _compared(old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())}
    return {name: result for name, result in compared.items() if result != "same"}


def _compared(old: str | None, new: str | None) -> str:
    if old is None or new is None:
        return "added" if old is None else "removed"
    return fingerprints.compare(old, new)


def _packages(old: Record[Release] | None, new: Record[Release]) -> tuple[Change, ...]:
    """Return package differences; empty if a lockfile is unknown, as for a recovered release."""
    locks = [release.body.lock for release in (old, new) if release is not None]
    packages = [lock.packages for lock in locks if lock is not None]
    return changed_values(*packages) if len(packages) == 2 else ()


def _bases(old: Record[Release] | None, new: Record[Release]) -> tuple[Change, ...]:
    """Return base image differences; empty for a recovered release, whose base images are unknown."""
    if old is None or old.body.recovered is not None or new.body.recovered is not None:
        return ()
    return changed_values(base_digests(old.body.bases), base_digests(new.body.bases))


def _commits(env_ref: EnvironmentRef, newer: Record[Release], older: Record[Release]) -> Commits:
    """Return the commits in one release and not in the other, or which of the two this clone lacks."""
    commit, since = newer.body.source.commit, older.body.source.commit
    if commit == since:
        return NO_COMMITS
    source, paths = env_ref.workspace.source, env_ref.workspace.service.paths
    try:
        messages = tuple(read_messages(source, commit, since=since, paths=paths))
    except SourceError:
        return Commits(
            lines=(f"not listed: this clone lacks {missing_commits(source, commit, since)}",), count=None
        )
    return Commits(lines=tuple(message.subject for message in messages[:_COMMITS]), count=len(messages))
