"""The gate that runs the image as production would: limits, read-only root, one request, its stop signal."""

from __future__ import annotations

from typing import Any, Final

from release.chain.building.stage import BuiltImage, engine_facts
from release.chain.smoking.run import Run
from release.chain.stage_cache import CachedResult, Reuse
from release.chain.stage_context import StageContext, evidence
from release.config import Smoke
from release.errors import EngineError
from release.images.engine import ContainerSpec
from release.images.reach import is_local
from release.images.values import LOOPBACK, UNWATCHED
from release.records import SmokeSpec
from release.reference import Digest
from release.signals import TERM
from release.values import Struct

_SHARES: Final = 256
"""A quarter of what the tests get of a busy processor: they are waited for longer, mostly."""

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
        tmpfs=tuple(map(str, smoke.tmpfs)),
        command=smoke.command,
        entrypoint=smoke.entrypoint,
        init=smoke.init,
        user=smoke.user,
        stop_signal=smoke.stop_signal,
        stop_grace=smoke.stop_grace,
        cap_add=smoke.cap_add,
        cap_drop=("ALL",),
        no_new_privileges=True,
        cpu_shares=_SHARES,
        healthcheck=UNWATCHED,
    )


def smoke(ctx: StageContext) -> SmokePassed:
    """Start the image, wait for the right answer, stop it by its stop signal. Raises GateFailed."""
    built, config = ctx.products.get(BuiltImage), ctx.plan.service.smoke_run
    run = Run(ctx=ctx, built=built, settings=config)
    run.has_a_command()
    spec = container_spec(built.stored.id, config, ctx.container_labels("smoke"), host=ctx.engine.host)
    with ctx.container(lambda: ctx.engine.create(spec)) as container:
        try:
            answer = run.probe(container)
            status, signal = run.stop(container)
        finally:
            _keep_log(ctx, container)
    named = "" if signal == TERM else f" after {signal}"
    facts = {"image": str(built.stored.id), "answer": answer, "exit": status}
    return SmokePassed(
        spec=recorded_smoke(config),
        evidence=evidence("smoke", facts if signal == TERM else facts | {"signal": str(signal)}),
        summary=f"{config.path} answered {answer}, stopped with status {status}{named}",
    )


def _inputs(ctx: StageContext) -> dict[str, Any]:
    """The image, the settings, and the engine that ran it."""
    return {
        "image": str(ctx.products.get(BuiltImage).stored.id),
        "settings": ctx.plan.service.smoke_run.model_dump(mode="json"),
        "engine": engine_facts(ctx),
    }


def _restore(ctx: StageContext, passed: CachedResult) -> SmokePassed:
    spec = recorded_smoke(ctx.plan.service.smoke_run)
    return SmokePassed(spec=spec, evidence=passed.evidence, summary=passed.summary)


SMOKE_REUSE: Final = Reuse(inputs=_inputs, keep=lambda _shop, _made: {}, restore=_restore)


def _keep_log(ctx: StageContext, container: str) -> None:
    try:
        lines = ctx.engine.logs(container, lines=_LOG_LINES, limit=_LOG_BYTES, longest=None)
    except EngineError:
        return
    ctx.write_log("smoke", lines)


def recorded_smoke(config: Smoke) -> SmokeSpec:
    """The settings of a smoke run, as records keep them."""
    return SmokeSpec(
        probe=config.probe,
        memory=config.memory,
        pids=config.pids,
        read_only=config.read_only,
        tmpfs=tuple(map(str, config.tmpfs)),
        env=config.env,
        stop_grace=config.stop_grace,
        stop_signal=config.stop_signal,
        command=config.command,
        entrypoint=config.entrypoint if config.command is not None else None,
        init=config.init,
        user=config.user,
        cap_add=config.cap_add or None,
    )
