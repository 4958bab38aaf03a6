"""A check leaves its signed result in the registry, for a release of the same tree on another machine."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from release.actor import utc_now_text
from release.chain.building.export import ExportedCache
from release.chain.checked.statement import CheckStatement, PassedGate, can_sign, sign_statement
from release.chain.checked.taking import KIND, RESULT, check_result_tag, portable_key, trusted_signers
from release.chain.stage_cache import CachedResult, ReusePolicy, serialize_result
from release.chain.stage_context import StageContext
from release.errors import Cancelled, ReleaseError
from release.events import Notice
from release.images.registry.artifacts import ArtifactRegistry, Attached, artifact
from release.reference import Digest


def publish_check_result(ctx: StageContext, gates: Iterable[tuple[str, ReusePolicy | None]]) -> None:
    """Sign the result of this check and store it in the registry; warn if that is not possible.

    Args:
        ctx: a check whose gates all passed.
        gates: their names, and how their results travel.
    """
    if ctx.purpose != "check" or ctx.plan.service.reuse.trusted_signers is None:
        return
    try:
        signers = trusted_signers(ctx)
        if signers is None or not (files := tuple(_portable_results(ctx, gates))):
            return
        if not can_sign(ctx.source.git):
            ctx.emit(Notice(text=_UNSIGNED))
            return
        made = _build_statement(ctx, {name: (key, file) for name, key, file in files})
        commit = sign_statement(ctx.source.git, made, ctx.actor, signers)
        _upload_statement(
            ctx, Attached(name="statement", media_type=KIND, content=commit), [f for _, _, f in files]
        )
    except Cancelled:
        return
    except (ReleaseError, OSError) as error:
        found = f"{error.found}\n  → {error.hint}" if isinstance(error, ReleaseError) else str(error)
        ctx.emit(Notice(text=f"the result of this check stays on this machine: {found}"))
        return
    ctx.emit(Notice(text=f"a release of the tree {made.tree[:12]} can use the result of this check"))


_UNSIGNED = (
    "the result of this check stays on this machine: git has no key to sign it (user.signingKey). "
    "A release runs the gates itself. No action needed in a fork."
)


def _portable_results(
    ctx: StageContext, gates: Iterable[tuple[str, ReusePolicy | None]]
) -> Iterable[tuple[str, str, Attached]]:
    """Yield name, key and content of each gate's result that other machines can use."""
    for name, reuse in gates:
        if reuse is None or reuse.portable_inputs is None or name not in ctx.completed:
            continue
        key = portable_key(ctx, name, reuse)
        if key is None:
            continue
        gate, product = ctx.completed[name]
        passed = CachedResult(
            gate=gate.model_copy(update={"run": gate.run or ctx.run_folder.id}),
            summary=product.summary,
            evidence=product.evidence,
            data=reuse.to_data(ctx, product),
        )
        yield name, key, Attached(name=name, media_type=RESULT, content=serialize_result(key, passed))


def _build_statement(ctx: StageContext, results: dict[str, tuple[str, Attached]]) -> CheckStatement:
    plan, cache = ctx.plan, ctx.products.find(ExportedCache)
    return CheckStatement(
        service=plan.service.service,
        repository=str(plan.service.repository),
        tree=plan.commit.tree,
        issued=utc_now_text(),
        commit=plan.commit.id,
        run=ctx.run.url or ctx.run.id,
        cache=str(cache.digest) if cache is not None and cache.digest is not None else None,
        gates={
            name: PassedGate(key=key, result=Digest.of(file.content), size=len(file.content))
            for name, (key, file) in results.items()
        },
    )


def _upload_statement(ctx: StageContext, statement: Attached, results: list[Attached]) -> None:
    """Upload the statement and the results. Raises RegistryError."""
    files = (statement, *results)
    tag = check_result_tag(ctx.plan.commit.tree)
    with closing(ArtifactRegistry(ctx.plan.service.repository, cancellation=ctx.cancellation)) as registry:
        registry.put_tagged(artifact(KIND, files), files, tag)
