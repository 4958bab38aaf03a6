"""Findings of `invoke doctor`: what was looked at, what was found, and what to do."""

from __future__ import annotations

from collections.abc import Callable

from release.errors import ReleaseError
from release.values import Struct


class Finding(Struct, frozen=True, kw_only=True):
    """Result of one check. `hint` says what to do if the result is not well."""

    name: str
    well: bool
    found: str
    hint: str = ""
    """Command that corrects the problem, or the next step."""
    unknown: bool = False
    """True: the check was not possible from here, which alone is no reason to stop."""

    @property
    def state(self) -> str:
        """Return "ok", "not ok" or "unknown"."""
        if self.unknown:
            return "unknown"
        return "ok" if self.well else "not ok"


def finding(name: str, look: Callable[[], str]) -> Finding:
    """Return the result of a check; an error becomes a finding that is not well."""
    try:
        return Finding(name=name, well=True, found=look())
    except ReleaseError as error:
        return ill(name, error)


def ill(name: str, error: ReleaseError) -> Finding:
    """Return an error as a finding that is not well."""
    return Finding(name=name, well=False, found=f"cannot {error.attempted}: {error.found}", hint=error.hint)
