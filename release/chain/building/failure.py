"""Causes of a failed build, with hints. A hint is here only if following the hint corrects the failure."""

from __future__ import annotations

import shlex
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from release.chain.building.dockerfile import parse_stages
from release.chain.building.progress import BuildProgress
from release.chain.building.selection import read_committed_dockerfile, read_ignore_file
from release.chain.stage_context import StageContext
from release.errors import ReleaseError
from release.git.commit_files import Committed
from release.programs.process import Command
from release.values import Struct

_FAILED: Final = "the image could not be built"
_WILD: Final = frozenset("*?[\\$")
"""Wildcard characters and variables in a source of COPY: the source may name any number of files."""


class FailedBuild(Struct, frozen=True, kw_only=True):
    """The last failed attempt of a build."""

    stage: str
    """Stage of the chain."""
    progress: BuildProgress
    command: Command
    attempts: int
    image_exists: bool
    """True: the engine has the image in spite of the failure."""
    hint: str
    """Hint of the caller for a failed instruction."""

    @property
    def target(self) -> str:
        """Return the Dockerfile's stage that is built; empty for the last stage."""
        return self._command_option("--target")

    @property
    def dockerfile(self) -> str:
        """Return the name of the Dockerfile."""
        return Path(self._command_option("--file") or "Dockerfile").name

    @property
    def dockerfile_line(self) -> str:
        """Return the line of the Dockerfile that the error is about, in words."""
        line = self.progress.dockerfile_line
        return f"line {line} of {self.dockerfile}" if line is not None else self.dockerfile

    def _command_option(self, name: str) -> str:
        words = self.command.argv
        return words[words.index(name) + 1] if name in words[:-1] else ""

    @property
    def context_files(self) -> frozenset[str]:
        """Return the paths of the build context; empty if the context cannot be read."""
        if self.command.stdin is None:
            folder = Path(self.command.argv[-1])
            return frozenset(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
        try:
            with tarfile.open(self.command.stdin) as archive:
                return frozenset(archive.getnames())
        except (OSError, tarfile.TarError):
            return frozenset()


def explain_build_failure(ctx: StageContext, failure: FailedBuild) -> tuple[str, str]:
    """Return the cause and the next step; an empty next step if no hint helps."""
    progress = failure.progress
    if not progress.has_begun:
        return "BuildKit did not start", failure.hint or "follow its last lines"
    if image := progress.missing_frontend:
        return (
            f"{_FAILED}: the lookup of the image of its `# syntax=` line, {image}, failed",
            (
                f"remove the `# syntax=` line of {failure.dockerfile}, because BuildKit can "
                "read Dockerfiles itself; or make the registry of that image reachable"
            ),
        )
    if progress.is_image_lookup_failure:
        return (
            f"{_FAILED}: the lookup of a base image failed: {progress.missing_images}",
            (
                f"check that {failure.dockerfile_line} names an existing image or stage, that its "
                "registry answers, and that you are logged in"
            ),
        )
    if not failure.image_exists and progress.is_failure_outside_dockerfile:
        return (
            f"{_FAILED}: the engine ended the build {failure.attempts} times",
            (
                "no instruction of the Dockerfile failed: check the engine with `journalctl -u "
                "docker`, `df -h` and `free -m`"
            ),
        )
    return _explain_dockerfile_failure(ctx, failure)


def _explain_dockerfile_failure(ctx: StageContext, failure: FailedBuild) -> tuple[str, str]:
    instruction = failure.progress.failed_instruction
    if instruction:
        absent = _find_missing_sources(failure, instruction)
        if absent:
            return f"{_FAILED}: the context does not contain {', '.join(absent)}", _hint_for_missing_sources(
                ctx, failure, absent
            )
        return f"{_FAILED}: `{instruction}` failed", failure.hint or f"correct {failure.dockerfile_line}"
    if failure.progress.dockerfile_line is not None:
        return (
            f"{_FAILED}: BuildKit refuses {failure.dockerfile_line}",
            failure.hint or f"correct {failure.dockerfile_line}",
        )
    stages = _stage_names(ctx)
    if failure.target and failure.target.lower() not in stages:
        known = (
            ", ".join(stages) or f"none: name a stage in {failure.dockerfile}, as FROM … AS {failure.target}"
        )
        return (
            f"{_FAILED}: {failure.dockerfile} has no stage {failure.target!r}",
            f"set `{failure.stage}.target` to one of its stages: {known}",
        )
    return _FAILED, failure.hint


def _find_missing_sources(failure: FailedBuild, instruction: str) -> list[str]:
    """Return the sources of a COPY or ADD that the context lacks; empty if that is not certain."""
    files = failure.context_files
    return [source for source in _copy_sources(instruction) if files and not _is_in_context(source, files)]


def _copy_sources(instruction: str) -> Iterator[str]:
    """Return the paths that COPY or ADD takes from the context, without other stages and wildcards."""
    try:
        name, *words = shlex.split(instruction.replace("[", " ").replace("]", " ").replace(",", " "))
    except ValueError:
        return
    if name.upper() not in ("COPY", "ADD") or any(word.startswith(("--from=", "<<")) for word in words):
        return
    paths = [word for word in words if not word.startswith("--")]
    for path in paths[:-1]:
        if "://" not in path and not path.startswith("git@") and _WILD.isdisjoint(path):
            yield str(PurePosixPath("/", path)).strip("/")


def _is_in_context(path: str, files: frozenset[str]) -> bool:
    return path in ("", ".") or ".." in path or path in files or any(f.startswith(f"{path}/") for f in files)


def _hint_for_missing_sources(ctx: StageContext, failure: FailedBuild, absent: list[str]) -> str:
    """Return the hint for missing sources: commit them, or remove them from the ignore file."""
    plan, folder = ctx.plan, Path(ctx.plan.service.context)
    try:
        committed = frozenset(Committed(ctx.source, plan.commit.id, plan.service.context).leaves)
        ignore, _ = read_ignore_file(ctx.source, plan)
    except ReleaseError:
        return f"correct {failure.dockerfile_line}"
    left_out = [path for path in absent if _is_in_context(path, committed)]
    missing = [path for path in absent if path not in left_out]
    steps = [f"commit {(folder / path).as_posix()}" for path in missing]
    steps += [f"remove {path} from {ignore}, because the file is committed" for path in left_out]
    return f"{'; '.join(steps)}; or correct {failure.dockerfile_line}"


def _stage_names(ctx: StageContext) -> list[str]:
    """Return the names of the Dockerfile's stages."""
    try:
        content = read_committed_dockerfile(ctx.source, ctx.plan)
    except ReleaseError:
        return []
    return [stage.name for stage in parse_stages(content.decode("utf-8", "replace")) if stage.name]
