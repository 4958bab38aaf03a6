"""The three answers of the lock gate. They are never mixed up."""

from __future__ import annotations

from collections.abc import Mapping

from release.values import Struct


class Fresh(Struct, frozen=True, kw_only=True):
    """The lockfile says what is declared."""

    packages: Mapping[str, str]
    """Versions by normalised name."""
    remark: str = ""
    """A limit of the check, for people."""


class Stale(Struct, frozen=True, kw_only=True):
    """The lockfile does not say what is declared, or is not a complete lockfile."""

    differences: tuple[str, ...]
    """Each as a phrase: the requirement, how it is declared, how it is locked."""
    mend: str
    """The next step, with the command that makes the lockfile again."""
    verdict: str = "is stale"
    tail: tuple[str, ...] = ()
    """Last lines of the tool, or lines to write into the file."""


class Unchecked(Struct, frozen=True, kw_only=True):
    """No answer: network, tool, a file that cannot be read, or another Python."""

    reason: str
    hint: str
    tail: tuple[str, ...] = ()


Answer = Fresh | Stale | Unchecked
