"""Companions of a gate: services beside the tests or the smoke run, on a private network.

Companions are started when the gate begins, and removed when the gate ends, even after an error. Objects of a
killed run have its labels, and the next run removes them.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final

from release.chain.stage_context import StageContext
from release.chain.stale_runs import COMPANION
from release.config import Companion
from release.errors import EngineError, GateFailed
from release.images.container_spec import UNWATCHED
from release.images.engine import ContainerSpec, ContainerState, Executed, StoredImage
from release.programs.process import TAIL_LINES
from release.reference import Digest, Reference
from release.secrets.redact import Redacted
from release.secrets.sources import resolve_secrets
from release.values import Struct

_PAUSE_SECONDS: Final = 0.1
"""Seconds between two health commands."""

_LEAST_MS: Final = 1_000
_OUTPUT_BYTES: Final = 64 * 1024
_LOG_LINES: Final = 1_000
_SHOWN_LINES: Final = 10
"""Lines of each companion that are shown below the error of a failed gate."""

_NO_PROGRAM: Final = (126, 127)
_EMBEDDED: Final = "localhost"
"""Host of repositories in an engine's own image store."""


class _StartedCompanion(Struct, frozen=True, kw_only=True):
    """A started companion."""

    name: str
    settings: Companion
    container: str


def companion_images(ctx: StageContext, gate: str) -> dict[str, str] | None:
    """Return the images of a gate's companions, as records keep them; None if it has none."""
    return {name: each.image for name, each in ctx.plan.service.companions_of(gate).items()} or None


def companion_settings(ctx: StageContext, gate: str) -> dict[str, Any]:
    """Return the settings of a gate's companions as JSON data, for the key of its cached result."""
    return {name: each.model_dump(mode="json") for name, each in ctx.plan.service.companions_of(gate).items()}


@contextmanager
def run_companions(ctx: StageContext, gate: str) -> Iterator[tuple[str, ...]]:
    """Run the companions of a gate while the block runs; yield the networks to join.

    Raises:
        GateFailed: a companion cannot be started or is not healthy in time. A GateFailed of the block gets
            the last lines of the companions.
    """
    needed = ctx.plan.service.companions_of(gate)
    if not needed:
        yield ()
        return
    secrets = _resolve_companion_secrets(ctx, gate, needed)
    images = {name: _companion_image(ctx, gate, name, each.image) for name, each in needed.items()}
    with _private_network(ctx, gate) as network, ExitStack() as stack:
        running = [
            stack.enter_context(_start_companion(ctx, network, name, each, images[name], secrets[name]))
            for name, each in needed.items()
        ]
        for each in running:
            _await_healthy(ctx, gate, each)
        try:
            yield (network,)
        except GateFailed as error:
            raise _add_companion_logs(ctx, gate, running, error) from error


def _resolve_companion_secrets(
    ctx: StageContext, gate: str, needed: Mapping[str, Companion]
) -> dict[str, Mapping[str, Redacted]]:
    """Return the secrets of all companions, by companion. Raises GateFailed with every unreadable secret."""
    found: dict[str, Mapping[str, Redacted]] = {}
    problems = []
    for name, each in needed.items():
        if not each.secrets:
            found[name] = {}
            continue
        found[name], unread = resolve_secrets(each.secrets, root=ctx.source.root, environ=ctx.environ)
        ctx.mask.hide(found[name].values())
        problems += [f"companions.{name}.secrets.{item.name}: {item.reason}" for item in unread]
    if problems:
        raise GateFailed(gate, "; ".join(problems), "give each secret a value, and run it again")
    return found


def _companion_image(ctx: StageContext, gate: str, name: str, text: str) -> StoredImage:
    """Return the image from the engine's store, pulled if missing. Raises GateFailed, RegistryError."""
    return ctx.shared_values.get_or_compute(
        f"companion {text}", lambda: _find_or_pull_image(ctx, gate, name, text)
    )


def _find_or_pull_image(ctx: StageContext, gate: str, name: str, text: str) -> StoredImage:
    is_id = text.startswith("sha256:")
    reference = None if is_id else Reference.parse(text)
    digest = Digest(text) if reference is None else reference.digest
    assert digest is not None  # noqa: S101 - the configuration refuses an image without one
    stored = (ctx.engine.inspect(reference) if reference is not None else None) or ctx.engine.inspect(digest)
    if stored is not None:
        return stored
    if reference is None or reference.repository.host == _EMBEDDED:
        raise GateFailed(
            gate,
            f"the engine has no image {text} for the companion {name}",
            "load it with `docker load`, or write an image of a registry with its digest",
        )
    ctx.report_progress(gate, f"pulling {text} for the companion {name}")
    return ctx.engine.pull(reference, cancellation=ctx.cancellation)


@contextmanager
def _private_network(ctx: StageContext, gate: str) -> Iterator[str]:
    """Yield a private network; remove it after the block, once its containers are removed."""
    name = f"release-{ctx.run_folder.id}-{gate}"
    ctx.engine.create_network(name, ctx.container_labels(COMPANION), private=True)
    try:
        yield name
    finally:
        ctx.background.add(lambda: ctx.engine.remove_network(name))


@contextmanager
def _start_companion(
    ctx: StageContext,
    network: str,
    name: str,
    settings: Companion,
    image: StoredImage,
    secrets: Mapping[str, Redacted],
) -> Iterator[_StartedCompanion]:
    spec = ContainerSpec(
        image=image.id,
        env={**settings.env, **{key: value.reveal() for key, value in secrets.items()}},
        labels=ctx.container_labels(COMPANION),
        networks=(network,),
        aliases=(name,),
        command=settings.command,
        entrypoint=settings.entrypoint,
        user=settings.user,
        memory=settings.memory,
        tmpfs=tuple(map(str, settings.tmpfs)),
        no_new_privileges=True,
        healthcheck=UNWATCHED,
    )
    with ctx.container(lambda: ctx.engine.create(spec)) as container:
        ctx.engine.start(container)
        yield _StartedCompanion(name=name, settings=settings, container=container)


def _await_healthy(ctx: StageContext, gate: str, companion: _StartedCompanion) -> None:
    """Run the companion's health command until it ends with 0. Raises GateFailed."""
    ctx.report_progress(gate, f"waiting for the companion {companion.name}")
    began, timeout = time.monotonic(), companion.settings.timeout
    while True:
        ctx.cancellation.check()
        left = timeout - int((time.monotonic() - began) * 1000)
        ended = _run_health_command(ctx, gate, companion, max(left, _LEAST_MS))
        if ended is not None and ended.status == 0:
            return
        if left <= 0 or (ended is not None and ended.status in _NO_PROGRAM):
            raise _unhealthy_error(ctx, gate, companion, ended)
        ctx.cancellation.pause(_PAUSE_SECONDS)


def _run_health_command(
    ctx: StageContext, gate: str, companion: _StartedCompanion, timeout: int
) -> Executed | None:
    """Return the end of the health command; None if it takes too long.

    Raises GateFailed: the companion ended.
    """
    try:
        ended = ctx.engine.execute(
            companion.container,
            companion.settings.health,
            env={},
            timeout=timeout,
            cancellation=ctx.cancellation,
            limit=_OUTPUT_BYTES,
        )
    except TimeoutError:
        return None
    except EngineError:
        _refuse_ended_companion(ctx, gate, companion)
        raise
    if ended.status != 0:  # 126 also if the container ended at the same moment
        _refuse_ended_companion(ctx, gate, companion)
    return ended


def _refuse_ended_companion(ctx: StageContext, gate: str, companion: _StartedCompanion) -> None:
    if found := _describe_end(ctx.engine.state(companion.container)):
        hint = "its own last lines, above, say why: correct its `env`, `command` or `memory`"
        raise _companion_error(ctx, gate, companion, found, hint) from None


def _describe_end(state: ContainerState | None) -> str:
    """Return how the companion ended; empty if it runs."""
    if state is None:
        return "is gone"
    if state.status == "running":
        return ""
    memory = ": it needed more memory than its `memory`" if state.oom_killed else ""
    return f"ended with status {state.exit_code}{memory}"


def _unhealthy_error(
    ctx: StageContext, gate: str, companion: _StartedCompanion, ended: Executed | None
) -> GateFailed:
    command, timeout = shlex.join(companion.settings.health), companion.settings.timeout / 1000
    if ended is None:
        found = f"is not healthy after {timeout:g} s: `{command}` still runs"
    else:
        found = f"is not healthy: `{command}` ended with status {ended.status}"
        found += "" if ended.status in _NO_PROGRAM else f" for {timeout:g} s"
    lacks = ended is not None and ended.status in _NO_PROGRAM
    hint = (
        "correct `health`: its image has no such program" if lacks else "correct `health`, or raise `timeout`"
    )
    output = (ended.output + ended.errors).decode(errors="replace").splitlines() if ended is not None else []
    return _companion_error(ctx, gate, companion, found, hint, output[-_SHOWN_LINES:])


def _companion_error(
    ctx: StageContext,
    gate: str,
    companion: _StartedCompanion,
    found: str,
    hint: str,
    output: list[str] | None = None,
) -> GateFailed:
    """Return the error with the output of the health command and of the companion."""
    lines = _write_companion_log(ctx, gate, companion)[-TAIL_LINES:]
    words = [f"{companion.settings.health[0]}: {line}" for line in output or ()]
    where = f" ([tool.release.companions.{companion.name}])"
    found = ctx.mask(f"the companion {companion.name} {found}")
    return GateFailed(gate, found, hint + where, ctx.mask.lines([*words, *lines]))


def _add_companion_logs(
    ctx: StageContext, gate: str, running: list[_StartedCompanion], error: GateFailed
) -> GateFailed:
    """Return the gate's error with the last lines of its companions, and the names of those that ended."""
    shown, ends = list(error.tail), []
    for companion in running:
        with suppress(EngineError):
            if end := _describe_end(ctx.engine.state(companion.container)):
                ends.append(f"; the companion {companion.name} {end}")
        shown += [
            f"{companion.name}: {line}" for line in _write_companion_log(ctx, gate, companion)[-_SHOWN_LINES:]
        ]
    return GateFailed(error.stage, error.found + "".join(ends), error.hint, ctx.mask.lines(shown))


def _write_companion_log(ctx: StageContext, gate: str, companion: _StartedCompanion) -> tuple[str, ...]:
    """Write the companion's output into the gate's log and return the output; empty if it cannot be read."""
    try:
        lines = ctx.engine.logs(companion.container, lines=_LOG_LINES)
    except EngineError:
        return ()
    ctx.write_log(gate, [f"output of the companion {companion.name}:", *lines])
    return lines
