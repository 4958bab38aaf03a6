"""Output of a deployment that failed, as it is kept until the next one: text without secrets, and bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from release.deploy.core.operations import FailedOutput, LogLine, LogSource
from release.deploy.core.place import Place
from release.errors import EngineError, ReleaseError
from release.events import Emit, Notice, Warned
from release.parsing import jsontext
from release.text.control_characters import json_text
from release.values import Struct, plain, replace

LARGEST: Final = 8 * 1024 * 1024
"""Maximum bytes of stored output."""
_BOUNDS: Final = jsontext.Bounds(size=LARGEST)


class CapturedOutput(Struct, frozen=True, kw_only=True):
    """Last lines of one container or task that failed."""

    deployment: str
    version: str
    process: str
    replica: str
    lines: tuple[tuple[str, str], ...]
    """Time and text of each line."""


def to_text(written: Sequence[CapturedOutput]) -> str:
    """Return the output as the text that a target stores."""
    return json_text([plain(each) for each in written], indent=None)


def shortened(written: Sequence[CapturedOutput], largest: int) -> tuple[CapturedOutput, ...]:
    """Return as many last lines of each container as fit into this number of bytes."""
    kept = tuple(written)
    lines = max((len(each.lines) for each in kept), default=0)
    while lines > 1 and len(to_text(kept).encode()) > largest:
        lines //= 2
        kept = tuple(replace(each, lines=each.lines[-lines:]) for each in written)
    return kept if len(to_text(kept).encode()) <= largest else ()


def parsed(place: Place, content: str | bytes, remedy: str) -> FailedOutput:
    """Return the output that a target stored. Raises EngineError if the content is something else."""
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
    """Functions that store the output of a failed deployment. Both raise EngineError."""

    place: Place
    keep: Callable[[Sequence[CapturedOutput]], None]
    """Stores the output instead of an earlier one. Empty output only removes the earlier one."""
    forget: Callable[[], None]


@contextmanager
def keep_on_failure(
    shelf: FailedOutputStore, written: Sequence[CapturedOutput], emit: Emit
) -> Iterator[None]:
    """Store the output if the block fails; else remove the output of an earlier failure."""
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
    """Call the function. A failure is only a warning, because the deployment has ended already."""
    try:
        act()
    except ReleaseError as error:
        emit(Warned(text=f"the output of a failed container is not kept: {error.attempted}: {error.found}"))
