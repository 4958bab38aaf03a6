"""Marks that a release carries wherever its version is shown."""

from __future__ import annotations


def version_text(version: str, *, recovered: bool) -> str:
    """As "1.4.2", or "1.4.2 (recovered)" for a release whose record was made again from its image."""
    return f"{version} (recovered)" if recovered else version
