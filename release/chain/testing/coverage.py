"""The coverage report of the tests, copied from their container as evidence.

No gate depends on the report.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any, Final

from release.chain.stage_context import StageContext
from release.errors import EngineError, EngineUnreachable
from release.events import Warned
from release.files import private

FILE: Final = "coverage.xml"
"""File name of the report in the run's folder."""
_LARGEST: Final = 4 * 1024 * 1024


def copy_coverage_report(ctx: StageContext, container: str, workdir: str) -> None:
    """Copy the configured report into the run's folder; warn if the report is missing."""
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
    private.write(ctx.run_folder.path / FILE, ctx.mask(content.decode("utf-8", "replace")))


def coverage_to_data(ctx: StageContext) -> dict[str, Any]:
    """Return the report as JSON data for the stage cache."""
    with suppress(OSError):
        return {"coverage": base64.b64encode((ctx.run_folder.path / FILE).read_bytes()).decode()}
    return {}


def restore_coverage(ctx: StageContext, data: Any) -> None:
    """Write a cached report into the run's folder. Raises ValueError: damaged data."""
    if data.get("coverage"):
        private.write(ctx.run_folder.path / FILE, base64.b64decode(data["coverage"], validate=True))
