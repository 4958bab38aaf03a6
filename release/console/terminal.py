"""View for a terminal: a live line for each running stage, and a lasting line for each ended stage."""

from __future__ import annotations

import threading
import time
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from release.console.layout import event_lines, one_line, seconds_text
from release.console.output import Line, OutputWriter
from release.console.plain import Clock, PlainView
from release.errors import ReleaseError
from release.events import Event, Failed, Finished, Progress, Started
from release.values import Struct, replace

_REDRAW_SECONDS: Final = 0.125


class _RunningStage(Struct, frozen=True, kw_only=True):
    """Running stage: its start, and its last progress text."""

    name: str
    since: float
    doing: str = ""


class TerminalView(PlainView):
    """View that redraws the lines of running stages.

    One lock covers the creation and the writing of a line, because rich's own thread could draw in between.
    """

    def __init__(self, output: OutputWriter, clock: Clock = time.monotonic) -> None:
        """Set the output; no stage runs yet."""
        super().__init__(output, clock)
        self._running: tuple[_RunningStage, ...] = ()
        self._live: Live | None = None
        self._drawing = threading.RLock()

    def show(self, event: Event) -> None:
        """Render an event in the live line of its stage, or above all live lines."""
        self.remember(event)
        with self._drawing:
            self._update_live_line(event)

    def _update_live_line(self, event: Event) -> None:
        match event:
            case Started():
                self._running = (*self._running, _RunningStage(name=event.name, since=self.clock()))
                self._draw_live_lines()
            case Progress(lasting=True):
                self.write(*event_lines(event))
            case Progress() if any(each.name == event.name for each in self._running):
                self._running = tuple(
                    replace(each, doing=one_line(event.text)) if each.name == event.name else each
                    for each in self._running
                )
            case Progress(passing=True):
                pass  # of a stage that has no line yet, as what is prepared for it
            case Finished() | Failed():
                self._running = tuple(each for each in self._running if each.name != event.name)
                self.write(*event_lines(event))
                if not self._running:
                    self.close()
            case _:
                self.write(*event_lines(event))

    def write(self, *lines: Line) -> None:
        """Write lines above the live lines."""
        with self._drawing:
            super().write(*lines)

    def error(self, error: ReleaseError) -> None:
        """Remove the live lines and render the error."""
        self.close()
        super().error(error)

    def close(self) -> None:
        """Remove the live lines."""
        with self._drawing:
            self._running = ()
            if self._live is not None:
                self._live.stop()
                self._live = None

    def _draw_live_lines(self) -> None:
        if self._live is None:
            self._live = Live(
                self,
                console=self.output.rich,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
            threading.Thread(target=self._redraw_until_removed, args=(self._live,), daemon=True).start()
        self._live.refresh()

    def _redraw_until_removed(self, live: Live) -> None:
        """Redraw the live lines until they are removed."""
        while True:
            time.sleep(_REDRAW_SECONDS)
            with self._drawing:
                if self._live is not live:
                    return
                live.refresh()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the current live lines for rich, also below a line that is written above them."""
        yield from map(self._live_line, self._running)

    def _live_line(self, running: _RunningStage) -> Text:
        """Return a live line, one cell shorter than the terminal, because some terminals wrap a full line."""
        elapsed = seconds_text((self.clock() - running.since) * 1000)
        line = Line(mark="▸ ", mark_style="cyan", text=f"{running.name}  {elapsed}")
        text = Text(self.output.drawn(line.mark), line.mark_style, no_wrap=True) + Text(line.text)
        text.append(self.output.drawn(f"  {self.output.clean(running.doing)}"), "dim")
        text.truncate(
            max(1, self.output.rich.width - 1), overflow="ellipsis" if self.output.has_marks else "crop"
        )
        return text
