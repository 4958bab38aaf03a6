"""Environments with the tools of lint and lock in given versions, shared by the runs of a clone.

`.release/tools/<key>/` holds one environment. Its file `seal` has the hash of every other file, sealed with
the clone's key. An environment that a cache, a commit or another user brought or changed is made again.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from release.errors import CommandFailed, GateFailed
from release.files import private
from release.files.hmac_key import BadSeal, ClonesKey
from release.programs.environment import PACKAGES
from release.programs.process import Command
from release.values import Struct

if TYPE_CHECKING:
    from release.chain.stage_context import StageContext

_SEAL: Final = "seal"
_PURPOSE: Final = "tools"


class Toolset(Struct, frozen=True, kw_only=True):
    """Tools that share one environment."""

    stage: str
    """Stage that needs the tools; its log shows the installation."""
    requirements: tuple[str, ...]
    """Requirements (PEP 508), each with its version."""
    pass_env: tuple[str, ...] = ()
    """Variables of the operator's environment that the installation gets in addition."""


def install_tool_environment(ctx: StageContext, interpreter: Path, tools: Toolset) -> Path:
    """Return the folder of the tools' programs, made once for each interpreter and set of versions.

    The environment is made beside its final place and then renamed, so an existing environment is complete.

    Raises:
        GateFailed: the tools cannot be installed.
        ReleaseError: a parent folder is another user's, or the clone's key cannot be used.
    """
    python = sys.version if interpreter == Path(sys.executable) else str(interpreter.resolve())
    key = hashlib.sha256("\n".join([python, *sorted(tools.requirements)]).encode()).hexdigest()[:16]
    seals = ClonesKey.of(ctx.source.git_dir)
    place = private.ensure_owned_subfolder(ctx.run_folder.release_folder, "tools") / key
    if not has_valid_seal(place, seals):
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f"{key}-{ctx.run_folder.id}-") as folder:
            fresh = Path(folder) / "venv"
            _create_environment(ctx, fresh, interpreter, tools)
            seal_environment(fresh, seals)
            _replace_environment(fresh, place, Path(folder) / "before", seals)
    return place / "bin"


def _create_environment(ctx: StageContext, folder: Path, interpreter: Path, tools: Toolset) -> None:
    uv = find_uv()
    python = str(folder / "bin" / "python")
    commands = [
        (uv, "venv", "--quiet", "--relocatable", "--python", str(interpreter), str(folder)),
        # compiled now: no later run adds files, and copied: uv's cache holds no link to them
        (
            uv,
            "pip",
            "install",
            "--compile-bytecode",
            "--link-mode=copy",
            "--python",
            python,
            *sorted(tools.requirements),
        ),
    ]
    try:
        for argv in commands:
            inherits = (*PACKAGES, *tools.pass_env)
            command = Command(argv=argv, env={"UV_PYTHON_DOWNLOADS": "never"}, inherits=inherits)
            ctx.execute(tools.stage, command)
    except CommandFailed as error:
        found = f"{', '.join(sorted(tools.requirements))} could not be installed"
        hint = "check that the package index is reachable, and that these versions exist"
        raise GateFailed(tools.stage, found, hint, error.tail) from error


def _replace_environment(fresh: Path, place: Path, before: Path, seals: ClonesKey) -> None:
    """Rename the environment to its place; replace one without a valid seal, keep one of another run."""
    if place.is_symlink():
        place.unlink()
    elif place.exists() and not has_valid_seal(place, seals):
        place.rename(before)
    try:
        fresh.rename(place)
    except OSError:
        if not has_valid_seal(place, seals):
            raise


def seal_environment(folder: Path, seals: ClonesKey) -> None:
    """Write a seal over all files of an environment into the environment."""
    private.write(folder / _SEAL, seals.seal(_hash_files(folder), _PURPOSE))


def has_valid_seal(place: Path, seals: ClonesKey) -> bool:
    """Return whether this clone made the environment and nothing changed since."""
    if place.is_symlink() or not place.is_dir():
        return False
    with suppress(OSError, BadSeal):
        return seals.open((place / _SEAL).read_bytes(), _PURPOSE) == _hash_files(place)
    return False


def _hash_files(folder: Path) -> bytes:
    """Return the hash over names, modes and contents of all files except the seal. Raises OSError."""
    whole = hashlib.sha256()
    for path in sorted(_walk_files(folder)):
        name = path.relative_to(folder).as_posix()
        if name != _SEAL:
            whole.update(f"{len(os.fsencode(name))} {name} ".encode("utf-8", "surrogateescape"))
            whole.update(_file_version(path) + b"\n")
    return whole.hexdigest().encode()


def _walk_files(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        yield from (Path(root, name) for name in (*folders, *files))


def _file_version(path: Path) -> bytes:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return b"link " + os.fsencode(path.readlink())
    if stat.S_ISDIR(mode):
        return b"folder"
    if not stat.S_ISREG(mode):
        return b"other"
    with path.open("rb") as stream:
        return b"%o %s" % (stat.S_IMODE(mode), hashlib.file_digest(stream, "sha256").hexdigest().encode())


def find_uv() -> str:
    """Return the path of the `uv` program in this library's environment."""
    from uv import find_uv_bin

    return os.fspath(find_uv_bin())
