"""The chain: the order of its stages, and the stages that run at the same time."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Final

from release.actor import utc_now_text
from release.chain import stage_cache, stale_runs
from release.chain.auditing.stage import AuditPassed, audit
from release.chain.auditing.stage import is_audit_configured as audit_is_wanted
from release.chain.building.export import export_cache
from release.chain.building.stage import BUILD_REUSE, build_candidate
from release.chain.checked import taking as checked
from release.chain.checked.leaving import publish_check_result
from release.chain.companions import companion_images
from release.chain.installed.reusing import INSTALLED_REUSE
from release.chain.installed.stage import (
    InstalledChecked,
    check_installed_packages,
    is_installed_gate_on,
)
from release.chain.linting.stage import LINT_REUSE, LintPassed, lint
from release.chain.lockgate.gate import LOCK_REUSE, check_lockfile
from release.chain.publishing.promote import promote_release
from release.chain.publishing.push import push_candidate
from release.chain.publishing.record import hash_evidence, record_release
from release.chain.smoking.stage import SMOKE_REUSE, SmokePassed, smoke
from release.chain.stage_cache import Product, ReusePolicy
from release.chain.stage_context import StageContext
from release.chain.testing.image import build_test_image_early
from release.chain.testing.stage import TEST_REUSE, TestsPassed, test
from release.config import Service
from release.errors import Cancelled, GateFailed, ReleaseError
from release.events import Failed, Finished, Started
from release.records import Gate
from release.values import Struct


class Stage(Struct, frozen=True, kw_only=True):
    """One step of the chain."""

    name: str
    action: Callable[[StageContext], Product]
    after: tuple[str, ...] = ()
    reuse: ReusePolicy | None = None
    """Way to reuse the stage's result on the same inputs; None: the stage runs every time."""
    applies: Callable[[Service], bool] = lambda _: True
    """Return whether the settings switch the stage on; no other stage needs a switched-off stage."""


STAGES: Final = (
    Stage(name="lock", action=check_lockfile, reuse=LOCK_REUSE),
    Stage(name="lint", action=lint, reuse=LINT_REUSE),
    Stage(name="build", action=build_candidate, reuse=BUILD_REUSE),
    Stage(name="test", action=test, after=("build",), reuse=TEST_REUSE),
    Stage(name="smoke", action=smoke, after=("build",), reuse=SMOKE_REUSE),
    Stage(
        name="installed",
        action=check_installed_packages,
        after=("build",),
        reuse=INSTALLED_REUSE,
        applies=is_installed_gate_on,
    ),
    Stage(name="audit", action=audit, after=("installed",), applies=audit_is_wanted),
    Stage(name="push", action=push_candidate, after=("build",)),
    Stage(
        name="record",
        action=record_release,
        after=("lock", "lint", "test", "smoke", "installed", "audit", "push"),
    ),
    Stage(name="promote", action=promote_release, after=("record",)),
)
"""All stages of a release, in a valid order."""

GATES: Final = ("lock", "lint", "build", "test", "smoke", "installed", "audit")
"""Names of the gates of a pull request: no push and no record."""


def stages_needed_for(names: Sequence[str]) -> tuple[Stage, ...]:
    """Return these stages and all stages that must run before them."""
    wanted: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        if name not in wanted:
            wanted.add(name)
            queue += next(stage.after for stage in STAGES if stage.name == name)
    return tuple(stage for stage in STAGES if stage.name in wanted)


def run_stages(
    ctx: StageContext, stages: Sequence[Stage], finished: Callable[[], None] = lambda: None
) -> None:
    """Run the stages, each once its predecessors are done. The first failure stops the others.

    Args:
        ctx: the stage context.
        stages: the stages with all their prerequisites.
        finished: called after the last stage, while the build cache is still being written.

    Raises:
        ReleaseError: the error of the first stage that failed.
        KeyboardInterrupt and other signals' exceptions, after the stages have stopped.
    """
    try:
        _schedule_stages(ctx, stages)
        ctx.background.add(lambda: export_cache(ctx))
        ctx.background.add(lambda: publish_check_result(ctx, [(stage.name, stage.reuse) for stage in stages]))
        finished()
    finally:
        ctx.background.finish(ctx.emit)
        ctx.run_folder.remove_temporary_files()


def _schedule_stages(ctx: StageContext, stages: Sequence[Stage]) -> None:
    waiting = [stage for stage in stages if stage.applies(ctx.plan.service)]
    done = {stage.name for stage in stages if stage not in waiting}
    running = dict[Future[None], Stage]()
    with (
        ThreadPoolExecutor(max_workers=len(stages) + _BESIDE, thread_name_prefix="stage") as pool,
        _build_test_image_early(ctx, stages, pool),
    ):
        try:
            sweeping = pool.submit(_clean_up_stale_runs, ctx) if _uses_engine(stages) else None
            while waiting or running:
                for stage in _stages_ready_to_run(ctx, waiting, running.values(), done):
                    waiting.remove(stage)
                    running[pool.submit(_run_stage, ctx, stage)] = stage
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    done.add(running.pop(future).name)
                    future.result()
            if sweeping is not None:
                sweeping.result()
        except BaseException as error:
            ctx.cancellation.request(_stop_reason(error), gently=isinstance(error, ReleaseError))
            raise


def _stages_ready_to_run(
    ctx: StageContext, waiting: list[Stage], running: Collection[Stage], done: set[str]
) -> list[Stage]:
    """Return the stages that may begin now; at most one with `parallel = false`."""
    ready = [stage for stage in waiting if done.issuperset(stage.after)]
    if ctx.plan.service.parallel:
        return ready
    return [] if running else ready[:1]


_BESIDE: Final = 2
"""Number of threads for work beside the stages: cleanup, and early builds of test images."""


def _build_test_image_early(
    ctx: StageContext, stages: Sequence[Stage], pool: Executor
) -> AbstractContextManager[None]:
    """Build the tests' own image beside the released image while the block runs, if tests will run."""
    tests = ctx.plan.service.parallel and any(stage.action is test for stage in stages)
    return build_test_image_early(ctx, pool) if tests else nullcontext()


def _clean_up_stale_runs(ctx: StageContext) -> None:
    stale_runs.clean_up_stale_runs(
        ctx.run_folder.release_folder, ctx.plan.service.service, lambda: ctx.engine, ctx.emit
    )


def _uses_engine(stages: Sequence[Stage]) -> bool:
    """Return whether stages use the engine, so that containers of killed runs must be removed."""
    return any(stage.action is build_candidate for stage in stages)


def _stop_reason(error: BaseException) -> str:
    if isinstance(error, ReleaseError):
        return "another gate failed"
    return "the run was interrupted"


def _run_stage(ctx: StageContext, stage: Stage) -> None:
    clock = time.monotonic()
    ctx.cancellation.check()
    ctx.emit(Started(name=stage.name))
    ctx.run_folder.append_stage_event(stage.name, "started")
    try:
        with _raise_as_stage(ctx, stage.name):
            gate, product, summary = _reuse_or_run(ctx, stage, clock)
    except BaseException as error:
        failed = _failure_event(ctx, stage, error, _elapsed_ms(clock))
        ctx.run_folder.append_stage_event(stage.name, failed.summary)
        ctx.emit(failed)
        raise
    ctx.products.add(product)
    ctx.gates.append(gate)
    ctx.completed[stage.name] = (gate, product)
    ctx.run_folder.append_stage_event(stage.name, "reused" if gate.run is not None else "passed")
    log = ctx.run_folder.existing_log_path(stage.name)
    ctx.emit(Finished(name=stage.name, duration_ms=_elapsed_ms(clock), summary=summary, log=log))


def _reuse_or_run(ctx: StageContext, stage: Stage, clock: float) -> tuple[Gate, Product, str]:
    """Return a stage's gate, product and summary: from a cached result, or from running the stage."""
    started = utc_now_text()
    key = stage_cache.stage_key(ctx, stage.name, stage.reuse)
    known = stage_cache.reuse_cached_result(ctx, stage.name, key, stage.reuse)
    known = known or checked.reuse_check_result(ctx, stage.name, stage.reuse)
    if known is not None:
        gate, product = known
        signed = f", signed by {gate.signed_by}" if gate.signed_by else ""
        passed = f"passed at {gate.started[11:19]}Z in run {gate.run}{signed}"
        return gate, product, f"{product.summary}; reused: {passed}"
    product = stage.action(ctx)
    gate = Gate(
        name=stage.name,
        status="passed",
        started=started,
        duration_ms=_elapsed_ms(clock),
        evidence_sha256=hash_evidence(product.evidence),
        tests=product.tests if isinstance(product, TestsPassed) else None,
        companions=companion_images(ctx, stage.name),
        **_gate_details(product),
    )
    ctx.background.add(lambda: stage_cache.store_gate_result(ctx, gate, key, stage.reuse, product))
    return gate, product, product.summary


def _gate_details(product: Product) -> dict[str, Any]:
    """Return what a gate measured, and findings that did not stop it, by the keys of its record."""
    if isinstance(product, SmokePassed):
        return {"measured": product.measured}
    if not isinstance(product, LintPassed | InstalledChecked | AuditPassed):
        return {}
    return {"findings": product.findings or None, "waivers": dict(product.waivers) or None}


def _failure_event(ctx: StageContext, stage: Stage, error: BaseException, duration_ms: int) -> Failed:
    """Return the event of a failed or stopped stage, and write the error into the stage's log."""
    stopped = isinstance(error, Cancelled) or ctx.cancellation.reason is not None
    if isinstance(error, ReleaseError):
        with suppress(OSError):  # a full disk
            ctx.write_log(stage.name, [str(error)])
    return Failed(
        name=stage.name,
        duration_ms=duration_ms,
        summary="stopped" if stopped else "failed",
        log=ctx.run_folder.existing_log_path(stage.name),
        stopped=stopped,
    )


@contextmanager
def _raise_as_stage(ctx: StageContext, stage: str) -> Iterator[None]:
    """Raise the errors of the block under this stage's name: shared work fails under another name.

    A file that cannot be written or read stops the stage as any other trouble does.
    """
    try:
        yield
    except GateFailed as error:
        if error.stage == stage:
            raise
        raise GateFailed(stage, error.found, error.hint, error.tail) from error
    except OSError as error:
        raise GateFailed(stage, str(error), f"{_suggest_fix(ctx, error)}, then run it again") from error


def _suggest_fix(ctx: StageContext, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"free disk space for {ctx.run_folder.path}"
    if error.filename is None:
        return "check what this machine lacks: `df -h`, `free -m`, `ulimit -a`"
    return f"check the owner: ls -l {error.filename}"


def _elapsed_ms(clock: float) -> int:
    return round((time.monotonic() - clock) * 1000)
