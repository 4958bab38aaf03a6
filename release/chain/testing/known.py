"""Facts of the commit about its tests: their folders, and the stages of the Dockerfile that may run them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Final

from release.chain.building.dockerfile import DockerStage, stages_of
from release.chain.stage_context import StageContext
from release.committed import read_linked
from release.errors import SourceError
from release.values import Struct

_TEST: Final = re.compile(r"(test_.*|.*_test|tests)\.py")
"""Names of files with tests, by the conventions of pytest, unittest and Django."""


class Known(Struct, frozen=True, kw_only=True):
    """Facts of the commit, for hints."""

    tests: tuple[str, ...] = ()
    """Files and folders right below the context that hold tests; those named like tests first."""
    names: frozenset[str] = frozenset()
    """All files and folders right below the context, without `.py`."""
    stages: tuple[str, ...] = ()
    """Stages of the Dockerfile that are built on the released one."""


def known(ctx: StageContext) -> Known:
    """Return the facts of the commit; none if it cannot be read."""
    plan = ctx.plan
    with suppress(SourceError):
        build, context = plan.service.build, plan.service.context
        files = [PurePosixPath(path) for path in ctx.source.listing(plan.commit.id, context)]
        path = PurePosixPath(context, build.dockerfile).as_posix()
        dockerfile = read_linked(ctx.source, plan.commit.id, path) or b""
        return Known(
            tests=_tops(path for path in files if _TEST.fullmatch(path.name)),
            names=frozenset(path.parts[0].removesuffix(".py") for path in files),
            stages=_on_top(stages_of(dockerfile.decode("utf-8", "replace")), build.target),
        )
    return Known()


def _tops(files: Iterable[PurePosixPath]) -> tuple[str, ...]:
    tops = dict.fromkeys(path.parts[0] for path in files)
    return tuple(sorted(tops, key=lambda top: (not top.startswith("test"), top)))


def _on_top(stages: tuple[DockerStage, ...], released: str | None) -> tuple[str, ...]:
    """Without a released stage that has a name, nothing can be built on it."""
    if released is None:
        return ()
    return tuple(stage.name for stage in stages if stage.name and stage.base == released.lower())
