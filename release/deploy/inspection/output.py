"""Output of what runs, merged by time: what is there, and what is being written."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from release.deploy.core.instance import Instance
from release.deploy.core.operations import FailedOutput, LogLine, LogSource, just_after
from release.deploy.core.place import process_of
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.identify import look
from release.errors import Cancelled, EngineError, ReleaseError, UsageError
from release.events import Warned
from release.programs.cancellation import Cancellation
from release.secrets.redact import Redacted
from release.values import Struct

_HOLD_SECONDS: Final = 0.25
"""Time that a followed line waits for earlier ones of other containers."""
_LOOK_SECONDS: Final = 1.0
"""From one look for new containers to the next."""
_QUEUED: Final = 10_000
"""Lines that are read ahead."""


class OutputRequest(Struct, frozen=True, kw_only=True):
    """Request for output: process, deployment, number of lines, time."""

    process: str | None = None
    """Only this process; None: all."""
    deployment: str | None = None
    """Only the deployment whose id begins so; None: what runs."""
    last: int | None = None
    """Only so many lines of each at the end; None: all."""
    since: datetime | None = None


def sources(live: LiveEnvironment, asked: OutputRequest) -> tuple[LogSource, ...]:
    """Return the log sources of the request. Raises UsageError if there are none."""
    ours = look(live)
    up, stopped = (_chosen(each, asked) for each in (ours.up, ours.stopped))
    mine = (*up, *stopped) if asked.deployment is not None else (up or stopped)
    if not mine:
        raise _nothing(live, asked, (*ours.up, *ours.stopped))
    found = live.target.operations.sources(mine)
    if not found and ours.adopted is not None:
        raise UsageError(
            f"show the output of {live.place}",
            f"{ours.adopted} was adopted, and no deployment has replaced it yet",
            "read its output with the program that started it",
        )
    return found


def _chosen(there: Sequence[Instance], asked: OutputRequest) -> tuple[Instance, ...]:
    deployment = asked.deployment or ""
    mine = (one for one in there if one.deployment.startswith(deployment))
    return tuple(one for one in mine if asked.process in (None, process_of(one.labels)))


def _nothing(live: LiveEnvironment, asked: OutputRequest, there: Sequence[Instance]) -> UsageError:
    attempted = f"show the output of {live.place}"
    known = sorted({process_of(one.labels) for one in there} - {""})
    if asked.process is not None and asked.process not in known:
        found = f"there is no process {asked.process!r}"
        return UsageError(
            attempted, found, f"there are: {', '.join(known)}" if known else "leave --process out"
        )
    if asked.deployment is not None:
        hint = f"`{live.place.command('logs --failed')}` shows the output of the last one that failed"
        return UsageError(attempted, f"no container of the deployment {asked.deployment} is there", hint)
    return UsageError(
        attempted, "there is no container of it", f"`{live.place.command('status')}` shows what runs"
    )


def secrets(live: LiveEnvironment) -> list[Redacted]:
    """Return the secrets of the running instances, if the target shows them, to mask them in output."""
    found: list[Redacted] = []
    for instance in look(live).up:
        event = live.event_of(instance.deployment)
        names = event.deployment.run_spec.secrets if event is not None else ()
        found += live.target.instances.secrets(instance, names)
    return found


def written(live: LiveEnvironment, asked: OutputRequest, cancellation: Cancellation) -> Iterator[LogLine]:
    """Yield the existing lines by time. Raises UsageError, EngineError, Cancelled."""
    operations = live.target.operations
    each = [
        operations.read(source, last=asked.last, since=asked.since, follow=False, cancellation=cancellation)
        for source in sources(live, asked)
    ]
    yield from heapq.merge(*each, key=_moment)


def of_failed(found: FailedOutput, asked: OutputRequest) -> Iterator[LogLine]:
    """Yield the stored lines of a failed deployment by time."""
    lines = (
        line
        for line in sorted(found.lines, key=_moment)
        if asked.process is None or line.source.process == asked.process
        if asked.since is None or line.moment >= asked.since.isoformat()[:19]
    )
    every = list(lines)
    yield from every[-asked.last :] if asked.last is not None else every


def _moment(line: LogLine) -> str:
    return line.moment


class _Follower:
    """Reads log sources in threads, and looks for new ones."""

    def __init__(self, live: LiveEnvironment, asked: OutputRequest, cancellation: Cancellation) -> None:
        self._live = live
        self._asked = asked
        self._cancellation = cancellation
        self._lines: queue.Queue[tuple[float, LogLine]] = queue.Queue(_QUEUED)
        self._reading: set[str] = set()
        self._seen: dict[str, str] = {}
        self._lock = threading.Lock()
        self._is_first = True

    def lines(self) -> Iterator[LogLine]:
        """Yield lines in the order of time until cancelled. Each line is held for a short time."""
        held: list[tuple[str, int, float, LogLine]] = []
        count, next_look = 0, 0.0
        while True:
            self._cancellation.check()
            if time.monotonic() >= next_look:
                self._look()
                next_look = time.monotonic() + _LOOK_SECONDS
            with suppress(queue.Empty):
                while True:
                    came, line = self._lines.get(timeout=_HOLD_SECONDS / 5)
                    heapq.heappush(held, (line.moment, count, came, line))
                    count += 1
                    if count % _QUEUED == 0:
                        break
            ready = time.monotonic() - _HOLD_SECONDS
            while held and held[0][2] <= ready:
                yield heapq.heappop(held)[3]

    def _look(self) -> None:
        """Start to read new sources. During a deployment, there may be none for a short time."""
        live = self._live
        try:
            up = live.target.operations.sources(_chosen(look(live).up, self._asked))
            there = up or (sources(live, self._asked) if not self._seen else ())
        except EngineError as error:
            live.workspace.emit(Warned(text=f"cannot {error.attempted}: {error.found}; trying again"))
            return
        for source in there:
            with self._lock:
                is_new = source.id not in self._reading
                if is_new:
                    self._reading.add(source.id)
            if is_new:
                last = self._asked.last if self._is_first else None
                threading.Thread(target=self._read, args=(source, last), daemon=True).start()
        self._is_first = False

    def _read(self, source: LogSource, last: int | None) -> None:
        """Read a source to its end. A restarted container is read on from the last line."""
        before = self._seen.get(source.id, "")
        asked = self._asked
        since = just_after(before) if before else asked.since
        try:
            found = self._live.target.operations.read(
                source,
                last=None if before else last,
                since=since,
                follow=True,
                cancellation=self._cancellation,
            )
            for line in found:
                if line.moment > before or not before:
                    self._seen[source.id] = line.moment
                    self._put(line)
        except Cancelled:
            return
        except ReleaseError as error:
            self._live.workspace.emit(Warned(text=f"cannot {error.attempted}: {error.found}"))
        finally:
            with self._lock:
                self._seen.setdefault(source.id, before)
                self._reading.discard(source.id)

    def _put(self, line: LogLine) -> None:
        while True:
            with suppress(queue.Full):
                self._lines.put((time.monotonic(), line), timeout=_HOLD_SECONDS)
                return
            self._cancellation.check()


def followed(live: LiveEnvironment, asked: OutputRequest, cancellation: Cancellation) -> Iterator[LogLine]:
    """Yield the existing lines, then new ones, also of later containers.

    Goes on until cancelled. Raises UsageError if there is no output; Cancelled.
    """
    sources(live, asked)
    yield from _Follower(live, asked, cancellation).lines()
