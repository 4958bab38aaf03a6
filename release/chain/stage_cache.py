"""Cache of passed gates: a gate with the same inputs uses the stored result instead of running.

`.release/passed/<gate>-<key>.json` holds one pass. The key is the hash of everything that the gate's result
depends on; docs/explanation/commit-point.md lists it. A file is used only while it is young, and only when
this clone sealed it (`release.seal`). Any other file is ignored, and the gate runs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import release
from release.actor import TOOL
from release.errors import EngineError, ReleaseError
from release.events import Notice
from release.files import private
from release.files.hmac_key import BadSeal, ClonesKey
from release.records import Gate
from release.values import Struct

if TYPE_CHECKING:
    from release.chain.stage_context import StageContext

LASTS: Final = timedelta(hours=24)
"""Lifetime of a cached result: package indexes and base tags change, and no key contains them."""

_PURPOSE: Final = "passed"
"""Purpose of the seal."""

_LARGEST: Final = 256 * 1024**2
"""Most bytes of a cached result."""

KEPT: Final = 200
"""Number of cached results per clone."""


class Product(Protocol):
    """Result of a stage, with a summary."""

    @property
    def summary(self) -> str:
        """Return one short phrase."""
        ...

    @property
    def evidence(self) -> bytes:
        """Return the stage's evidence; the record holds its hash."""
        ...


class CachedResult(Struct, frozen=True, kw_only=True):
    """Stored result of a gate that passed."""

    gate: Gate
    """Gate as in the record; `run` names the run that passed the gate."""
    summary: str
    evidence: bytes
    data: Mapping[str, Any]
    """JSON data from which the stage restores its product."""


class ReusePolicy(Struct, frozen=True, kw_only=True):
    """Reuse of a stage's result: its inputs, its stored data, and its restoration."""

    inputs: Callable[[StageContext], Mapping[str, Any] | None]
    """Return JSON data that is hashed for the key; None: the stage has to run."""
    to_data: Callable[[StageContext, Any], Mapping[str, Any]]
    """Return the JSON data of a product."""
    portable_inputs: Callable[[StageContext], Mapping[str, Any] | None] | None = None
    """Return the inputs without facts of the machine; None: the result is valid on this machine only."""
    restore: Callable[[StageContext, CachedResult], Product | None]
    """Return the product; None, KeyError, TypeError or ValueError if it cannot be restored."""


def cache_key(gate: str, inputs: Mapping[str, Any]) -> str:
    """Return the key of a gate's result: 64 hexadecimal digits over its inputs and this library's code."""
    known = {"gate": gate, "tool": TOOL, "code": _hash_library_files(), "inputs": inputs}
    return hashlib.sha256(_canonical_json(known)).hexdigest()


@cache
def _hash_library_files() -> str:
    """Return the hash of this library's files: another version of a gate gives another key."""
    root = Path(release.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _canonical_json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


class StageCache:
    """Cached results of a clone."""

    def __init__(self, folder: Path, seal: ClonesKey) -> None:
        """Keep the folder, made with the first result, and the clone's seal."""
        self._folder, self._seal = folder, seal

    def find(self, gate: str, key: str) -> CachedResult | None:
        """Return the result with this key; None if missing, too old, or of another gate or key.

        Raises:
            BadSeal: this clone did not write the file, or its content was changed.
        """
        with suppress(OSError):
            content = self._seal.open(_read_regular_file(self._path(gate, key)), _PURPOSE)
            with suppress(ValueError, KeyError, TypeError):
                found = parse_result(content, key)
                if found.gate.name == gate and _is_recent(found.gate.started):
                    return found
        return None

    def store(self, key: str, passed: CachedResult) -> None:
        """Store a result, and remove surplus ones. Raises OSError: the result is not stored."""
        private.ensure_owned_subfolder(self._folder.parent, self._folder.name)
        unnamed = self._folder / f".{secrets.token_hex(8)}"
        try:
            with private.create_file(unnamed) as stream:
                stream.write(self._seal.seal(serialize_result(key, passed), _PURPOSE))
            unnamed.replace(self._path(passed.gate.name, key))
        finally:
            unnamed.unlink(missing_ok=True)
        self._remove_surplus()

    def _path(self, gate: str, key: str) -> Path:
        return self._folder / f"{gate}-{key}.json"

    def _remove_surplus(self) -> None:
        """Remove surplus results, and temporary files older than an hour."""
        oldest_first = sorted(self._folder.glob("*.json"), key=_modified_at)
        hour_ago = datetime.now(UTC).timestamp() - 3600
        unfinished = (file for file in self._folder.glob(".*") if _modified_at(file) < hour_ago)
        for file in (*oldest_first[:-KEPT], *unfinished):
            file.unlink(missing_ok=True)


def _read_regular_file(file: Path) -> bytes:
    """Return at most the first bytes of a file that a result may have. Raises OSError: a link, or missing."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(_LARGEST)


def _modified_at(file: Path) -> float:
    """Return the time of a file; 0 for a file that another process has just removed."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def serialize_result(key: str, passed: CachedResult) -> bytes:
    """Return a result as JSON."""
    return _canonical_json(
        {
            "key": key,
            "gate": passed.gate.model_dump(mode="json", exclude_none=True),
            "summary": passed.summary,
            "evidence": base64.b64encode(passed.evidence).decode(),
            "data": passed.data,
        }
    )


def parse_result(content: bytes, key: str) -> CachedResult:
    """Return a result from JSON. Raises ValueError, KeyError, TypeError: another key, or unknown shape."""
    data = json.loads(content)
    gate, evidence = Gate.model_validate(data["gate"]), base64.b64decode(data["evidence"], validate=True)
    if data["key"] != key or gate.evidence_sha256 != hashlib.sha256(evidence).hexdigest():
        raise ValueError("it belongs to another run")
    return CachedResult(gate=gate, summary=str(data["summary"]), evidence=evidence, data=dict(data["data"]))


def _is_recent(started: str) -> bool:
    """Return whether a result is within its lifetime; a future time is from a wrong clock."""
    age = datetime.now(UTC) - datetime.fromisoformat(started)
    return timedelta(0) <= age <= LASTS


def stage_key(ctx: StageContext, gate: str, reuse: ReusePolicy | None) -> str | None:
    """Return the key of a gate's result; None if the result depends on more than its inputs.

    An error while the inputs are read gives None: the gate runs, and reports the error itself.
    """
    if reuse is None:
        return None
    with suppress(ReleaseError, OSError):
        inputs = reuse.inputs(ctx)
        return cache_key(gate, inputs) if inputs is not None else None
    return None


def has_cached_result(ctx: StageContext, gate: str, reuse: ReusePolicy) -> bool:
    """Return whether there is a cached result of the gate for the same inputs."""
    key = stage_key(ctx, gate, reuse) if gate in ctx.reusable else None
    return key is not None and _find_own_result(ctx, gate, key) is not None


def reuse_cached_result(
    ctx: StageContext, gate: str, key: str | None, reuse: ReusePolicy | None
) -> tuple[Gate, Product] | None:
    """Return the gate and its product from the cache; None if the gate has to run."""
    if key is None or reuse is None or gate not in ctx.reusable:
        return None
    passed = _find_own_result(ctx, gate, key)
    if passed is None:
        return None
    with suppress(EngineError, KeyError, TypeError, ValueError, OSError):
        product = reuse.restore(ctx, passed)
        return (passed.gate, product) if product is not None else None
    return None


def store_gate_result(
    ctx: StageContext, gate: Gate, key: str | None, reuse: ReusePolicy | None, product: Product
) -> None:
    """Store the result of a gate that has passed. A result that cannot be stored is computed again."""
    if key is None or reuse is None:
        return
    with suppress(ReleaseError, OSError):
        passed = CachedResult(
            gate=gate.model_copy(update={"run": ctx.run_folder.id}),
            summary=product.summary,
            evidence=product.evidence,
            data=reuse.to_data(ctx, product),
        )
        _open_cache(ctx).store(key, passed)


def _open_cache(ctx: StageContext) -> StageCache:
    """Return the clone's stage cache. Raises ReleaseError: the clone's key cannot be used."""
    return StageCache(ctx.run_folder.release_folder / "passed", ClonesKey.of(ctx.source.git_dir))


def _find_own_result(ctx: StageContext, gate: str, key: str) -> CachedResult | None:
    """Return this clone's result with this key. Results of others are ignored, with one warning per run."""
    try:
        return _open_cache(ctx).find(gate, key)
    except BadSeal as error:
        _show_notice_once(
            ctx,
            f"results in {ctx.run_folder.release_folder / 'passed'} are ignored: {error}. All gates "
            "run. No action needed.",
        )
    except ReleaseError as error:
        _show_notice_once(ctx, f"results of earlier runs are not used: {error.found}\n  → {error.hint}")
    return None


class _NoticeShown(Struct, frozen=True):
    """Marks that the run has warned about ignored results."""


def _show_notice_once(ctx: StageContext, text: str) -> None:
    with ctx.once_lock:
        was_said = ctx.products.has(_NoticeShown)
        ctx.products.add(_NoticeShown())
    if not was_said:
        ctx.emit(Notice(text=text))


def environment_variables(*prefixes: str) -> dict[str, str]:
    """Return the environment's variables with names of secrets, as inputs of a gate."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(prefixes)}
