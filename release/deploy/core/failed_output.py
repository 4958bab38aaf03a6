"""Output of a deployment that failed, as it is kept until the next one: text without secrets, and bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from release import jsontext
from release.deploy.core.operating import FailedOutput, LogLine, LogSource
from release.deploy.core.place import Place
from release.errors import EngineError, ReleaseError
from release.events import Emit, Notice, Warned
from release.inert import json_text
from release.values import Struct, plain

LARGEST: Final = 8 * 1024 * 1024
"""Bytes of what is kept."""
_BOUNDS: Final = jsontext.Bounds(size=LARGEST)


class CapturedOutput(Struct, frozen=True, kw_only=True):
    """Last lines of one container or task that failed."""

    deployment: str
    version: str
    process: str
    replica: str
    lines: tuple[tuple[str, str], ...]
    """Each with its time."""


def to_text(written: Sequence[CapturedOutput]) -> str:
    """Return it as it is kept."""
    return json_text([plain(each) for each in written], indent=None)


def parsed(place: Place, content: str | bytes, remedy: str) -> FailedOutput:
    """Return what is kept. Raises EngineError: it is something else."""
    try:
        return _parsed(jsontext.read(content, _BOUNDS))
    except (ValueError, LookupError, TypeError) as error:
        attempted = f"read the output of the failed deployment to {place}"
        raise EngineError(attempted, str(error), remedy) from error


def _parsed(data: Any) -> FailedOutput:
    lines = [
        LogLine(
            moment=str(moment),
            source=LogSource(
                id="",
                process=str(each["process"]),
                replica=str(each["replica"]),
                deployment=str(each["deployment"]),
            ),
            text=str(text),
        )
        for each in data
        for moment, text in each["lines"]
    ]
    first = data[0]
    return FailedOutput(
        deployment=str(first["deployment"]), version=str(first["version"]), lines=tuple(lines)
    )


class FailedOutputStore(Struct, frozen=True, kw_only=True):
    """The place where a target keeps it. Both raise EngineError."""

    place: Place
    keep: Callable[[Sequence[CapturedOutput]], None]
    """Keeps it in the place of what was kept before; of nothing, it only forgets that."""
    forget: Callable[[], None]


@contextmanager
def keep_on_failure(
    shelf: FailedOutputStore, written: Sequence[CapturedOutput], emit: Emit
) -> Iterator[None]:
    """Keep what the block collects if it fails; if it does not, forget what an earlier one left."""
    try:
        yield
    except ReleaseError:
        _warn_on_failure(lambda: shelf.keep(written), emit)
        if written:
            shown = f"`{shelf.place.command('logs --failed')}` shows the output of the failed container"
            emit(Notice(text=shown))
        raise
    _warn_on_failure(shelf.forget, emit)


def _warn_on_failure(act: Callable[[], None], emit: Emit) -> None:
    """Do it. A failure is a warning: the deployment has ended as it has."""
    try:
        act()
    except ReleaseError as error:
        emit(Warned(text=f"the output of a failed container is not kept: {error.attempted}: {error.found}"))
