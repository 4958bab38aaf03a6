"""Checks, drills and prunings as text for people. Nothing is printed and nothing is asked here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from release.deploy.readiness import Readiness, Verdict
from release.reference import Digest

READINESS: Final = ("environment", "version", "digest", "verdict", "bytes", "found")


def readiness_rows(found: Readiness) -> Iterator[Sequence[str]]:
    """One environment as rows of `READINESS`; the release that runs comes first."""
    for verdict in found.verdicts:
        yield (
            f"{found.service} {found.environment}",
            verdict.version,
            Digest(verdict.digest).short,
            verdict.result,
            "+".join(verdict.bytes),
            "; ".join(_told(verdict)),
        )


def _told(verdict: Verdict) -> Iterator[str]:
    yield from verdict.problems
    yield from verdict.notes
    yield from (f"not judged: {what}" for what in verdict.unchecked)


def readiness_line(found: Readiness) -> str:
    """The sum for one environment."""
    standing = [verdict for verdict in found.verdicts if verdict.result != "set aside"]
    ready = sum(verdict.result == "ready" for verdict in standing)
    judged = "" if not any(verdict.unchecked for verdict in standing) else ", not everything judged"
    sums = f"{ready} of {len(standing)} releases can be gone back to now{judged}"
    notes = "".join(f"; {note}" for note in found.notes)
    word = "ready" if found.ready else "NOT READY"
    return f"{found.service} {found.environment}  {word}  {sums}{notes}"
