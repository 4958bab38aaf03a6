"""A release reuses gates that a check of the same tree passed, if a trusted key signed the result.

The registry's content counts only after its signature is verified. The release then compares the statement
with its own tree, image, settings and inputs of each gate.
"""

from __future__ import annotations

from contextlib import closing, suppress
from datetime import timedelta
from typing import Final

from release.chain.checked.statement import (
    LARGEST,
    CheckStatement,
    StatementRefused,
    is_recent,
    read_signers,
    verify_statement,
)
from release.chain.stage_cache import CachedResult, Product, ReusePolicy, cache_key, parse_result
from release.chain.stage_context import StageContext
from release.errors import EngineError, ReleaseError
from release.events import Notice, Warned
from release.git.commit_files import read_linked
from release.images.registry.artifacts import ArtifactRegistry
from release.ledger.signing import Signers
from release.records import Gate

KIND: Final = "application/vnd.release.checked.v1"
"""Type of the artifact, and of its signed statement."""
RESULT: Final = "application/vnd.release.checked.gate.v1+json"
"""Type of a gate's result."""


def check_result_tag(tree: str) -> str:
    """Return the tag of the check result of this tree."""
    return f"checked-{tree}"


def trusted_signers(ctx: StageContext) -> Signers | None:
    """Return the signers that the commit trusts; None without `reuse.trusted_signers`.

    Raises ReleaseError.
    """
    path = ctx.plan.service.reuse.trusted_signers
    if path is None or ctx.plan.service.registry is None:
        return None
    content = read_linked(ctx.source, ctx.plan.commit.id, path)
    if content is None:
        hint = "commit it, with a line for each key, as `ci@example.org ssh-ed25519 AAAA…`"
        raise ReleaseError(f"read reuse.trusted_signers ({path})", "the commit has no such file", hint)
    return ctx.shared_values.get_or_compute(
        "signers", lambda: read_signers(content, ctx.run_folder.path / "trusted-signers")
    )


def find_check_statement(ctx: StageContext) -> CheckStatement | None:
    """Return the signed check result of this tree, read once per run; None if none counts."""
    if ctx.purpose != "release" or not ctx.reusable or ctx.plan.no_cache:
        return None
    return ctx.shared_values.get_or_compute("checked", lambda: _look_up_statement(ctx))


def _look_up_statement(ctx: StageContext) -> CheckStatement | None:
    try:
        signers = trusted_signers(ctx)
        return _read_verified_statement(ctx, signers) if signers is not None else None
    except StatementRefused as error:
        reason = str(error)
    except (ReleaseError, OSError) as error:
        reason = error.found if isinstance(error, ReleaseError) else str(error)
    ctx.emit(Warned(text=f"the result of a check of this tree is not used: {reason}. All gates run"))
    return None


def _read_verified_statement(ctx: StageContext, signers: Signers) -> CheckStatement | None:
    """Return the verified statement. Raises StatementRefused, RegistryError."""
    plan = ctx.plan
    repository = plan.service.repository
    with closing(ArtifactRegistry(repository, cancellation=ctx.cancellation)) as registry:
        manifest = registry.manifest(repository.tagged(check_result_tag(plan.commit.tree)))
        if manifest is None:
            return None
        found = [layer for layer in manifest.layers if layer.media_type == KIND]
        if len(found) != 1 or found[0].size > LARGEST:
            raise StatementRefused(f"the tag {check_result_tag(plan.commit.tree)} holds something else")
        commit = registry.small_blob(found[0].digest, found[0].size)
    made = verify_statement(ctx.source.git, commit, signers)
    made.refuse_unfit(plan.service.service, str(repository), plan.commit.tree, _max_age(ctx))
    return made


def _max_age(ctx: StageContext) -> timedelta:
    return timedelta(milliseconds=ctx.plan.service.reuse.max_age)


def reuse_check_result(
    ctx: StageContext, gate: str, reuse: ReusePolicy | None
) -> tuple[Gate, Product] | None:
    """Return the gate and its product from the check result; None if the gate has to run."""
    if reuse is None or reuse.portable_inputs is None or gate not in ctx.reusable:
        return None
    made = find_check_statement(ctx)
    if made is None or gate not in made.gates:
        return None
    try:
        key = portable_key(ctx, gate, reuse)
        if key is None:
            raise StatementRefused("its inputs are of this machine alone")
        passed = _fetch_gate_result(ctx, made, gate, key)
        product = reuse.restore(ctx, passed)
        if product is None:
            raise StatementRefused("its result cannot be used for this version")
    except (StatementRefused, ReleaseError, KeyError, TypeError, ValueError, OSError) as error:
        reason = error.found if isinstance(error, ReleaseError) else error
        ctx.emit(Notice(text=f"the gate {gate} runs, although a check of this tree passed it: {reason}"))
        return None
    return passed.gate.model_copy(update={"signed_by": made.signer}), product


def portable_key(ctx: StageContext, gate: str, reuse: ReusePolicy) -> str | None:
    """Return the key of a gate's inputs without facts of the machine; None if the inputs need them."""
    assert reuse.portable_inputs is not None  # noqa: S101 - the caller has asked
    inputs = reuse.portable_inputs(ctx)
    return cache_key(gate, {"travels": inputs}) if inputs is not None else None


def _fetch_gate_result(ctx: StageContext, made: CheckStatement, gate: str, key: str) -> CachedResult:
    """Return a gate's result. Raises StatementRefused, RegistryError, KeyError, TypeError, ValueError."""
    stated = made.gates[gate]
    if stated.key != key:
        raise StatementRefused("it had another image, other settings or other tools")
    with closing(ArtifactRegistry(ctx.plan.service.repository, cancellation=ctx.cancellation)) as registry:
        passed = parse_result(registry.small_blob(stated.result, stated.size), key)
    if passed.gate.name != gate or not is_recent(passed.gate.started, _max_age(ctx)):
        raise StatementRefused(f"it passed at {passed.gate.started}, outside of reuse.max_age")
    return passed


def is_gate_in_check_result(ctx: StageContext, gate: str) -> bool:
    """Return whether a check of this tree passed the gate, so that work for the gate alone can wait."""
    with suppress(EngineError):
        made = find_check_statement(ctx)
        return made is not None and gate in made.gates
    return False
