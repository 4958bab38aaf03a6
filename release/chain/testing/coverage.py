"""The coverage report of the tests: brought out of their container, as evidence. Nothing depends on it."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any, Final

from release import private
from release.chain.stage_context import StageContext
from release.errors import EngineError, EngineUnreachable
from release.events import Warned

FILE: Final = "coverage.xml"
"""Its name in the folder of the run."""
_LARGEST: Final = 4 * 1024 * 1024


def bring_out(ctx: StageContext, container: str, workdir: str) -> None:
    """Copy the configured report into the folder of the run. One that is missing is told."""
    path = ctx.plan.service.test.coverage
    if path is None:
        return
    place = path if path.startswith("/") else f"{workdir.rstrip('/')}/{path}"
    content = None
    try:
        content = ctx.engine.read_file(container, place, limit=_LARGEST)
    except EngineUnreachable:
        raise
    except EngineError as error:
        ctx.emit(Warned(text=f"the coverage report {place} cannot be read: {error.found}. No action needed."))
        return
    if content is None:
        ctx.emit(Warned(text=f"the tests wrote no coverage report at {place}: correct test.coverage"))
        return
    private.write(ctx.folder.path / FILE, ctx.mask(content.decode("utf-8", "replace")))


def kept(ctx: StageContext) -> dict[str, Any]:
    """Return the report as data for a later run."""
    with suppress(OSError):
        return {"coverage": base64.b64encode((ctx.folder.path / FILE).read_bytes()).decode()}
    return {}


def restore(ctx: StageContext, data: Any) -> None:
    """Write the report of an earlier run into the folder of this one. Raises ValueError: it is damaged."""
    if data.get("coverage"):
        private.write(ctx.folder.path / FILE, base64.b64decode(data["coverage"], validate=True))
