"""Length limit for texts in new records.

Existing records are never changed, because the id of a record is the hash of its bytes.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, ValidationInfo

LONGEST: Final = 4_000
"""Characters."""

_ROOM: Final = 50
"""For the words about the rest."""

RECORDED: Final = {"recorded": True}
"""The context in which a record that exists is read."""


def shorten_for_record(text: str) -> str:
    """Return the text, or its first characters with the number of the others."""
    if len(text) <= LONGEST:
        return text
    kept = LONGEST - _ROOM
    return f"{text[:kept]}… ({len(text) - kept:,} more characters)"


def _unless_recorded(text: str, info: ValidationInfo) -> str:
    return text if (info.context or {}).get("recorded") else shorten_for_record(text)


Brief = Annotated[str, AfterValidator(_unless_recorded)]
"""Text of at most `LONGEST` characters in a new record."""
