"""Signals by name and number, as Linux containers count them (signal(7)).

This machine may be another system, whose numbers differ: they are written down here.
"""

from __future__ import annotations

import re
from typing import Final

from release.values import Struct

_NAMES: Final = (
    *("HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE"),
    *("ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ"),
    *("VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS"),
)
_NUMBERS: Final = {name: number for number, name in enumerate(_NAMES, 1)} | {"IOT": 6, "POLL": 29, "CLD": 17}
_FIRST: Final = 34
"""SIGRTMIN of the C library, which the engine goes by."""
_LAST: Final = 64
_REAL_TIME: Final = re.compile(r"RTM(IN|AX)(?:([+-])([0-9]{1,2}))?")


class Signal(Struct, frozen=True, kw_only=True):
    """Signal with name and number."""

    name: str
    """As "SIGTERM", "SIGRTMIN+3"; of a number without a name "signal 33"."""
    number: int

    @property
    def exit_status(self) -> int:
        """Return the exit status of a program that this signal ended (POSIX.1, sh)."""
        return 128 + self.number

    def __str__(self) -> str:
        """Return the name."""
        return self.name


TERM: Final = Signal(name="SIGTERM", number=15)
"""The signal that asks a container to stop, unless its image or its settings name another."""


def read_signal(text: str) -> Signal | None:
    """Return the signal of a STOPSIGNAL as `SIGINT`, `INT`, `2`, `SIGRTMIN+3` or `37`; None if unknown."""
    word = text.strip().upper()
    if re.fullmatch("[0-9]{1,3}", word):
        return _numbered(int(word))
    short = word.removeprefix("SIG")
    if short in _NUMBERS:
        return _numbered(_NUMBERS[short])
    match = _REAL_TIME.fullmatch(short)
    if match is None:
        return None
    distance = int(match[3] or 0) * (-1 if match[2] == "-" else 1)
    number = (_FIRST if match[1] == "IN" else _LAST) + distance
    return _numbered(number) if _FIRST <= number <= _LAST else None


def _numbered(number: int) -> Signal | None:
    if not 1 <= number <= _LAST:
        return None
    if number <= len(_NAMES):
        return Signal(name=f"SIG{_NAMES[number - 1]}", number=number)
    if number < _FIRST:
        return Signal(name=f"signal {number}", number=number)
    more = f"+{number - _FIRST}" if number > _FIRST else ""
    return Signal(name=f"SIGRTMIN{more}", number=number)


def stop_signal(text: str) -> Signal:
    """Return the signal that stops a container; SIGTERM for an empty text."""
    return (read_signal(text) if text else None) or TERM


def caught_signals(status: str) -> frozenset[int] | None:
    """Return the signals that a process handles, from its `/proc/<pid>/status`; None if unknown."""
    match = re.search(r"^SigCgt:\s*([0-9a-fA-F]{1,32})$", status, re.MULTILINE)
    if match is None:
        return None
    mask = int(match[1], 16)
    return frozenset(number for number in range(1, _LAST + 1) if mask >> (number - 1) & 1)
