"""The chain: which stage comes after which, and how they run at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final, Protocol

from release.actor import now
from release.chain.build import build
from release.chain.lint import lint
from release.chain.lock import lock
from release.chain.promote import promote
from release.chain.push import push
from release.chain.record import evidence_sha256, record
from release.chain.shop import Shop
from release.chain.smoke import smoke
from release.chain.test import test
from release.errors import Cancelled, ReleaseError
from release.events import Failed, Finished, Started
from release.records import Gate


class Product(Protocol):
    """What a stage makes: a value of its own type, with a phrase for people."""

    @property
    def summary(self) -> str:
        """One short phrase."""
        ...

    @property
    def evidence(self) -> bytes:
        """What the stage saw; its hash is recorded."""
        ...


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of the chain."""

    name: str
    action: Callable[[Shop], Product]
    after: tuple[str, ...] = ()


STAGES: Final = (
    Stage(name="lock", action=lock),
    Stage(name="lint", action=lint),
    Stage(name="build", action=build),
    Stage(name="test", action=test, after=("build",)),
    Stage(name="smoke", action=smoke, after=("build",)),
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
    waiting, running, done = list(stages), dict[Future[None], Stage](), set[str]()
    with ThreadPoolExecutor(max_workers=len(stages), thread_name_prefix="stage") as pool:
        try:
            while waiting or running:
                for stage in [stage for stage in waiting if done.issuperset(stage.after)]:
                    waiting.remove(stage)
                    running[pool.submit(_run_stage, shop, stage)] = stage
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    done.add(running.pop(future).name)
                    future.result()
        except BaseException as error:
            shop.cancellation.request(_reason(error))
            raise
    shop.folder.tidy()


def _reason(error: BaseException) -> str:
    if isinstance(error, ReleaseError):
        return "another gate failed"
    return "the run was interrupted"


def _run_stage(shop: Shop, stage: Stage) -> None:
    started, clock = now(), time.monotonic()
    shop.cancellation.check()
    shop.emit(Started(name=stage.name))
    try:
        product = stage.action(shop)
    except BaseException as error:
        summary = "stopped" if isinstance(error, Cancelled) else "failed"
        shop.emit(Failed(name=stage.name, duration_ms=_since(clock), summary=summary))
        raise
    shop.products.add(product)
    shop.gates.append(
        Gate(
            name=stage.name,
            status="passed",
            started=started,
            duration_ms=_since(clock),
            evidence_sha256=evidence_sha256(product.evidence),
        )
    )
    shop.emit(Finished(name=stage.name, duration_ms=_since(clock), summary=product.summary))


def _since(clock: float) -> int:
    return round((time.monotonic() - clock) * 1000)
