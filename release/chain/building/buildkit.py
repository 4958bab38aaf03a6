"""One run of BuildKit: its progress, and more attempts if the cause of a failure is not the Dockerfile."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from release.chain.building.failure import FailedBuild, explain_build_failure
from release.chain.building.progress import BuildProgress, parse_step
from release.chain.building.rawjson import RawProgressReader
from release.chain.stage_context import StageContext
from release.errors import CommandFailed, EngineUnreachable, GateFailed, ReleaseError
from release.events import Notice
from release.images.credentials import write_docker_config
from release.images.engine import StoredImage
from release.programs.environment import ENGINE
from release.programs.process import Command, Completed, output_of
from release.reference import Reference
from release.retry import RetryPolicy
from release.values import replace

STRUCTURED: Final = "rawjson"
"""Value of `--progress` for buildx 0.13 and later; for older versions `run_buildkit` uses "plain"."""

_SINCE: Final = (0, 13)
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)")

_PATIENCE: Final = RetryPolicy(attempts=3, first=2.0, longest=5.0)
"""Number of attempts of a build that failed outside its Dockerfile."""


_DAMAGED: Final = (
    "the build before was interrupted and may have damaged the cache: building without the cache"
)
_IMPORT: Final = "--cache-from"

_FINISH_SECONDS: Final = 600.0
"""Seconds that a running instruction gets to finish after another gate failed."""
_LOOK_SECONDS: Final = 0.05


def buildx_version() -> str:
    """Return the version of buildx. Raises GateFailed: buildx is not installed."""
    return _read_buildx_version(os.environ.get("PATH", ""), os.environ.get("DOCKER_CONFIG", ""))


@lru_cache(maxsize=4)
def _read_buildx_version(_path: str, _config: str) -> str:
    """Return the version of buildx, cached by PATH and docker's configuration folder."""
    try:
        return output_of(["docker", "buildx", "version"], inherits=ENGINE).split()[1]
    except (CommandFailed, IndexError) as error:
        raise GateFailed(
            "build",
            "docker has no buildx plugin, which builds the image",
            "install docker-buildx-plugin, then check: docker buildx version",
        ) from error


def _use_supported_progress(command: Command) -> Command:
    """Return the command with plain progress, if buildx has no structured progress."""
    if STRUCTURED not in command.argv:
        return command
    try:
        found = _VERSION.match(buildx_version())
    except ReleaseError:  # the build itself will say so
        found = None
    if found is not None and (int(found[1]), int(found[2])) >= _SINCE:
        return command
    return replace(command, argv=tuple("plain" if word == STRUCTURED else word for word in command.argv))


class _BuildFailed(Exception):
    """Raised if BuildKit ended with a status other than 0. The image may exist nevertheless."""

    def __init__(self, completed: Completed, progress: BuildProgress, stands: StoredImage | None) -> None:
        super().__init__(completed, progress, stands)
        self.completed, self.progress, self.stands = completed, progress, stands


def run_buildkit(
    ctx: StageContext, stage: str, name: Reference, command: Command, *, hint: str = ""
) -> BuildProgress:
    """Run BuildKit; repeat a build that failed outside its Dockerfile.

    Builds of one commit that end at the same moment collide when the engine's store names their image
    (containerd: "already exists"), and an overloaded one may fail after the naming. Or the engine was
    restarted, was too slow, or lost the session; a base image may be found the next time.

    Raises:
        GateFailed: with the last lines of the log. EngineUnreachable: the engine caused the failure.
    """
    failures: list[Completed] = []
    command = _use_supported_progress(command)

    def once(asked: Command = command) -> BuildProgress:
        reader = RawProgressReader()
        with ctx.run_folder.temporary_folder("docker") as folder:
            logins = write_docker_config(folder, ctx.environ)
            ready = replace(asked, env={**asked.env, **logins})
            try:
                completed = ctx.execute(
                    stage,
                    ready,
                    check=False,
                    shown=parse_step,
                    translate=reader.feed,
                    before_stop=partial(_wait_for_running_steps, ctx, stage, reader),
                )
            finally:
                reader.close()
        progress = reader.progress(completed.output)
        if completed.status != 0:
            failures.append(completed)
            raise _BuildFailed(completed, progress, ctx.engine.inspect(name))
        return progress

    try:
        try:
            return _PATIENCE.trying(once, partial(_should_build_again, ctx, stage, name), ctx.cancellation)
        except _BuildFailed as error:
            if error.progress.has_imported_cache and (bare := _remove_cache_imports(command)) != command:
                return _build_without_imported_cache(ctx, stage, partial(once, bare))
            if not _is_cache_damage_likely(ctx, error, is_first=len(failures) == 1):
                raise
            ctx.report_progress(stage, _DAMAGED)
            return once(_add_no_cache_option(command))
    except _BuildFailed as error:
        raise _final_build_error(ctx, stage, error, command, hint) from None


def _wait_for_running_steps(ctx: StageContext, stage: str, reader: RawProgressReader) -> None:
    """Wait for running instructions if another gate failed: BuildKit caches finished instructions only.

    A signal ends the wait.
    """
    left, deadline = reader.running_instructions(), time.monotonic() + _FINISH_SECONDS
    if left and not ctx.cancellation.at_once.is_set():
        ctx.report_progress(
            stage,
            "another gate failed: finishing the current build step, so that the next build "
            "finds it in the cache",
        )
    while left and time.monotonic() < deadline and not ctx.cancellation.at_once.wait(_LOOK_SECONDS):
        left &= reader.running_instructions()


def _is_cache_damage_likely(ctx: StageContext, error: _BuildFailed, *, is_first: bool) -> bool:
    """Return whether an instruction failed right after an interrupted build.

    BuildKit may cache a damaged step of the interrupted build. Seen with BuildKit 0.13 in Docker Engine 26.1.
    """
    failed = error.stands is None and bool(error.progress.failed_instruction)
    return failed and (not is_first or ctx.run_folder.was_last_run_interrupted_in(("build", "test")))


def _build_without_imported_cache(
    ctx: StageContext, stage: str, build: Callable[[], BuildProgress]
) -> BuildProgress:
    """Build once more without the imported cache: a layer that is missing there makes an instruction fail."""
    ctx.report_progress(stage, "the build with the imported cache failed: building again without it")
    progress = build()
    text = (
        "the build cache cannot be used, so the image was built without it; the next release exports it again"
    )
    ctx.emit(Notice(text=f"{text}. No action needed."))
    return progress


def _remove_cache_imports(command: Command) -> Command:
    """Return the command without the options that import a cache."""
    words = list(command.argv)
    while _IMPORT in words:
        place = words.index(_IMPORT)
        del words[place : place + 2]
    return replace(command, argv=tuple(words))


def _add_no_cache_option(command: Command) -> Command:
    """Return the command with `--no-cache`."""
    words = list(command.argv)
    if "build" in words and "--no-cache" not in words:
        words.insert(words.index("build") + 1, "--no-cache")
    return replace(command, argv=tuple(words))


def _should_build_again(
    ctx: StageContext, stage: str, name: Reference, error: Exception, attempts_left: int
) -> bool | float:
    """Return whether to build once more after the usual pause; 0.0 for at once, after a name collision."""
    if isinstance(error, EngineUnreachable):
        ctx.report_progress(
            stage,
            f"BuildKit failed, and then the engine: {error.found}; building again ({attempts_left} left)",
        )
        return True
    if not isinstance(error, _BuildFailed) or not error.progress.has_begun:
        return False
    last = next(reversed(error.completed.tail), "it gave no reason")
    if error.stands is not None:
        ctx.report_progress(
            stage, f"BuildKit failed, although the engine has {name}: building again ({attempts_left} left)"
        )
        return 0.0
    if error.progress.is_image_lookup_failure:
        ctx.report_progress(
            stage, f"the lookup of an image failed ({last}): building again ({attempts_left} left)"
        )
        return True
    if error.progress.is_failure_outside_dockerfile:
        ctx.report_progress(
            stage, f"BuildKit failed outside the Dockerfile ({last}): building again ({attempts_left} left)"
        )
        return True
    return False


def _final_build_error(
    ctx: StageContext, stage: str, error: _BuildFailed, command: Command, hint: str
) -> GateFailed:
    if not error.progress.has_begun:
        buildx_version()
    failure = FailedBuild(
        stage=stage,
        progress=error.progress,
        attempts=_PATIENCE.attempts,
        command=command,
        image_exists=error.stands is not None,
        hint=hint,
    )
    return GateFailed(stage, *explain_build_failure(ctx, failure), error.completed.tail)
