"""What killed runs left: containers, names of test images, temporary files. Never those of a living run.

Everything that a run makes outside of the repository carries its owner: in labels, or in the run's folder.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from release.errors import EngineError
from release.events import Emit, Notice, Warned
from release.images.reach import is_local
from release.owner import Owner
from release.reference import Reference

if TYPE_CHECKING:
    from release.images.engine import Engine

_OWNER: Final = "owner.json"
"""In a run's folder while the run lives, and after it was killed."""

LAST: Final = "last"
"""The tag of the image that a service's tests ran in last: it stays until the next tests."""

_STAGING: Final = "staging"
"""Where its temporary files are: a folder named `release-<run>`."""


def begin(run: Path) -> None:
    """Note in a run's folder who owns it."""
    about = {**Owner.here().labels(), _STAGING: str(_usual_staging(run))}
    (run / _OWNER).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _usual_staging(run: Path) -> Path:
    return Path(tempfile.gettempdir()) / f"release-{run.name}"


@contextmanager
def staged(run: Path, name: str) -> Iterator[Path]:
    """A folder outside of the repository while the block runs: no tool finds settings above it."""
    staging = Path(_about(run).get(_STAGING) or _usual_staging(run))
    staging.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=staging, prefix=f"{name}-") as folder:
        yield Path(folder)


def end(run: Path) -> None:
    """Remove what a run needs no more: temporary files, and what is large and can be made again.

    Raises OSError: something stays, and so does the owner.
    """
    about = _about(run)
    staging = Path(about.get(_STAGING, ""))
    if staging.name == f"release-{run.name}" and not staging.is_symlink():
        shutil.rmtree(staging, ignore_errors=True)
    for archive in run.glob("*.tar"):
        archive.unlink(missing_ok=True)
    (run / _OWNER).unlink(missing_ok=True)


def lives(run: Path) -> bool:
    """Whether the run with this folder may still be going on."""
    about = _about(run)
    return bool(about) and not Owner.parse(about).gone()


def _about(run: Path) -> Mapping[str, str]:
    """What the run's folder says of its owner; nothing for a run that has ended, or a damaged file."""
    with suppress(OSError, ValueError, AttributeError):
        about = json.loads((run / _OWNER).read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in about.items()}
    return {}


def sweep(home: Path, service: str, reach: Callable[[], Engine], emit: Emit) -> None:
    """Remove what killed runs of this service and of this clone left. What cannot be removed is named.

    Args:
        home: the clone's `.release/`.
        service: whose containers and images are looked for, by label, whichever clone they are of.
        reach: gives the engine.
        emit: is told what is removed, and what stays.
    """
    for run in (home / "runs").glob("*"):
        try:
            _in_folder(run, home / "tools")
        except OSError as error:
            todo = f"correct the owner of {run}, or remove it"
            emit(Warned(text=f"what the killed run {run.name} left stays: {error}; {todo}"))
    try:
        _in_engine(reach(), service, emit)
    except EngineError as error:
        emit(Warned(text=f"what killed runs left in the engine stays there: {error.found}"))


def _in_folder(run: Path, tools: Path) -> None:
    """Temporary files of a killed run. Raises OSError."""
    if (run / _OWNER).exists() and not lives(run):
        end(run)
        _half_made_tools(tools, run.name)


def _half_made_tools(folder: Path, run: str) -> None:
    for half_made in folder.glob(f"*-{run}-*"):
        shutil.rmtree(half_made, ignore_errors=True)


def _in_engine(engine: Engine, service: str, emit: Emit) -> None:
    """Containers of the gates, and names of test images, by their owner's labels."""
    shared = not is_local(engine.host)
    for role in ("test", "smoke"):
        for container in engine.containers(_ours(service, role)):
            if Owner.parse(container.labels).gone(shared=shared):
                emit(_told(container.name))
                engine.remove(container.id)
    for name, labels in engine.labelled_images(_ours(service, "test")).items():
        if Owner.parse(labels).gone(shared=shared) and Reference.parse(name).tag != LAST:
            emit(_told(name))
            engine.untag(Reference.parse(name))


def _ours(service: str, role: str) -> dict[str, str]:
    return {"release.role": role, "release.service": service}


def _told(name: str) -> Notice:
    return Notice(text=f"removing {name}, left behind by a run that was killed")
