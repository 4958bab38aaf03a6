"""Lock tools in separate environments. A program on the PATH is used only if none can be installed."""

from __future__ import annotations

import re
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.requirements import InvalidRequirement, Requirement

from release.chain.lockgate.checking import LockTool
from release.chain.lockgate.results import Unchecked
from release.chain.tools import Toolset, install_tool_environment
from release.errors import Cancelled, GateFailed, ReleaseError
from release.programs.cancellation import Cancellation
from release.programs.environment import BASIC
from release.programs.process import Command, Completed, run
from release.values import replace

if TYPE_CHECKING:
    from release.chain.stage_context import StageContext


LIMIT_SECONDS: Final = 600.0
"""Time limit of a lock tool, in seconds."""

TIMED_OUT: Final = 124
"""Exit status of a tool that reached the limit, as of timeout(1)."""


BESIDE: Final = {"pdm": ("hishel[httpx2]==1.4.0",)}
"""Further requirements of a tool. PDM 2.29.4 allows hishel 2, but uses a module that only hishel 1 has."""


def run_lock_tool(ctx: StageContext, command: Command, *, limit: float = LIMIT_SECONDS) -> Completed:
    """Run a tool until it ends or reaches the limit; return its result. Raises Cancelled."""
    own = Cancellation()
    why = f"the tool was stopped after {limit:.0f} s"
    timer = threading.Timer(limit, own.request, (why,))
    timer.start()
    try:
        with ctx.cancellation.stopping(lambda: own.request("the run is stopped")):
            return replace(ctx, cancellation=own).execute("lock", command, check=False)
    except Cancelled:
        ctx.cancellation.check()
        return Completed(status=TIMED_OUT, output=f"{why}\n")
    finally:
        timer.cancel()


def install_lock_tool(ctx: StageContext, tool: LockTool) -> str | Unchecked:
    """Return the path of a tool's program, installed once per version in `.release/tools`."""
    pass_env = ctx.plan.service.lock.pass_env
    requirements = (tool.requirement, *BESIDE.get(tool.program, ()))
    tools = Toolset(stage="lock", requirements=requirements, pass_env=pass_env)
    try:
        return str(install_tool_environment(ctx, Path(sys.executable), tools) / tool.program)
    except GateFailed as error:
        here = _find_on_path(tool)
        if here is not None:
            return here
        hint = (
            f"let this machine reach the package index, or install {tool.requirement} on the PATH; "
            "another version can be set as lock.tool"
        )
        reason = f"{tool.requirement} is neither installed nor installable here"
        return Unchecked(reason=reason, hint=hint, tail=error.tail)


def _find_on_path(tool: LockTool) -> str | None:
    """Return a program on the PATH with the required version; None if there is none."""
    program = shutil.which(tool.program)
    if program is None:
        return None
    try:
        done = run(Command(argv=(program, "--version"), inherits=BASIC), check=False)
        wanted = Requirement(tool.requirement).specifier
    except (ReleaseError, InvalidRequirement):
        return None
    version = re.search(r"\d+(\.\d+)+", done.output)
    return program if version is not None and wanted.contains(version[0]) else None
