"""Facts about the commit's tests, for hints: their folders, and the Dockerfile stages that may run them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Final

from release.chain.building.dockerfile import DockerStage, parse_stages
from release.chain.stage_context import StageContext
from release.errors import SourceError
from release.git.commit_files import read_linked
from release.values import Struct

_TEST: Final = re.compile(r"(test_.*|.*_test|tests)\.py")
"""Pattern of test files, by the conventions of pytest, unittest and Django."""


class CommittedTests(Struct, frozen=True, kw_only=True):
    """Facts about the commit's tests."""

    tests: tuple[str, ...] = ()
    """Files and folders directly in the context that hold tests; names like "tests" first."""
    names: frozenset[str] = frozenset()
    """All files and folders directly in the context, without `.py`."""
    stages: tuple[str, ...] = ()
    """Dockerfile stages that are built on the released stage."""


def find_committed_tests(ctx: StageContext) -> CommittedTests:
    """Return the facts of the commit; empty facts if the commit cannot be read."""
    plan = ctx.plan
    with suppress(SourceError):
        build, context = plan.service.build, plan.service.context
        files = [PurePosixPath(path) for path in ctx.source.listing(plan.commit.id, context)]
        path = PurePosixPath(context, build.dockerfile).as_posix()
        dockerfile = read_linked(ctx.source, plan.commit.id, path) or b""
        return CommittedTests(
            tests=_top_folders(path for path in files if _TEST.fullmatch(path.name)),
            names=frozenset(path.parts[0].removesuffix(".py") for path in files),
            stages=_stages_on_top(parse_stages(dockerfile.decode("utf-8", "replace")), build.target),
        )
    return CommittedTests()


def _top_folders(files: Iterable[PurePosixPath]) -> tuple[str, ...]:
    tops = dict.fromkeys(path.parts[0] for path in files)
    return tuple(sorted(tops, key=lambda top: (not top.startswith("test"), top)))


def _stages_on_top(stages: tuple[DockerStage, ...], released: str | None) -> tuple[str, ...]:
    """Return the stages on top of the released one; none if the released stage has no name."""
    if released is None:
        return ()
    return tuple(stage.name for stage in stages if stage.name and stage.base == released.lower())
