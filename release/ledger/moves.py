"""A move of the ledger's references: its values, pauses, input and output of git."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Final

from release.brief import shortened
from release.values import Struct

_LINE: Final = 500
"""Characters of a server's line that an error carries."""

_PATIENT_LOSSES: Final = 6
"""Number of lost races before a writer stops to wait."""


class Tag(Struct, frozen=True, kw_only=True):
    """A git tag to be made: the tag object, and the commit it stands on."""

    name: str
    commit: str
    object: str

    @property
    def ref(self) -> str:
        """Its reference."""
        return f"refs/tags/{self.name}"


class Move(Struct, frozen=True, kw_only=True):
    """References that land together: the ledger from `base` to `commit`, and a tag. Either may be absent."""

    base: str | None
    commit: str | None
    tag: Tag | None


class ServerDeadline(Struct, frozen=True, kw_only=True):
    """Limit for a server: a moment for all questions, or without one the limit of each question."""

    moment: float | None = None

    @classmethod
    def after(cls, seconds: float | None) -> ServerDeadline:
        """So many seconds from now; None: without such a moment."""
        return cls(moment=time.monotonic() + seconds if seconds is not None else None)

    def left(self, seconds: float) -> float:
        """Return what one question may take that deserves so many seconds."""
        return seconds if self.moment is None else max(0.0, min(seconds, self.moment - time.monotonic()))

    def is_over(self) -> bool:
        """Return whether nothing is left."""
        return self.moment is not None and time.monotonic() >= self.moment


class Refusal(Struct, frozen=True, kw_only=True):
    """A reference that a push did not move: what it is, and what git says about it."""

    ref: str
    summary: str


class LocalRefs(Struct, frozen=True, kw_only=True):
    """The ledger's references in this clone."""

    seen: str | None
    """Commit of the server when we last read it."""
    tracking: str | None
    local: str | None
    verified: str | None
    """Commit that this clone has proved."""
    checked_out: bool
    """True: a working tree has the local branch checked out."""


def pause_before_retry(attempt: int) -> None:
    """Sleep before something that was refused is tried again: longer each time, differently each time."""
    time.sleep(random.SystemRandom().uniform(0.0, min(0.5, 0.05 * 2**attempt)))


def pause_for_other_writers(attempt: int, seconds: float, sleep: Callable[[float], None]) -> None:
    """Wait after another writer came first.

    Args:
        attempt: how often that has happened, from 0. The pause grows at first, as others may be many; who
            has lost often is made the next to win by a short one.
        seconds: how long an attempt takes here and now; the pause is in proportion.
        sleep: waits for so many seconds.
    """
    spread = 2 ** min(attempt + 1, 3) if attempt < _PATIENT_LOSSES else 1
    sleep(random.SystemRandom().uniform(0.0, min(seconds, 1.0) * spread))


def parse_push(output: str) -> tuple[Refusal, ...]:
    """The refused references in the output of `git push --porcelain`: `flag TAB from:to TAB summary`."""
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
    """Input of `git update-ref --stdin`: each reference to its new object, if it still has the old one.

    None as the old object: the reference must not exist. All of them move, or none.
    """
    rows = (
        f"update {ref} {new} {old if old is not None else '0' * len(new)}\n"
        for ref, (new, old) in updates.items()
    )
    return ("start\n" + "".join(rows) + "prepare\ncommit\n").encode()


def server_lines(errors: str) -> list[str]:
    """Return what the server's side said: git marks its lines with `remote:`."""
    lines = (
        line.removeprefix("remote:").strip() for line in errors.splitlines() if line.startswith("remote:")
    )
    return [shortened(line, _LINE) for line in lines if line][:5]
