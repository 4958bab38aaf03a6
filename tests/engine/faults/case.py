"""What a cell of the fault matrix is made of: values, no I/O; the table itself is in `matrix.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.engine.faults.proxy import Fault


@dataclass(frozen=True, kw_only=True)
class Proxied:
    """The registry is behind a proxy that does this wrong."""

    faults: tuple[Fault, ...]


@dataclass(frozen=True, kw_only=True)
class Gone:
    """Nothing listens where the registry should be."""


@dataclass(frozen=True, kw_only=True)
class ReadOnly:
    """The registry itself is in its read-only mode."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Something is in the registry before: under this tag, this image (`ours`) or another one."""

    tag: str
    """"candidate", "version", or "another": of an earlier image of the same layers."""
    ours: bool
    after: str = ""
    """The stage after which it appears; empty: before the run."""


@dataclass(frozen=True, kw_only=True)
class Hook:
    """A hook of the git server, as a shell script."""

    name: str
    script: str


@dataclass(frozen=True, kw_only=True)
class Moved:
    """The git server's repository is somewhere else: from the beginning, or when this stage begins."""

    before: str = ""


@dataclass(frozen=True, kw_only=True)
class Silent:
    """The git server takes connections and never says a word: from the beginning, or from this stage on."""

    before: str = ""


@dataclass(frozen=True, kw_only=True)
class FullDisk:
    """The file system of the run's folder has this many bytes."""

    size: int


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The machine's clock jumps by so many hours, before this stage."""

    hours: int
    before: str


@dataclass(frozen=True, kw_only=True)
class EngineDies:
    """The engine is killed while this goes on, and started again before the rerun; or at once."""

    during: str
    """"build", "test", "smoke" or "push"."""
    returns: bool = False
    """Whether it is back while the run still goes on."""


@dataclass(frozen=True, kw_only=True)
class EngineDiskFull:
    """Nothing can be written to the engine's disk."""


@dataclass(frozen=True, kw_only=True)
class CacheGone:
    """The image was built before; then the engine lost it, and all that it remembers of builds."""


OfEngine = EngineDies | EngineDiskFull | CacheGone
Trouble = OfEngine | Proxied | Gone | ReadOnly | Taken | Hook | Moved | Silent | FullDisk | Clock

RELEASED: Final = "one release"
NOTHING: Final = "none; one after a rerun"
UNTAGGED: Final = "one release without its tag; the rerun puts it"
REFUSED: Final = "none, and none until an operator decides"
TAGGED_BY_OTHERS: Final = "one release; another program moved its tag; an operator decides"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One fault at one stage, and everything that is expected of it."""

    fault: str
    stage: str
    trouble: Trouble
    happened: str
    """A phrase that the run says: in its error, or in what it tells of new attempts."""
    state: str
    """RELEASED, NOTHING, UNTAGGED, REFUSED or TAGGED_BY_OTHERS; `exit` follows from it."""
    retried: str = "-"
    """What was tried again, and how often."""
    again: int = 0
    """How many new attempts the run tells of."""
    hint: str = ""
    """A phrase of what the error says to do next."""
    sends: bool = True
    """Whether anything of a layer or config may be uploaded."""
    stalled: int = 120_000
    """`push.stalled`, in milliseconds."""
    is_long: bool = False
    """Whether it is played by `nox -s soak` alone."""

    @property
    def name(self) -> str:
        """Of the test."""
        return f"{self.stage}: {self.fault}"

    @property
    def exit(self) -> int:
        """Of `nox -s release`."""
        return int(self.state != RELEASED)
