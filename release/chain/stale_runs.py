"""Cleanup after killed runs: containers, test image names, temporary files. Running runs keep theirs.

Every object that a run makes outside of the repository names its owner: in labels, or in the run's folder.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from release.errors import EngineError, ReleaseError
from release.events import Emit, Notice, Warned
from release.files import private
from release.images.container_address import is_local
from release.programs.owner import Owner
from release.reference import Reference

if TYPE_CHECKING:
    from release.images.engine import ContainerState, Engine

_OWNER: Final = "owner.json"
"""File with the owner of a run; exists while the run lives, and after it was killed."""

COMPANION: Final = "companion"
"""Role label of companions: containers and their network."""

LAST: Final = "last"
"""Tag of the image of a service's last tests; kept until the next tests."""

_STAGING: Final = "staging"
"""Name pattern of a run's temporary folder: `release-<run>-<16 random digits>`."""


def mark_run_started(run: Path) -> None:
    """Write the owner and the temporary folder's random name into a run's folder."""
    staging = Path(tempfile.gettempdir()) / f"release-{run.name}-{secrets.token_hex(8)}"
    about = {**Owner.here().labels(), _STAGING: str(staging)}
    private.write(run / _OWNER, json.dumps(about, indent=2) + "\n")


def _temporary_folder(run: Path) -> Path | None:
    """Return the path of the run's temporary folder, existing or not; None if the owner file names none."""
    path = Path(_read_owner_file(run).get(_STAGING, ""))
    named = re.fullmatch(rf"release-{re.escape(run.name)}-[0-9a-f]{{16}}", path.name)
    return path if named and path.is_absolute() else None


@contextmanager
def create_temporary_folder(run: Path, name: str) -> Iterator[Path]:
    """Yield a temporary folder outside of the repository: tools find no settings above it.

    Raises ReleaseError: the run has ended, or another user made the folder for temporary files first.
    """
    staging = _temporary_folder(run)
    if staging is None:
        raise ReleaseError(
            f"make a temporary folder of the run {run.name}",
            f"{run / _OWNER} does not name it: the file is missing or damaged",
            "run the command again",
        )
    with tempfile.TemporaryDirectory(
        dir=private.ensure_temporary_folder(staging), prefix=f"{name}-"
    ) as folder:
        yield Path(folder)


def remove_temporary_files(run: Path) -> None:
    """Remove temporary files of a run, and large files that can be made again.

    Raises OSError: something stays, and so does the owner.
    """
    staging = _temporary_folder(run)
    if staging is not None and _is_owned_by_user(staging):
        shutil.rmtree(staging, ignore_errors=True)
    for archive in run.glob("*.tar"):
        archive.unlink(missing_ok=True)
    for context in run.glob("context*"):
        shutil.rmtree(context, ignore_errors=True)
    (run / _OWNER).unlink(missing_ok=True)


def _is_owned_by_user(folder: Path) -> bool:
    """Return whether this user owns the folder; False for a link."""
    with suppress(OSError):
        found = folder.lstat()
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return False


def may_be_running(run: Path) -> bool:
    """Return whether the run with this folder may still be running."""
    about = _read_owner_file(run)
    return bool(about) and not Owner.parse(about).gone()


def _read_owner_file(run: Path) -> Mapping[str, str]:
    """Return the owner file's content; empty for a run that has ended, or a damaged file."""
    with suppress(OSError, ValueError, AttributeError):
        about = json.loads((run / _OWNER).read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in about.items()}
    return {}


def clean_up_stale_runs(home: Path, service: str, reach: Callable[[], Engine], emit: Emit) -> None:
    """Remove what killed runs of this service and clone left; warn about objects that cannot be removed.

    Args:
        home: the clone's `.release/`.
        service: the service whose containers and images are removed, by label, of any clone.
        reach: returns the engine.
        emit: reports removed objects, and objects that stay.
    """
    for run in (home / "runs").glob("*"):
        try:
            _clean_run_folder(run, home / "tools")
        except OSError as error:
            todo = f"correct the owner of {run}, or remove it"
            emit(Warned(text=f"could not remove the files of the killed run {run.name}: {error}; {todo}"))
    try:
        _clean_engine(reach(), service, emit)
    except EngineError as error:
        emit(
            Warned(
                text=f"could not remove what killed runs left in the engine: {error.found}. The next run "
                "tries it again."
            )
        )


def _clean_run_folder(run: Path, tools: Path) -> None:
    """Remove temporary files of a killed run. Raises OSError."""
    if (run / _OWNER).exists() and not may_be_running(run):
        remove_temporary_files(run)
        _remove_unfinished_tools(tools, run.name)


def _remove_unfinished_tools(folder: Path, run: str) -> None:
    for half_made in folder.glob(f"*-{run}-*"):
        shutil.rmtree(half_made, ignore_errors=True)


def _clean_engine(engine: Engine, service: str, emit: Emit) -> None:
    """Remove containers, networks and test image names of killed runs, by owner labels."""
    shared = not is_local(engine.host)
    for role in ("test", "smoke", COMPANION):
        for container in engine.containers(_run_labels(service, role)):
            if Owner.parse(container.labels).gone(shared=shared):
                _remove_container(engine, container, emit)
    for name, labels in engine.labelled_images(_run_labels(service, "test")).items():
        if Owner.parse(labels).gone(shared=shared) and _is_test_image(name, service):
            emit(_removal_notice(name))
            engine.untag(Reference.parse(name))
    for name, labels in engine.labelled_networks(_run_labels(service, COMPANION)).items():
        if Owner.parse(labels).gone(shared=shared):
            emit(_removal_notice(f"the network {name}"))
            engine.remove_network(name)


def _remove_container(engine: Engine, container: ContainerState, emit: Emit) -> None:
    """Remove a container, unless its labels come from its image: then no run is known to have made it."""
    image = engine.inspect(container.image)
    own = image.labels if image is not None else {}
    told = "release.container" if "release.container" in container.labels else "release.run"
    if own.get(told) == container.labels.get(told):
        text = f"{container.name} is kept: its image has the labels of a killed run"
        emit(Warned(text=f"{text}; to remove it, if you do not need it: docker rm -f {container.name}"))
        return
    emit(_removal_notice(container.name))
    engine.remove(container.id)


def tests_repository(service: str) -> str:
    """Return the repository of a service's test images."""
    return f"localhost/release-test/{service}"


def _is_test_image(name: str, service: str) -> bool:
    """Return whether a run gave the name: images built on a test image inherit its labels."""
    reference = Reference.parse(name)
    return str(reference.repository) == tests_repository(service) and reference.tag != LAST


def _run_labels(service: str, role: str) -> dict[str, str]:
    return {"release.role": role, "release.service": service}


def _removal_notice(name: str) -> Notice:
    return Notice(text=f"removing {name} of a killed run")
