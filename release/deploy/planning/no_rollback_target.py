"""Reason why a rollback without --to has no target."""

from __future__ import annotations

from collections.abc import Sequence


def no_target_reason(quarantined: Sequence[bool], wanted: int) -> str:
    """Return why there is no release to go back to; empty if there may be one.

    Args:
        quarantined: of each release that was judged, if it is quarantined; the one that runs comes first.
        wanted: the number of other releases after which no more are judged.
    """
    if not quarantined:
        return "no release was verified healthy here yet"
    standing = quarantined.count(False)
    if standing >= wanted or standing > 1:
        return ""
    if not standing:
        return f"{_every(len(quarantined))} quarantined, so a rollback without --to has no target"
    if quarantined[0]:
        return ""
    if len(quarantined) == 1:
        return "only one release ran here, so a rollback without --to has no target"
    return f"{_others(len(quarantined) - 1)} quarantined, so a rollback without --to has no target"


def _every(count: int) -> str:
    return "the one release that ran here is" if count == 1 else f"all {count} releases that ran here are"


def _others(count: int) -> str:
    if count == 1:
        return "the other release that ran here is"
    return f"the other {count} releases that ran here are"
