"""Process that owns an object in an engine, and the check whether the process still runs.

A process number alone is not unique: it is reused, and other machines and containers have the same numbers.
So an owner also has the machine, its boot, the process namespace and the start time (proc(5), machine-id(5)).
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from release.values import Struct

_PREFIX: Final = "release.owner."
_MACHINE: Final = Path("/etc/machine-id")
_FIRST_SPACE: Final = "pid:[4026531836]"
"""The process namespace that no container has (Linux, include/linux/proc_ns.h: PROC_PID_INIT_INO)."""
_PID: Final = re.compile(r"[0-9]{1,10}")
_DEAD: Final = ("Z", "X")
"""States of processes that have ended and that nobody has collected."""


class Owner(Struct, frozen=True, kw_only=True):
    """Process of a machine."""

    host: str
    pid: str
    process: str
    """Identity of the process: boot, namespace and start time."""
    machine: str = ""
    """Identity of the machine, at any start; empty if there is none."""

    @classmethod
    def here(cls) -> Self:
        """Return this process as an owner."""
        process = process_identity(os.getpid())
        return cls(
            host=socket.gethostname(), pid=str(os.getpid()), process=process, machine=_machine(process)
        )

    @classmethod
    def parse(cls, labels: Mapping[str, str]) -> Self:
        """Return the owner that labels name; missing labels become empty texts."""
        return cls(**{key: labels.get(f"{_PREFIX}{key}", "") for key in cls.__struct_fields__})

    def labels(self) -> dict[str, str]:
        """Return the labels of an object that this process owns."""
        return {f"{_PREFIX}{key}": getattr(self, key) for key in self.__struct_fields__}

    def gone(self, *, shared: bool = False) -> bool:
        """Return whether the process ran on this machine and in this namespace, and has ended.

        No process survives a boot of its machine. But machines from the same image may have the same name and
        id, so in a shared engine only objects of the current boot are known.

        Args:
            shared: whether other machines also use the engine.
        """
        if self.host != socket.gethostname() or not _PID.fullmatch(self.pid) or not self.process:
            return False
        mine = process_identity(os.getpid())
        here, there = mine.split("/"), self.process.split("/")
        if here[0] != there[0]:
            return not shared and bool(self.machine) and self.machine == _machine(mine)
        return here[:2] == there[:2] and _has_ended(int(self.pid), self.process)


def parse_label_time(text: str) -> datetime | None:
    """Return the time in a label; None if the text is not a time with a zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def process_identity(pid: int) -> str:
    """Return boot, process namespace and start time of a local process; empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - not a path
        return f"{boot}/{space}/{_stat(pid)[19]}"
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the process name. Raise OSError."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return stat.rpartition(")")[2].split()


def _machine(process: str) -> str:
    """Return a hash of the machine's id, because the id itself must stay private (machine-id(5)).

    Empty in a container, whose file comes from the image and is the same on many machines.
    """
    if process.split("/")[1:2] != [_FIRST_SPACE]:
        return ""
    try:
        known = _MACHINE.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return hashlib.sha256(f"release {known}".encode()).hexdigest()[:32] if known else ""


def _has_ended(pid: int, process: str) -> bool:
    """Return whether a process of this namespace has ended, also if /proc hides other users' processes."""
    try:
        state = _stat(pid)[0]
    except OSError:
        return not _takes_signals(pid)
    return state in _DEAD or process_identity(pid) != process


def _takes_signals(pid: int) -> bool:
    """Return whether a process has this number, whoever its user is (kill(2))."""
    try:
        with suppress(PermissionError):
            os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    return True
