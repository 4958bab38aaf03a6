"""The end of an operation whose operator died: the next operation records it."""

from __future__ import annotations

from typing import Any

from release.deploy.core.operations import RUN
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.execution import recording
from release.events import Warned
from release.ledger import query
from release.records import Body, Draft
from release.records.events import Operation


def ends_of_dead(live: LiveEnvironment) -> list[Draft[Body]]:
    """Return the end of an operation whose operator died. The lock proves that nobody works on it."""
    left = query.unfinished_operation(live.workspace.ledger, live.place.service, live.place.environment)
    if left is None:
        return []
    body = left.operation.model_copy(update=_end_of_dead(live, left.operation))
    live.workspace.emit(Warned(text=f"interrupted before: {left}; its end is recorded as {body.status}"))
    return [recording.draft(live, left.operation.operation, body)]


def _end_of_dead(live: LiveEnvironment, operation: Operation) -> dict[str, Any]:
    """Return status and detail of the end. A command of `run` goes on without its operator."""
    gone = "its operator was gone before it ended"
    one_offs = live.target.operations.one_offs() if operation.what == RUN else ()
    found = next((each for each in one_offs if each.name.endswith(f"-{RUN}-{operation.operation}")), None)
    if found is None:
        return {"status": "failed", "detail": gone}
    if found.status == "running":
        return {"status": "failed", "detail": f"{gone}; the command still ran, so its result is not known"}
    status = live.target.operations.end(found.id, grace=0)
    if status is None:
        return {"status": "failed", "detail": gone}
    return {"status": "done", "detail": f"exit status {status}; {gone}", "exit_status": status}
