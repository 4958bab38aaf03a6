"""Writing to the standard streams: masked, and with the text of others inert."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Final, Literal, TextIO, cast

import rich.console
from rich.text import Text

from release.inert import indent_continuation, inert
from release.redact import Mask
from release.values import Struct

_PLAIN_MARKS: Final = str.maketrans(
    {"▸": ">", "·": "-", "✓": "+", "✗": "x", "•": "*", "│": "|", "→": ">", "…": "...", "▲": "^"}
)
"""For a stream whose encoding lacks them, as LANG=C has it."""


class Line(Struct, frozen=True, kw_only=True):
    """One line for people: a mark, a text, and how rich shows each."""

    text: str
    style: str = ""
    mark: str = ""
    mark_style: str = ""


class ResilientStream(io.TextIOBase):
    """A standard stream that outlives its reader: what cannot be written goes nowhere, and the work goes on.

    It is looked up for each write, and may be None: closed before the program began (Python docs, `sys`).
    """

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        """Write to the stream of this name."""
        self._name = name

    @property
    def _stream(self) -> TextIO | None:
        found: TextIO | None = getattr(sys, self._name)
        return found

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a property there too, without a type that fits
        """The stream's, as "utf-8"."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        with suppress(ValueError, AttributeError):  # closed, or None
            return self._stream.isatty()  # type: ignore[union-attr]  # see above
        return False

    def fileno(self) -> int:
        """Its number. Raises OSError where it has none."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def encodes(self, text: str) -> bool:
        """Return whether the text can be written as it is."""
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return False
        return True

    def drawn(self, text: str) -> str:
        """With other marks where the encoding lacks ours; what else it lacks as backslash and number."""
        if self.encodes(text):
            return text
        return text.translate(_PLAIN_MARKS).encode(self.encoding, "backslashreplace").decode(self.encoding)

    def write(self, text: str) -> int:
        """Write text; see `drawn`."""
        self.attempt(text)
        return len(text)

    def attempt(self, text: str) -> OSError | None:
        """Write and flush; why that did not work, unless it is the reader who is gone."""
        stream = self._stream
        if stream is None:
            return None
        try:
            stream.write(self.drawn(text))
            stream.flush()
        except BlockingIOError:  # somebody made the terminal non-blocking, and it is full: this line is lost
            return None
        except BrokenPipeError:
            self._forget(stream)
        except OSError as error:
            self._forget(stream)
            return error
        except ValueError:  # closed
            return None
        return None

    def flush(self) -> None:
        """Nothing is kept back."""

    def _forget(self, stream: TextIO) -> None:
        """From now on into nowhere, or the interpreter's last flush would fail (Python docs, `signal`)."""
        with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device
            os.dup2(nowhere.fileno(), stream.fileno())


class _Rich(rich.console.Console):
    """rich's, which leaves the cursor alone: a program that is killed would take it along."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002 - rich's signature
        """Do nothing."""
        return False


class Output:
    """Standard error, line by line."""

    def __init__(self, mask: Mask, environ: Mapping[str, str]) -> None:
        """Colours as NO_COLOR (no-color.org), FORCE_COLOR, TERM and the stream say."""
        self._mask = mask
        self._stream = ResilientStream("stderr")
        self.rich = _Rich(
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
        """Return whether lines can be drawn again: a terminal that knows how."""
        return self._stream.isatty() and self.rich.is_interactive

    @property
    def has_marks(self) -> bool:
        """Return whether the encoding has more than ASCII."""
        return self._stream.encodes("▸·✓✗•│→…")

    def line(self, line: Line) -> None:
        """Write one line."""
        text = indent_continuation(self.clean(line.text))
        self.rich.print(Text(self.drawn(line.mark), line.mark_style) + Text(self.drawn(text), line.style))

    def ask(self, question: str) -> None:
        """Write a line that stays open."""
        self.rich.print(Text(self.drawn(self.clean(question))), end="")

    def raw(self, text: str) -> None:
        """Write as it is: our own commands to a CI system, with text that is `clean` in them."""
        self._stream.write(text)

    def clean(self, text: str) -> str:
        """Return text that commands nothing and holds no secret, also none that control was put into."""
        return self._mask(inert(self._mask(text)))

    def drawn(self, text: str) -> str:
        """As standard error can show it."""
        return self._stream.drawn(text)
