"""Text of a version with its mark."""

from __future__ import annotations


def version_text(version: str, *, recovered: bool) -> str:
    """Return "1.4.2", or "1.4.2 (recovered)" if the record was recovered from the image."""
    return f"{version} (recovered)" if recovered else version
