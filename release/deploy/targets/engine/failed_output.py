"""Output of a deployment that failed, kept on the engine until the next deployment.

It is a file in a container that never runs, as a lock is: everybody who may use the engine can read it. Its
text has no secrets any more. It is bounded, whatever the failed containers wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

from release.deploy.core import failed_output
from release.deploy.core.failed_output import FailedOutputStore
from release.deploy.core.operations import FailedOutput
from release.deploy.core.place import DEPLOYMENT, REPLICA, VERSION, Place, process_of
from release.errors import EngineError
from release.events import Emit
from release.images.container_spec import PlacedFile
from release.images.engine import ContainerSpec, ContainerState, Engine
from release.reference import Digest
from release.secrets.redact import Mask

LINES: Final = 2_000
"""Last lines of one container."""
BYTES: Final = 256 * 1024
"""Of the output of one container."""
_LABEL: Final = "release.failed-output"
_PATH: Final = "/release-failed-output.json"


class CapturedOutput(failed_output.CapturedOutput, frozen=True, kw_only=True):
    """Last lines of one container that failed."""

    image: Digest


class FailureTools(Protocol):
    """The tools of a rollout that are needed to store output."""

    @property
    def engine(self) -> Engine:
        """Return the engine."""

    @property
    def emit(self) -> Emit:
        """Return the function that gets notices."""

    @property
    def mask(self) -> Mask:
        """Return the filter that takes secrets out."""

    @property
    def written(self) -> list[CapturedOutput]:
        """Return the output that was collected so far."""


def collect(tools: FailureTools, container: ContainerState) -> None:
    """Collect the last lines of a container before it is removed, if the engine returns them."""
    try:
        written = captured(tools.engine, tools.mask, container)
    except EngineError:
        return
    if written.lines and written not in tools.written:
        tools.written.append(written)


def captured(engine: Engine, mask: Mask, container: ContainerState) -> CapturedOutput:
    """Return the last lines of a container without secrets. Raises EngineError."""
    found = engine.last_timed_lines(container.id, lines=LINES, limit=BYTES)
    texts = mask.lines([text for _, text in found])
    labels = container.labels
    return CapturedOutput(
        deployment=labels.get(DEPLOYMENT, ""),
        version=labels.get(VERSION, ""),
        process=process_of(labels),
        replica=labels.get(REPLICA, "1"),
        image=container.image,
        lines=tuple((moment, text) for (moment, _), text in zip(found, texts, strict=True)),
    )


_C = TypeVar("_C", bound=FailureTools)


@contextmanager
def keep_on_failure(tools: _C, place: Place) -> Iterator[_C]:
    """Store the output if the block fails; else remove the output of an earlier failure."""
    shelf = FailedOutputStore(
        place=place,
        keep=lambda _: keep(tools.engine, place, tools.written),
        forget=lambda: forget(tools.engine, place),
    )
    with failed_output.keep_on_failure(shelf, tools.written, tools.emit):
        yield tools


def keep(engine: Engine, place: Place, written: Sequence[CapturedOutput]) -> None:
    """Store the output instead of an earlier one. Raises EngineError."""
    forget(engine, place)
    if not written:
        return
    content = failed_output.to_text(written).encode()
    spec = ContainerSpec(
        image=written[0].image,
        name=_name(place),
        labels={_LABEL: str(place)},
        command=("release-failed-output",),
        files=(PlacedFile(path=_PATH, content=content, mode=0o400),),
    )
    engine.create(spec)


def forget(engine: Engine, place: Place) -> None:
    """Remove the stored output, if there is any. Raises EngineError."""
    found = _found(engine, place)
    if found is not None:
        engine.remove(found.id)


def read(engine: Engine, place: Place) -> FailedOutput | None:
    """Return the stored output; None if there is none.

    Raises EngineError if the content is something else.
    """
    found = _found(engine, place)
    content = engine.read_file(found.id, _PATH, limit=failed_output.LARGEST) if found is not None else None
    if content is None:
        return None
    return failed_output.parsed(place, content, f"remove it: docker rm -v {_name(place)}")


def _found(engine: Engine, place: Place) -> ContainerState | None:
    """Return the container that stores the output: it has our label, and never ran."""
    state = engine.state(_name(place))
    is_ours = state is not None and state.labels.get(_LABEL) == str(place) and state.status == "created"
    return state if is_ours else None


def _name(place: Place) -> str:
    return f"release-failed-{place.container}"
