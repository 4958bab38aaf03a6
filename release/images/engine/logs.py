"""Output of containers with the time of each line, also while the container writes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from release.errors import EngineError
from release.images.engine import execution
from release.images.engine.answer_stream import CHUNK, frame_payloads
from release.images.engine.cancellable_connection import Deadline, DeadlinePassed
from release.images.engine.connection import Connection
from release.images.engine.output_lines import split_lines
from release.programs.cancellation import Cancellation

_LAST_MS: Final = 10_000
"""Limit for the last lines of a container."""
NO_TIME: Final = ""
"""Time of a line to which the engine gives none."""


class Logs(Connection):
    """Requests about the output of containers."""

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
            container: id of the container.
            last: number of last lines; None: all lines that the engine has.
            since: time of the first line, by the engine's clock.
            follow: wait for more lines until the container ends.
            cancellation: ends the iteration at any time.

        Raises:
            EngineError: the container does not exist, or its logging driver has no readable log.
            Cancelled: `cancellation` was requested.
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
            for text in split_lines(chunks):
                moment, rest = _parted(text, moment)
                yield moment, rest

    def timed_task_lines(
        self,
        task: str,
        *,
        last: int | None = None,
        since: datetime | None = None,
        follow: bool = False,
        cancellation: Cancellation | None = None,
    ) -> Iterator[tuple[str, str]]:
        """Yield the lines of a task of a cluster with their times (TaskLogs). See `timed_lines`."""
        asked: dict[str, Any] = {
            "stdout": "1",
            "stderr": "1",
            "timestamps": "1",
            "tail": "all" if last is None else last,
        }
        asked |= {"follow": "1"} if follow else {}
        asked |= {"since": since.astimezone(UTC).timestamp()} if since is not None else {}
        with self._asking(f"read the output of the task {task}"), self._line(cancellation) as line:
            url = f"{line.base_url}/v{line.api_version}/tasks/{quote(task, safe='')}/logs"
            answer = line.get(url, params=asked, stream=True)
            execution.raise_for_error(answer)
            moment = NO_TIME
            for text in split_lines(frame_payloads(answer.iter_content(CHUNK))):
                moment, rest = _parted(text, moment)
                yield moment, rest

    def last_timed_lines(self, container: str, *, lines: int, limit: int) -> list[tuple[str, str]]:
        """Return the last lines of a container with their times: at most `lines` lines and `limit` bytes.

        Raise EngineError if the container does not exist, or the engine does not send the lines in time.
        """
        kept: deque[tuple[str, str]] = deque(maxlen=lines)
        attempted = f"read the output of the container {container[:12]}"
        try:
            with self._asking(attempted), self._line(deadline=Deadline.after(_LAST_MS)) as line:
                chunks = line.logs(container, stream=True, follow=False, timestamps=True, tail=lines)
                moment = NO_TIME
                for text in split_lines(chunks):
                    moment, rest = _parted(text, moment)
                    kept.append((moment, rest))
        except DeadlinePassed:
            raise EngineError(attempted, f"the engine did not send it within {_LAST_MS / 1000:g} s") from None
        size = 0
        for number, (_, text) in enumerate(reversed(kept)):
            size += len(text.encode())
            if size > limit:
                return list(kept)[len(kept) - number :]
        return list(kept)


def _parted(line: str, before: str) -> tuple[str, str]:
    """Return time and text of a line; a part of a long line without a time gets the given time."""
    moment, _, text = line.partition(" ")
    return (
        (moment, text) if moment[:4].isdigit() and moment.endswith("Z") and "T" in moment else (before, line)
    )
