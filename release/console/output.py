"""Standard streams with secrets masked and control sequences removed."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Final, Literal, TextIO, cast

import rich.console
from rich.text import Text

from release.secrets.redact import Mask
from release.text.control_characters import indent_continuation, inert
from release.values import Struct

_PLAIN_MARKS: Final = str.maketrans(
    {"▸": ">", "·": "-", "✓": "+", "✗": "x", "•": "*", "│": "|", "→": ">", "…": "...", "▲": "^"}
)
"""ASCII replacements of marks, for an encoding without them, as with LANG=C."""


class Line(Struct, frozen=True, kw_only=True):
    """Line of output: a mark, a text, and their styles."""

    text: str
    style: str = ""
    mark: str = ""
    mark_style: str = ""


class ResilientStream(io.TextIOBase):
    """Standard stream that ignores write errors, so that a closed pipe does not stop the work.

    The stream is looked up for each write, and is None if closed before the start (Python docs, `sys`).
    """

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        """Set the name of the stream: "stdout" or "stderr"."""
        self._name = name

    @property
    def _stream(self) -> TextIO | None:
        found: TextIO | None = getattr(sys, self._name)
        return found

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a property there too, without a type that fits
        """Return the stream's encoding, as "utf-8"."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        with suppress(ValueError, AttributeError):  # closed, or None
            return self._stream.isatty()  # type: ignore[union-attr]  # see above
        return False

    def fileno(self) -> int:
        """Return the stream's file descriptor. Raise OSError if there is none."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def encodes(self, text: str) -> bool:
        """Return whether the encoding has all characters of the text."""
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return False
        return True

    def drawn(self, text: str) -> str:
        """Return the text with ASCII marks and escapes for characters that the encoding lacks."""
        if self.encodes(text):
            return text
        return text.translate(_PLAIN_MARKS).encode(self.encoding, "backslashreplace").decode(self.encoding)

    def write(self, text: str) -> int:
        """Write the text as `drawn` returns it."""
        self.attempt(text)
        return len(text)

    def attempt(self, text: str) -> OSError | None:
        """Write and flush. Return the error, but None if only the reader has closed the pipe."""
        stream = self._stream
        if stream is None:
            return None
        try:
            stream.write(self.drawn(text))
            stream.flush()
        except BlockingIOError:  # somebody made the terminal non-blocking, and it is full: this line is lost
            return None
        except BrokenPipeError:
            self._redirect_to_null(stream)
        except OSError as error:
            self._redirect_to_null(stream)
            return error
        except ValueError:  # closed
            return None
        return None

    def flush(self) -> None:
        """Do nothing, because each write is flushed."""

    def _redirect_to_null(self, stream: TextIO) -> None:
        """Redirect the stream to the null device, so that the interpreter's last flush does not fail."""
        with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device
            os.dup2(nowhere.fileno(), stream.fileno())


class _CursorKeepingConsole(rich.console.Console):
    """Console of rich that never hides the cursor, because a killed program could not show it again."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002 - rich's signature
        """Do nothing."""
        return False


class OutputWriter:
    """Writer of lines to standard error."""

    def __init__(self, mask: Mask, environ: Mapping[str, str]) -> None:
        """Choose colours by NO_COLOR (no-color.org), FORCE_COLOR, TERM and the stream."""
        self._mask = mask
        self._stream = ResilientStream("stderr")
        self.rich = _CursorKeepingConsole(
            file=cast("IO[str]", self._stream),
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
            color_system=None if environ.get("NO_COLOR") else "auto",
            _environ=environ,
        )

    @property
    def is_terminal(self) -> bool:
        """Return whether lines can be redrawn: standard error is a terminal with cursor control."""
        return self._stream.isatty() and self.rich.is_interactive

    @property
    def has_marks(self) -> bool:
        """Return whether the encoding has the marks of the output."""
        return self._stream.encodes("▸·✓✗•│→…")

    def write_line(self, line: Line) -> None:
        """Write one line."""
        text = indent_continuation(self.clean(line.text))
        self.rich.print(Text(self.drawn(line.mark), line.mark_style) + Text(self.drawn(text), line.style))

    def ask(self, question: str) -> None:
        """Write a question without a line end."""
        self.rich.print(Text(self.drawn(self.clean(question))), end="")

    def write_raw(self, text: str) -> None:
        """Write a command for a CI system unchanged; its text must be `clean` already."""
        self._stream.write(text)

    def clean(self, text: str) -> str:
        """Return the text with secrets masked and control sequences removed."""
        return self._mask(inert(self._mask(text)))

    def drawn(self, text: str) -> str:
        """Return the text as the encoding of standard error can show it."""
        return self._stream.drawn(text)
