"""The output of containers as it was written: line by line, each with its time, also while it is written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from release.cancellation import Cancellation
from release.images.engine.connection import Connection
from release.images.engine.output import lines_of

NO_TIME: Final = ""
"""Time of a line that the engine gives none."""


class Logs(Connection):
    """Output of an engine's containers."""

    def timed_lines(
        self,
        container: str,
        *,
        last: int | None = None,
        since: datetime | None = None,
        follow: bool = False,
        cancellation: Cancellation | None = None,
    ) -> Iterator[tuple[str, str]]:
        """Yield the lines of a container with their times, oldest first (ContainerLogs).

        Args:
            container: its id.
            last: only so many lines at the end; None: all that the engine keeps.
            since: only lines of this moment and later, by the engine's clock.
            follow: go on until the container ends.
            cancellation: ends it at any time.

        Raises:
            EngineError: there is no such container, or its logging driver keeps nothing to read.
            Cancelled: see `cancellation`.
        """
        asked: dict[str, Any] = {"tail": "all" if last is None else last}
        if since is not None:
            asked["since"] = since.astimezone(UTC).timestamp()
        with (
            self._asking(f"read the output of the container {container[:12]}"),
            self._line(cancellation) as line,
        ):
            chunks = line.logs(container, stream=True, follow=follow, timestamps=True, **asked)
            moment = NO_TIME
            for text in lines_of(chunks):
                moment, rest = _parted(text, moment)
                yield moment, rest


def _parted(line: str, before: str) -> tuple[str, str]:
    """Return the time of a line and its text; a part of a long line may have no time of its own."""
    moment, _, text = line.partition(" ")
    return (
        (moment, text) if moment[:4].isdigit() and moment.endswith("Z") and "T" in moment else (before, line)
    )
