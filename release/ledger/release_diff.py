"""Differences between two releases: commits, packages, base images, settings, size."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from release.git.history import is_shallow
from release.git.source import Source
from release.ledger.deployments import last_healthy
from release.ledger.store import Ledger
from release.ledger.target_question import Found
from release.records import NO_COMMIT, Base, Image, Record, Release
from release.runspec import RunSpec
from release.values import Struct, plain

_COMMITS: Final = 1000
"""Most commits that are listed, each way."""


class Change(Struct, frozen=True, kw_only=True):
    """Value that differs; None on the side that lacks it."""

    key: str
    old: Any
    new: Any


class End(Struct, frozen=True, kw_only=True):
    """One of the two releases. `released`: RFC 3339 in UTC; `size`: bytes of the compressed layers."""

    version: str
    recovered: bool
    """True: its record was recovered from its image."""
    digest: str
    commit: str
    released: str
    size: int


class Commits(Struct, frozen=True, kw_only=True):
    """Commits of the service's folder, newest first, as `<12 digits> <first line>`."""

    added: tuple[str, ...] = ()
    """In the second release and not in the first."""
    undone: tuple[str, ...] = ()
    """In the first release and not in the second."""
    note: str = ""
    """Reason why the lists are empty or may not be whole."""


class Difference(Struct, frozen=True, kw_only=True):
    """Difference from one release to another."""

    service: str
    environment: str | None
    before: End
    after: End
    commits: Commits
    packages: tuple[Change, ...]
    bases: tuple[Change, ...]
    settings: tuple[Change, ...]
    """Settings of the last healthy deployments in the environment; secrets as fingerprints."""
    size: int
    """Bytes more, or less, than before."""
    shared_layers: int
    shared_bytes: int
    notes: tuple[str, ...]
    """Parts that could not be compared, and why."""
    installed: tuple[Change, ...] = ()
    """Packages in the images, with those of the distribution, if both releases list their packages."""

    def to_json(self) -> dict[str, Any]:
        """Return the difference as JSON data."""
        return plain(self)


def compare(
    ledger: Ledger,
    source: Source,
    service: str,
    before: Found,
    after: Found,
    *,
    environment: str | None,
    paths: Sequence[str],
) -> Difference:
    """Return the difference between two releases. Raise LedgerError if a record cannot be read.

    Args:
        ledger: ledger with the deployments of both releases.
        source: repository with their commits, if the clone has them.
        service: service that both belong to.
        before, after: the two releases; a deployment that was asked for gives its settings.
        environment: environment whose settings are compared; None compares no settings.
        paths: paths of the service; only commits that touch one of them are listed.
    """
    old, new = before.release.body, after.release.body
    specs = [_spec(ledger, service, found, environment) for found in (before, after)]
    shared = _shared(old.image, new.image)
    return Difference(
        service=service,
        environment=environment,
        before=_end(before.release),
        after=_end(after.release),
        commits=commits_between(source, old.source.commit, new.source.commit, paths=paths),
        packages=changed_values(_packages(old), _packages(new)) if old.lock and new.lock else (),
        bases=changed_values(base_digests(old.bases), base_digests(new.bases))
        if not (old.recovered or new.recovered)
        else (),
        settings=_settings(*specs),
        size=_size(new.image) - _size(old.image),
        shared_layers=len(shared),
        shared_bytes=sum(shared),
        notes=tuple(_notes((before, after), specs, environment)),
    )


def _end(release: Record[Release]) -> End:
    body = release.body
    return End(
        version=body.version,
        recovered=body.is_recovered,
        digest=body.image.digest,
        commit=body.source.commit,
        released=release.envelope.recorded_at,
        size=_size(body.image),
    )


def _size(image: Image) -> int:
    return sum(layer.size for layer in image.layers)


def _shared(old: Image, new: Image) -> list[int]:
    """Return the sizes of the layers that both images have."""
    known, mine = ({layer.digest: layer.size for layer in image.layers} for image in (old, new))
    return [size for digest, size in mine.items() if digest in known]


def _packages(release: Release) -> Mapping[str, str]:
    return release.lock.packages if release.lock is not None else {}


def base_digests(of: Iterable[Base]) -> dict[str, str]:
    """Return the digests of base images, by reference."""
    return {base.reference: base.digest for base in of}


def _spec(ledger: Ledger, service: str, found: Found, environment: str | None) -> RunSpec | None:
    if environment is None:
        return None
    event = found.event or last_healthy(ledger, service, environment, found.release.id)
    return event.deployment.run_spec if event is not None else None


def _settings(old: RunSpec | None, new: RunSpec | None) -> tuple[Change, ...]:
    return (
        changed_values(flatten_settings(old), flatten_settings(new))
        if old is not None and new is not None
        else ()
    )


def _notes(found: Iterable[Found], specs: Iterable[RunSpec | None], environment: str | None) -> Iterable[str]:
    if environment is None:
        yield "settings are not compared: name an environment with --environment"
    for one, spec in zip(found, specs, strict=True):
        version = one.release.body.version
        if one.release.body.lock is None:
            yield f"packages are not compared: the record of {version} has no lockfile"
        if one.release.body.recovered is not None:
            yield (f"base images are not compared: the base images of {version} are not known")
        if spec is None and environment is not None:
            yield f"settings are not compared: {version} was never verified healthy in {environment}"


def flatten_settings(spec: RunSpec, *, without: Iterable[str] = ()) -> dict[str, Any]:
    """Return settings by key. Each variable, label, file (hash) and secret (fingerprint) has an entry.

    A process has only the settings that differ from those of the environment.
    """
    base = _flat(spec, without)
    flat = dict(base)
    for each in spec.processes or ():
        own = _flat(each.settings, without)
        about = {"after": list(each.after), "exclusive": each.exclusive or None}
        differing = {key: own.get(key) for key in own.keys() | base.keys() if own.get(key) != base.get(key)}
        named = {**about, **differing}.items()
        found = {f"processes.{each.name}.{key}": value for key, value in named if value not in (None, [])}
        flat |= found or {f"processes.{each.name}": "as the environment"}
    return flat


def _flat(spec: RunSpec, without: Iterable[str]) -> dict[str, Any]:
    differing: dict[str, Any] = {f"files.{path}": str(file) for path, file in (spec.files or {}).items()}
    excluded = {"files", "processes", *without}
    for key, value in spec.model_dump(mode="json", exclude=excluded, exclude_none=True).items():
        if isinstance(value, dict) and "documents" in value:  # manifests, as text
            differing |= _fields(json.loads(value.pop("documents")))
        differing |= (
            {f"{key}.{name}": inner for name, inner in value.items()}
            if isinstance(value, dict)
            else {key: value}
        )
    return differing


def _fields(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return each field of the objects of manifests, as "Service web: spec.ports.0.port"."""
    found: dict[str, Any] = {}
    for each in documents:
        name = f"{each.get('kind')} {(each.get('metadata') or {}).get('name')}"
        rest = {key: value for key, value in each.items() if key not in ("apiVersion", "kind")}
        found |= {f"{name}: {path}": value for path, value in _leaves(rest, "")}
    return found


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield path and value of each field that has no fields below it."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    if not inner:
        yield path, value
    for key, below in inner:
        yield from _leaves(below, f"{path}.{key}" if path else str(key))


def changed_values(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return the values that differ, sorted by key."""
    return tuple(
        Change(key=name, old=old.get(name), new=new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


def commits_between(source: Source, old: str, new: str, *, paths: Sequence[str]) -> Commits:
    """Return the commits that only one release has; with a note if this clone lacks some of them."""
    if old == new:
        return Commits()
    ways = [_log(source, newer, older, paths) for newer, older in ((new, old), (old, new))]
    added, undone = ways
    if added is None or undone is None:
        return Commits(note=f"commits are not listed: this clone lacks {missing_commits(source, old, new)}")
    shallow = "the clone is shallow, so this list may lack commits; to get them: git fetch --unshallow"
    note = shallow if is_shallow(source) else ""
    return Commits(added=added, undone=undone, note=note)


def _log(source: Source, newer: str, older: str, paths: Sequence[str]) -> tuple[str, ...] | None:
    place = [] if "." in paths or "" in paths else list(paths)
    answer = source.git.run(
        *("log", "-z", "--no-show-signature", "--encoding=UTF-8", "--abbrev=12", "--format=%h %s"),
        *(f"--max-count={_COMMITS}", newer, f"^{older}", "--", *place),
    )
    return tuple(filter(None, answer.text.split("\0"))) if answer.status == 0 else None


def missing_commits(source: Source, *commits: str) -> str:
    """Return the full ids of the commits that this clone lacks, as text; an adopted image has none."""
    if NO_COMMIT in commits:
        return "the commit of an adopted image, which is not known"
    gone = [commit for commit in commits if source.git.object(commit) is None]
    return " and ".join(gone) or " or ".join(commits)
