"""The chain: which stage comes after which, and how they run at the same time."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Final

from release.actor import now
from release.chain import leftovers, passes
from release.chain.build import BUILD_REUSE, build
from release.chain.lint import LINT_REUSE, lint
from release.chain.lockgate.gate import LOCK_REUSE, lock
from release.chain.passes import Product, Reuse
from release.chain.promote import promote
from release.chain.push import push
from release.chain.record import evidence_sha256, record
from release.chain.shop import Shop
from release.chain.smoke import SMOKE_REUSE, smoke
from release.chain.test import TEST_REUSE, TestsPassed, test
from release.chain.testimage import image_ahead
from release.errors import Cancelled, GateFailed, ReleaseError
from release.events import Failed, Finished, Started
from release.frozen import Struct
from release.records import Gate


class Stage(Struct, frozen=True, kw_only=True):
    """One step of the chain."""

    name: str
    action: Callable[[Shop], Product]
    after: tuple[str, ...] = ()
    reuse: Reuse | None = None
    """How it is spared where it has passed on the same inputs; None: it runs every time."""


STAGES: Final = (
    Stage(name="lock", action=lock, reuse=LOCK_REUSE),
    Stage(name="lint", action=lint, reuse=LINT_REUSE),
    Stage(name="build", action=build, reuse=BUILD_REUSE),
    Stage(name="test", action=test, after=("build",), reuse=TEST_REUSE),
    Stage(name="smoke", action=smoke, after=("build",), reuse=SMOKE_REUSE),
    Stage(name="push", action=push, after=("build",)),
    Stage(name="record", action=record, after=("lock", "lint", "test", "smoke", "push")),
    Stage(name="promote", action=promote, after=("record",)),
)
"""The chain, in the order in which it is read aloud."""

GATES: Final = ("lock", "lint", "build", "test", "smoke")
"""What a pull request must pass: nothing is pushed, nothing recorded."""


def needed_for(names: Sequence[str]) -> tuple[Stage, ...]:
    """These stages and every one that comes before them."""
    wanted: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        if name not in wanted:
            wanted.add(name)
            queue += next(stage.after for stage in STAGES if stage.name == name)
    return tuple(stage for stage in STAGES if stage.name in wanted)


def run_stages(shop: Shop, stages: Sequence[Stage]) -> None:
    """Run the stages, each as soon as those before it are done. The first that fails stops the others.

    Raises:
        ReleaseError: what the first failing stage raised.
        KeyboardInterrupt and other signals' exceptions, after the stages have stopped.
    """
    try:
        _run_all(shop, stages)
    finally:
        shop.aside.finish(shop.emit)
        shop.folder.tidy()


def _run_all(shop: Shop, stages: Sequence[Stage]) -> None:
    waiting, running, done = list(stages), dict[Future[None], Stage](), set[str]()
    with (
        ThreadPoolExecutor(max_workers=len(stages) + _BESIDE, thread_name_prefix="stage") as pool,
        _ahead(shop, stages, pool),
    ):
        try:
            sweeping = pool.submit(_sweep, shop) if _uses_engine(stages) else None
            while waiting or running:
                for stage in _ready(shop, waiting, running.values(), done):
                    waiting.remove(stage)
                    running[pool.submit(_run_stage, shop, stage)] = stage
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    done.add(running.pop(future).name)
                    future.result()
            if sweeping is not None:
                sweeping.result()
        except BaseException as error:
            shop.cancellation.request(_reason(error), gently=isinstance(error, ReleaseError))
            raise


def _ready(shop: Shop, waiting: list[Stage], running: Collection[Stage], done: set[str]) -> list[Stage]:
    """Return the stages that may begin: all whose turn it is, or one at a time with `parallel = false`."""
    ready = [stage for stage in waiting if done.issuperset(stage.after)]
    if shop.plan.service.parallel:
        return ready
    return [] if running else ready[:1]


_BESIDE: Final = 2
"""Threads for what is done beside the stages: sweeping, and building ahead."""


def _ahead(shop: Shop, stages: Sequence[Stage], pool: Executor) -> AbstractContextManager[None]:
    """The tests' own image is built beside the released one, where there will be tests."""
    tests = shop.plan.service.parallel and any(stage.action is test for stage in stages)
    return image_ahead(shop, pool) if tests else nullcontext()


def _sweep(shop: Shop) -> None:
    leftovers.sweep(shop.folder.home, shop.plan.service.service, lambda: shop.engine, shop.emit)


def _uses_engine(stages: Sequence[Stage]) -> bool:
    """Containers come after a build only; what dead runs left is removed beside it, not before it."""
    return any(stage.action is build for stage in stages)


def _reason(error: BaseException) -> str:
    if isinstance(error, ReleaseError):
        return "another gate failed"
    return "the run was interrupted"


def _run_stage(shop: Shop, stage: Stage) -> None:
    clock = time.monotonic()
    shop.cancellation.check()
    shop.emit(Started(name=stage.name))
    shop.folder.note(stage.name, "started")
    try:
        with _typed(shop, stage.name):
            gate, product, summary = _spared(shop, stage, clock)
    except BaseException as error:
        failed = _failed(shop, stage, error, _since(clock))
        shop.folder.note(stage.name, failed.summary)
        shop.emit(failed)
        raise
    shop.products.add(product)
    shop.gates.append(gate)
    shop.folder.note(stage.name, "reused" if gate.run is not None else "passed")
    log = shop.folder.existing_log(stage.name)
    shop.emit(Finished(name=stage.name, duration_ms=_since(clock), summary=summary, log=log))


def _spared(shop: Shop, stage: Stage, clock: float) -> tuple[Gate, Product, str]:
    """A stage's gate, product and phrase: from an earlier run on the same inputs, or from running it now."""
    started = now()
    key = passes.known_by(shop, stage.name, stage.reuse)
    known = passes.taken_up(shop, stage.name, key, stage.reuse)
    if known is not None:
        gate, product = known
        return (
            gate,
            product,
            f"{product.summary}; re-used: passed at {gate.started[11:19]}Z in run {gate.run}",
        )
    product = stage.action(shop)
    gate = Gate(
        name=stage.name,
        status="passed",
        started=started,
        duration_ms=_since(clock),
        evidence_sha256=evidence_sha256(product.evidence),
        tests=product.tests if isinstance(product, TestsPassed) else None,
    )
    shop.aside.do(lambda: passes.keep(shop, gate, key, stage.reuse, product))
    return gate, product, product.summary


def _failed(shop: Shop, stage: Stage, error: BaseException, duration_ms: int) -> Failed:
    """The end of a stage that failed or was stopped; why is the last line of its log.

    A stage whose container or connection was taken away fails in its own way.
    """
    stopped = isinstance(error, Cancelled) or shop.cancellation.reason is not None
    if isinstance(error, ReleaseError):
        with suppress(OSError):  # a full disk
            shop.write_log(stage.name, [str(error)])
    return Failed(
        name=stage.name,
        duration_ms=duration_ms,
        summary="stopped" if stopped else "failed",
        log=shop.folder.existing_log(stage.name),
        stopped=stopped,
    )


@contextmanager
def _typed(shop: Shop, stage: str) -> Iterator[None]:
    """Name this stage in its error: what it shares with another one fails in the stage that is red.

    A file that cannot be written or read stops the stage as any other trouble does.
    """
    try:
        yield
    except GateFailed as error:
        if error.stage == stage:
            raise
        raise GateFailed(stage, error.found, error.hint, error.tail) from error
    except OSError as error:
        raise GateFailed(stage, str(error), f"{_remedy(shop, error)}, and run the same again") from error


def _remedy(shop: Shop, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"make room for {shop.folder.path}"
    if error.filename is None:
        return "look what this machine lacks, by the system's own words"
    return f"look at {error.filename} and its owner"


def _since(clock: float) -> int:
    return round((time.monotonic() - clock) * 1000)
