"""Findings of a gate: which of them remain after the waivers, and how a message lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from release.values import Struct


class JudgedFindings(Struct, frozen=True, kw_only=True):
    """Findings of a gate without a waiver, and the waivers that were used."""

    open: tuple[str, ...] = ()
    """Findings without a waiver, as sentences."""
    waivers: Mapping[str, str] = {}
    """Reasons by finding: the id of a vulnerability, or the name of a rule."""


def join_first(texts: Sequence[str], shown: int) -> str:
    """Return the first texts and the number of the others, as "a; b; and 3 more"."""
    rest = len(texts) - shown
    return "; ".join(texts[:shown]) + (f"; and {rest} more" if rest > 0 else "")
