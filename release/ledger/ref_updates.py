"""Moves of the ledger's references: their values, pauses between attempts, input and output of git."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Final

from release.text.shortening import shortened
from release.values import Struct

_LINE: Final = 500
"""Characters of a server's line that an error carries."""

_PATIENT_LOSSES: Final = 6
"""Number of lost races before a writer stops to wait."""


class Tag(Struct, frozen=True, kw_only=True):
    """Git tag to create: the tag object, and its commit."""

    name: str
    commit: str
    object: str

    @property
    def ref(self) -> str:
        """Return the full name of the tag's reference."""
        return f"refs/tags/{self.name}"


class Move(Struct, frozen=True, kw_only=True):
    """References that land together: the ledger from `base` to `commit`, and a tag. Either may be None."""

    base: str | None
    commit: str | None
    tag: Tag | None


class ServerDeadline(Struct, frozen=True, kw_only=True):
    """Time limit for a server: a deadline for all requests, or else the limit of each request."""

    moment: float | None = None

    @classmethod
    def after(cls, seconds: float | None) -> ServerDeadline:
        """Return the deadline in `seconds` from now; None: no deadline for all requests."""
        return cls(moment=time.monotonic() + seconds if seconds is not None else None)

    def left(self, seconds: float) -> float:
        """Return the seconds that one request may take, at most `seconds`."""
        return seconds if self.moment is None else max(0.0, min(seconds, self.moment - time.monotonic()))

    def is_over(self) -> bool:
        """Return whether no time is left."""
        return self.moment is not None and time.monotonic() >= self.moment


class Refusal(Struct, frozen=True, kw_only=True):
    """Reference that a push did not move, and git's reason."""

    ref: str
    summary: str


class LocalRefs(Struct, frozen=True, kw_only=True):
    """References of the ledger in this clone."""

    seen: str | None
    """Newest commit of the server at the last fetch."""
    tracking: str | None
    local: str | None
    verified: str | None
    """Commit that this clone has proved."""
    checked_out: bool
    """True: a working tree has the local branch checked out."""


def pause_before_retry(attempt: int) -> None:
    """Sleep before the next attempt: longer each time, by a random length."""
    time.sleep(random.SystemRandom().uniform(0.0, min(0.5, 0.05 * 2**attempt)))


def pause_for_other_writers(attempt: int, seconds: float, sleep: Callable[[float], None]) -> None:
    """Sleep after another writer was faster.

    Args:
        attempt: number of lost attempts before this one, from 0. The pause grows at first, because other
            writers may be many. After many lost attempts it is short, so that this writer wins.
        seconds: duration of one attempt; the pause is in proportion to it.
        sleep: function that sleeps for a number of seconds.
    """
    spread = 2 ** min(attempt + 1, 3) if attempt < _PATIENT_LOSSES else 1
    sleep(random.SystemRandom().uniform(0.0, min(seconds, 1.0) * spread))


def parse_push(output: str) -> tuple[Refusal, ...]:
    """Return the refused references in output of `git push --porcelain`: `flag TAB from:to TAB summary`."""
    rows = (line.split("\t") for line in output.splitlines() if line.startswith("!\t"))
    return tuple(
        Refusal(
            ref=row[1].rpartition(":")[2],
            summary=row[2],
        )
        for row in rows
        if len(row) == 3
    )


def update_ref_input(updates: Mapping[str, tuple[str, str | None]]) -> bytes:
    """Return input for `git update-ref --stdin` that moves all references to new objects, or none.

    None as the old object: the reference must not exist.
    """
    rows = (
        f"update {ref} {new} {old if old is not None else '0' * len(new)}\n"
        for ref, (new, old) in updates.items()
    )
    return ("start\n" + "".join(rows) + "prepare\ncommit\n").encode()


def server_lines(errors: str) -> list[str]:
    """Return the server's lines in git's output, which begin with `remote:`."""
    lines = (
        line.removeprefix("remote:").strip() for line in errors.splitlines() if line.startswith("remote:")
    )
    return [shortened(line, _LINE) for line in lines if line][:5]
