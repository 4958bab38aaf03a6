"""The gate that runs the image as production would: limits, read-only root, one request, and SIGTERM."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from release.chain.build import BuiltImage, engine_facts
from release.chain.passes import Pass, Reuse
from release.chain.shop import Shop, evidence
from release.config import Smoke
from release.errors import EngineError, GateFailed
from release.frozen import Struct
from release.images.engine import ContainerSpec
from release.images.reach import is_local, reachable
from release.images.values import LOOPBACK, UNWATCHED
from release.probe import await_answer
from release.process import TAIL_LINES
from release.records import SmokeSpec
from release.reference import Digest

_CLEAN_EXITS: Final = (0, 143)
"""Ended by itself after SIGTERM, or by the signal's default action (128 + 15)."""

_SHARES: Final = 256
"""A quarter of what the tests get of a busy processor: they are waited for longer, mostly."""

_LOOK_SECONDS: Final = 0.5
"""How often the engine is asked whether the container still runs, while it does not answer."""

_LOG_LINES: Final = 1_000_000
_LOG_BYTES: Final = 8 * 1024 * 1024
"""What is kept of the container's output: its last lines, and its last bytes."""


class SmokePassed(Struct, frozen=True, kw_only=True):
    """The image started, answered, and stopped when told."""

    spec: SmokeSpec
    evidence: bytes
    summary: str


def container_spec(image: Digest, smoke: Smoke, labels: dict[str, str], *, host: str) -> ContainerSpec:
    """The container of the smoke run: no capabilities, no new privileges, nothing writable but tmpfs.

    It is asked from here, so the engine need not run the image's health check beside it.

    Args:
        image: its id in the engine's store.
        smoke: the settings.
        labels: by which it is found again.
        host: the engine's address. On another machine, as a CI's own engine often is, the port cannot stay on
            loopback: nobody could ask it.
    """
    return ContainerSpec(
        image=image,
        env=smoke.env,
        labels=labels,
        publish_ephemeral=(smoke.port,),
        ephemeral_address=LOOPBACK if is_local(host) else "0.0.0.0",  # noqa: S104 - see `host`
        memory=smoke.memory,
        pids=smoke.pids,
        read_only=smoke.read_only,
        tmpfs=smoke.tmpfs,
        cap_drop=("ALL",),
        no_new_privileges=True,
        cpu_shares=_SHARES,
        healthcheck=UNWATCHED,
    )


def smoke(shop: Shop) -> SmokePassed:
    """Start the image, wait for the right answer, stop it with SIGTERM. Raises GateFailed."""
    built, config = shop.products.get(BuiltImage), shop.plan.service.smoke
    spec = container_spec(built.stored.id, config, shop.labels("smoke"), host=shop.engine.host)
    with shop.container(lambda: shop.engine.create(spec)) as container:
        try:
            answer = _probe(shop, container, config)
            status = _stop(shop, container, config)
        finally:
            _keep_log(shop, container)
    return SmokePassed(
        spec=recorded_smoke(config),
        evidence=evidence("smoke", {"image": str(built.stored.id), "answer": answer, "exit": status}),
        summary=f"{config.path} answered {answer}, stopped with status {status}",
    )


def _inputs(shop: Shop) -> dict[str, Any]:
    """The image, the settings, and the engine that ran it."""
    return {
        "image": str(shop.products.get(BuiltImage).stored.id),
        "settings": shop.plan.service.smoke.model_dump(mode="json"),
        "engine": engine_facts(shop),
    }


def _restore(shop: Shop, passed: Pass) -> SmokePassed:
    spec = recorded_smoke(shop.plan.service.smoke)
    return SmokePassed(spec=spec, evidence=passed.evidence, summary=passed.summary)


SMOKE_REUSE: Final = Reuse(inputs=_inputs, keep=lambda _shop, _made: {}, restore=_restore)


def _probe(shop: Shop, container: str, config: Smoke) -> str:
    shop.engine.start(container)
    state = shop.engine.state(container)
    where = reachable(shop.engine.host, state, config.port) if state is not None else None
    if where is None:
        _alive(shop, container)
        raise GateFailed(
            "smoke",
            f"the engine published no port for {config.port}",
            "run the same again; if it stays, read the engine's log",
        )
    host, port = where
    shop.say("smoke", f"asking {config.path} on port {config.port}")
    end = time.monotonic() + config.timeout / 1000
    answer = await_answer(
        config.probe,
        host,
        port,
        alive=_now_and_then(shop, container),
        is_over=lambda: time.monotonic() >= end,
    )
    if not answer.satisfies(config.probe):
        raise GateFailed(
            "smoke",
            f"after {config.timeout / 1000:g} s GET {config.path} on port {config.port} gave {answer.text}, "
            f"not {config.status}",
            "does the service listen on 0.0.0.0, and is `smoke.port` its port?",
            shop.mask.lines(shop.engine.logs(container, lines=TAIL_LINES)),
        )
    return answer.text


def _now_and_then(shop: Shop, container: str) -> Callable[[], None]:
    """Looks at the container when that is due; each look costs the engine what the service needs to start."""
    due = time.monotonic() + _LOOK_SECONDS

    def look() -> None:
        nonlocal due
        shop.cancellation.check()
        if time.monotonic() >= due:
            _alive(shop, container)
            due = time.monotonic() + _LOOK_SECONDS

    return look


def _alive(shop: Shop, container: str) -> None:
    shop.cancellation.check()
    state = shop.engine.state(container)
    if state is not None and state.status == "running":
        return
    found = "the container is gone"
    if state is not None:
        found = f"the container ended with status {state.exit_code}" + (
            ": it needed more memory than `smoke.memory`" if state.oom_killed else ""
        )
    raise GateFailed(
        "smoke",
        f"{found} before it answered",
        "it runs with a read-only root and no capabilities: does it need `smoke.tmpfs` or `smoke.env`?",
        shop.mask.lines(shop.engine.logs(container, lines=TAIL_LINES)),
    )


def _stop(shop: Shop, container: str, config: Smoke) -> int:
    """Tell it to stop. A service that ignores SIGTERM loses requests at every deployment."""
    shop.engine.stop(container, grace=config.stop_grace)
    state = shop.engine.state(container)
    status = state.exit_code if state is not None else -1
    if status not in _CLEAN_EXITS:
        how = "was killed" if status == 137 else f"ended with status {status}"
        raise GateFailed(
            "smoke",
            f"after SIGTERM it {how} (allowed: {config.stop_grace / 1000:g} s, status 0 or 143)",
            'write CMD in exec form, as CMD ["gunicorn", …], so that the signal reaches the service',
            shop.mask.lines(shop.engine.logs(container, lines=TAIL_LINES)),
        )
    return status


def _keep_log(shop: Shop, container: str) -> None:
    try:
        lines = shop.engine.logs(container, lines=_LOG_LINES, limit=_LOG_BYTES, longest=None)
    except EngineError:
        return
    shop.write_log("smoke", lines)


def recorded_smoke(config: Smoke) -> SmokeSpec:
    """The settings of a smoke run, as records keep them."""
    return SmokeSpec(
        probe=config.probe,
        memory=config.memory,
        pids=config.pids,
        read_only=config.read_only,
        tmpfs=config.tmpfs,
        env=config.env,
        stop_grace=config.stop_grace,
    )
