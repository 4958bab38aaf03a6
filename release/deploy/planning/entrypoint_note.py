"""Use of an image's ENTRYPOINT if the settings have a command."""

from __future__ import annotations

from typing import Final

from release.runspec import RunSpec

_CAUTION: Final = (
    "`command` replaces the ENTRYPOINT of the image, if it has one. The deployment before "
    'passed its command to the ENTRYPOINT as arguments; to keep that: `entrypoint = "keep"`'
)


def caution(old: RunSpec | None, new: RunSpec) -> str:
    """Return the plan's note on an ENTRYPOINT that is replaced now and was kept before; else empty.

    Records of older versions do not have the key `entrypoint`: these versions always kept it.
    """
    if old is None or old.command is None or new.command is None:
        return ""
    was_kept, is_replaced = old.entrypoint != "replace", new.entrypoint == "replace"
    return _CAUTION if was_kept and is_replaced else ""
