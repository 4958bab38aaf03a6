"""Which process something belongs to, and whether that process is gone.

A process number alone says little: it is used again, and another machine or container has its own. So the
machine's boot, the process namespace and the start time go with it (proc(5)).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_PREFIX: Final = "release.owner."


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process of some machine."""

    host: str
    pid: str
    process: str
    """What tells this process from a later one of the same number: boot, namespace and start time."""

    @classmethod
    def here(cls) -> Self:
        """This process."""
        return cls(host=socket.gethostname(), pid=str(os.getpid()), process=identify(os.getpid()))

    @classmethod
    def parse(cls, labels: Mapping[str, str]) -> Self:
        """Read the labels back; what is missing is empty."""
        return cls(
            host=labels.get(f"{_PREFIX}host", ""),
            pid=labels.get(f"{_PREFIX}pid", ""),
            process=labels.get(f"{_PREFIX}process", ""),
        )

    def labels(self) -> dict[str, str]:
        """As labels of what it owns in an engine."""
        return {f"{_PREFIX}host": self.host, f"{_PREFIX}pid": self.pid, f"{_PREFIX}process": self.process}

    def gone(self) -> bool:
        """Whether it was a process of this machine and namespace and is no more; others are not known."""
        if self.host != socket.gethostname() or not self.pid.isdecimal() or not self.process:
            return False
        here, there = identify(os.getpid()).split("/"), self.process.split("/")
        return here[:2] == there[:2] and identify(int(self.pid)) != self.process


def identify(pid: int) -> str:
    """Boot, process namespace and start time of a process of this machine; empty where unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - not a path
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return f"{boot}/{space}/{stat.rpartition(')')[2].split()[19]}"
