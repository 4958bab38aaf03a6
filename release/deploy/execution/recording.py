"""Events of deployments: made, added to the ledger, and reported as missing if that fails."""

from __future__ import annotations

from typing import Any

from release.actor import TOOL, utc_now_text
from release.deploy.environment.environment import EnvironmentRef
from release.errors import ReleaseError
from release.events import Warned
from release.records import Body, Draft, Record
from release.secrets.redact import Mask


def draft(env_ref: EnvironmentRef, run: str, body: Body) -> Draft[Body]:
    """Return a record with the current time and operator, for the run of this id."""
    return Draft(
        service=env_ref.place.service,
        recorded_at=utc_now_text(),
        actor=env_ref.workspace.actor,
        run=env_ref.workspace.run(run),
        tool=TOOL,
        body=body,
    )


def append_or_warn(
    env_ref: EnvironmentRef,
    drafts: list[Draft[Body]],
    missing: str,
    *,
    publish: bool,
    mask: Mask | None = None,
) -> tuple[Record[Body], ...]:
    """Append the records to the ledger. A failure is only a warning, because the work is done."""
    try:
        return env_ref.workspace.ledger.append_events(drafts, publish=publish) or ()
    except Exception as error:  # noqa: BLE001 - whatever it is, it undoes nothing
        text = unrecorded(missing, error)
        env_ref.workspace.emit(Warned(text=mask(text) if mask is not None else text))
        return ()


def unrecorded(missing: str, error: Exception) -> str:
    """Return a warning: which record is missing, why, and what to do."""
    if not isinstance(error, ReleaseError):
        return f"{missing} is not in the ledger: {error_text(error)}"
    text = f"{missing} is not in the ledger: {error.attempted}: {error.found}"
    return "; ".join(filter(None, [text, error.hint]))


def error_text(error: Exception) -> str:
    """Return an error of another library with its type."""
    return f"{type(error).__name__}: {error}"


def event_json(draft: Draft[Body], record: Record[Body] | None) -> dict[str, Any]:
    """Return an event as JSON data, with its record's id if it is published."""
    if record is not None:
        return {"id": record.id, **record.to_json()}
    waiting = draft.at(1, None).to_json()
    return {"id": None, **{key: value for key, value in waiting.items() if key not in ("seq", "prev")}}
