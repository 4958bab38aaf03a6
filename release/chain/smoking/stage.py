"""The gate `smoke`: run the image as in production, with limits, read-only root, questions, stop signal."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from release.chain.building.stage import BuiltImage, engine_facts
from release.chain.checked.identity import image_identity
from release.chain.companions import companion_settings, run_companions
from release.chain.smoking.draining import request_under_way
from release.chain.smoking.measuring import check_limits, combine_measurements
from release.chain.smoking.questions import SmokeQuestions
from release.chain.smoking.record import recorded_smoke
from release.chain.smoking.run import SmokeContainer
from release.chain.smoking.startup import check_startup_line
from release.chain.stage_cache import CachedResult, ReusePolicy
from release.chain.stage_context import StageContext, evidence_bytes
from release.config import SmokeRun
from release.errors import EngineError, GateFailed
from release.images.container_address import is_local
from release.images.container_spec import BRIDGE, LOOPBACK, UNWATCHED
from release.images.engine import ContainerSpec
from release.programs.signals import TERM
from release.records import SmokeMeasurements, SmokeSpec
from release.reference import Digest
from release.runspec import Healthcheck
from release.values import Struct

_SHARES: Final = 256
"""Processor shares: a quarter of the tests' shares, because the run mostly waits for the tests."""

_LOG_LINES: Final = 1_000_000
_KEPT_LOG: Final = 256 * 1024
"""Bytes of the log that are kept as evidence."""
_LOG_BYTES: Final = 8 * 1024 * 1024
"""Bytes of the container's output that are kept, from its end."""


class SmokePassed(Struct, frozen=True, kw_only=True):
    """Result of the gate: the image started, answered all questions, and stopped on the signal."""

    spec: SmokeSpec
    evidence: bytes
    summary: str
    log: bytes = b""
    """Last bytes of the stage's log, without secrets."""
    measured: SmokeMeasurements | None = None


class _PassedRun(Struct, frozen=True, kw_only=True):
    """One smoke run that passed."""

    facts: dict[str, Any]
    summary: str
    ready_ms: int | None
    """Milliseconds from the start to the first right answer."""
    peak_memory: int | None
    """Memory peak in bytes; None if not known."""


def smoke_container_spec(
    image: Digest,
    smoke: SmokeRun,
    labels: dict[str, str],
    *,
    host: str,
    private: tuple[str, ...] = (),
) -> ContainerSpec:
    """Return the container of a smoke run: no capabilities, no new privileges, read-only except tmpfs.

    For an engine on another machine, the port is not published on loopback, because this machine could not
    reach it. `private` are networks of companions, joined in addition to the network that publishes the
    ports.
    """
    return ContainerSpec(
        image=image,
        env=smoke.env,
        labels=labels,
        publish_ephemeral=smoke.ports,
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
        healthcheck=_choose_health_check(smoke),
        networks=(BRIDGE, *private) if private else (),
    )


def _choose_health_check(smoke: SmokeRun) -> Healthcheck | None:
    """Return the configured health check for `stays_up`, None for the image's own; else a disabled check."""
    if smoke.stays_up is None:
        return UNWATCHED
    return smoke.healthcheck.recorded if smoke.healthcheck is not None else None


def smoke(ctx: StageContext) -> SmokePassed:
    """Run the image once per process: start, questions, stop. Raises GateFailed."""
    built, service = ctx.products.get(BuiltImage), ctx.plan.service
    with run_companions(ctx, "smoke") as private:
        seen = {
            name: _run_process(ctx, built, name, run, private) for name, run in service.smoke_runs.items()
        }
    measured = combine_measurements(
        built.stored_image.size, ((each.ready_ms, each.peak_memory) for each in seen.values())
    )
    ctx.write_log("smoke", [f"measured: {measured.model_dump_json(exclude_none=True)}"])
    check_limits(ctx, measured)
    facts = {"image": str(built.stored_image.id), "runs": {name: each.facts for name, each in seen.items()}}
    return SmokePassed(
        spec=recorded_smoke(service),
        evidence=evidence_bytes("smoke", facts),
        summary="; ".join(f"{name}: {each.summary}" if name else each.summary for name, each in seen.items()),
        log=_end_of_log(ctx),
        measured=measured,
    )


def _run_process(
    ctx: StageContext, built: BuiltImage, name: str, settings: SmokeRun, private: tuple[str, ...]
) -> _PassedRun:
    """Run one process. Raises GateFailed with the process's name."""
    smoke = ctx.plan.service.smoke
    written = smoke.process(name) if name else smoke
    run = SmokeContainer(ctx=ctx, built=built, settings=settings, has_own_command=written.command is not None)
    with _name_process_in_errors(name):
        run.refuse_missing_command()
        run.is_not_root()
        labels = ctx.container_labels("smoke")
        spec = smoke_container_spec(
            built.stored_image.id, settings, labels, host=ctx.engine.host, private=private
        )
        with ctx.container(lambda: ctx.engine.create(spec)) as container:
            try:
                if name:
                    ctx.report_progress("smoke", f"process {name}")
                begun, ready, answers = time.monotonic(), None, []
                questions = SmokeQuestions.begin(run, container)
                for answer in questions.ask_all():
                    ready = ready or round((time.monotonic() - begun) * 1000)
                    answers.append(answer)
                check_startup_line(run, container)
                peak = run.peak_memory(container)
                with request_under_way(questions):
                    status, signal = run.stop(container)
            finally:
                _append_container_log(ctx, container, name)
    after = "" if signal == TERM else f" after {signal}"
    return _PassedRun(
        facts={"answers": answers, "exit": status, "signal": str(signal)},
        ready_ms=ready,
        peak_memory=peak,
        summary=", ".join((*answers, f"stopped with status {status}{after}")),
    )


@contextmanager
def _name_process_in_errors(name: str) -> Iterator[None]:
    """Raise the block's errors with the name of the process and the keys of its table."""
    try:
        yield
    except GateFailed as error:
        if not name:
            raise
        hint = error.hint.replace("`smoke.", f"`smoke.processes.{name}.")
        found = error.found.replace("`smoke.", f"`smoke.processes.{name}.")
        raise GateFailed(error.stage, f"process {name}: {found}", hint, error.tail) from error


def _smoke_inputs(ctx: StageContext) -> dict[str, Any]:
    """Return the image, the settings, and the engine."""
    runs = ctx.plan.service.smoke_runs
    return {
        "image": str(ctx.products.get(BuiltImage).stored_image.id),
        "settings": {name: run.model_dump(mode="json") for name, run in runs.items()},
        "engine": engine_facts(ctx),
        "companions": companion_settings(ctx, "smoke"),
    }


def _portable_inputs(ctx: StageContext) -> dict[str, Any]:
    """Return the inputs with the image by content, and only the platform of the engine."""
    image = image_identity(ctx, ctx.products.get(BuiltImage).stored_image)
    return {**_smoke_inputs(ctx), "image": image, "engine": ctx.engine.info.platform}


def _restore_from_cache(ctx: StageContext, passed: CachedResult) -> SmokePassed:
    spec = recorded_smoke(ctx.plan.service)
    log = base64.b64decode(passed.data["log"], validate=True)
    measured = SmokeMeasurements.model_validate(passed.data["measured"])
    check_limits(ctx, measured)
    return SmokePassed(
        spec=spec, evidence=passed.evidence, summary=passed.summary, log=log, measured=measured
    )


def _to_cache_data(_ctx: StageContext, made: SmokePassed) -> dict[str, Any]:
    measured = made.measured.model_dump(mode="json", exclude_none=True) if made.measured else None
    return {"log": base64.b64encode(made.log).decode(), "measured": measured}


def _end_of_log(ctx: StageContext) -> bytes:
    path = ctx.run_folder.existing_log_path("smoke")
    return path.read_bytes()[-_KEPT_LOG:] if path is not None else b""


SMOKE_REUSE: Final = ReusePolicy(
    inputs=_smoke_inputs,
    portable_inputs=_portable_inputs,
    to_data=_to_cache_data,
    restore=_restore_from_cache,
)


def _append_container_log(ctx: StageContext, container: str, name: str) -> None:
    try:
        lines = ctx.engine.logs(container, lines=_LOG_LINES, limit=_LOG_BYTES, longest=None)
    except EngineError:
        return
    ctx.write_log("smoke", [*([f"output of {name}:"] if name else []), *lines])
