"""Times for people, in the time zone of this machine. Records and JSON keep UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_time(moment: str) -> str:
    """Return a moment of a record as "2026-11-30 11:16:09Z", for pages that readers of all zones share."""
    return moment[:19].replace("T", " ") + "Z"


def local_time(moment: datetime | str | None = None) -> str:
    """Return a moment, or now, as "2026-11-30 12:16:09 CET".

    Args:
        moment: time with a zone, or text of a record (RFC 3339). Other text is returned unchanged.
    """
    try:
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment or datetime.now(UTC)
    except ValueError:
        return str(moment)
    local = at.astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname() or local.strftime('%z')}"
