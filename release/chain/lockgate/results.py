"""The three answers of the lock gate: fresh, stale, not checked."""

from __future__ import annotations

from collections.abc import Mapping

from release.programs.process import Completed
from release.values import Struct


class Fresh(Struct, frozen=True, kw_only=True):
    """Answer: the lockfile contains the declared requirements."""

    packages: Mapping[str, str]
    """Versions by normalised name."""
    remark: str = ""
    """Limit of the check, as a sentence."""


class Stale(Struct, frozen=True, kw_only=True):
    """Answer: the lockfile differs from the declared requirements, or is not complete."""

    differences: tuple[str, ...]
    """Differences as phrases: requirement, declared version, locked version."""
    next_step: str
    """Next step with the command that makes the lockfile again."""
    verdict: str = "is stale"
    tail: tuple[str, ...] = ()
    """Last lines of the tool, or lines to write into the file."""


class Unchecked(Struct, frozen=True, kw_only=True):
    """Answer: not checked because of the network, a tool, an unreadable file, or another Python."""

    reason: str
    hint: str
    tail: tuple[str, ...] = ()


Answer = Fresh | Stale | Unchecked


def tool_failure_answer(reason: str, done: Completed, command: str) -> Unchecked:
    """Return the answer for a failed tool whose status does not tell whether the package index is the cause.

    Args:
        reason: what failed.
        done: the failed tool.
        again: shell command that shows the failure again.
    """
    hint = (
        "check that this machine reaches the package index (address, network, proxy; `lock.pass_env` passes "
        f"a login), else correct what the tool's last lines name; run `{command}` to see it again"
    )
    return Unchecked(reason=reason, hint=hint, tail=done.tail)
