"""The resolution of pinned entries by uv. Folders of the commit are never built for it.

The requirements of a folder are read from its pyproject.toml.
"""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.utils import canonicalize_name

from release.chain.lockgate.checking import LockfileCopy
from release.chain.lockgate.damaged import ANY_TROUBLE
from release.chain.lockgate.deciding import is_static_project
from release.chain.lockgate.entries import RequirementEntry, RequirementsFile, without_constraints
from release.chain.lockgate.results import Stale, Unchecked
from release.chain.lockgate.uv import find_matching_uv
from release.chain.pythons import HERE, NO_DOWNLOADS
from release.parsing import tomltext
from release.programs.environment import PACKAGES
from release.programs.process import Command
from release.values import Struct

_INDEX: Final = (
    "-i",
    "--index-url",
    "--extra-index-url",
    "-f",
    "--find-links",
    "--no-index",
    "--pre",
    "--trusted-host",
)
_RESOLVED: Final = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?P<rest>[^#\n]*?)\s*(?:# via (?P<via>[^\n]*))?$"
)
_FOUND_IN_INDEX: Final = re.compile(r"--hash=(\S+)")
_NO_SOLUTION: Final = "No solution found"


class ResolvedPackage(Struct, frozen=True, kw_only=True):
    """One resolved package."""

    name: str
    version: str
    via: str
    """Packages that need the package."""
    hashes: frozenset[str]

    @property
    def to_line(self) -> str:
        """Return the requirement as a line of a requirements file."""
        return f"{self.name}=={self.version}" + (f"  # via {self.via}" if self.via else "")


def resolve_entries(
    lockfile: LockfileCopy, entries: RequirementsFile, *, is_hashed: bool, update_command: str
) -> dict[str, ResolvedPackage] | Stale | Unchecked:
    """Return the packages that uv installs for these entries, by name; an answer if that fails.

    Args:
        found: the lockfile with the entries.
        entries: the entries of the lockfile.
        is_hashed: whether the hashes of the index are requested.
        mend: the last words of a hint.
    """
    uv = find_matching_uv(lockfile)
    if isinstance(uv, Unchecked):
        return uv
    asked = _write_uv_inputs(lockfile, entries)
    done = lockfile.execute(
        Command(
            argv=(uv, *_uv_compile_options(lockfile, is_hashed=is_hashed), *asked.words),
            cwd=asked.folder,
            env=NO_DOWNLOADS | {"UV_PYTHON": sys.executable},
            inherits=(*PACKAGES, *lockfile.config.pass_env),
        )
    )
    if done.status == 0:
        return _parse_resolved(asked.output.read_text(encoding="utf-8"))
    if done.status == 1 and _NO_SOLUTION in done.output and "network was disabled" not in done.output:
        return Stale(
            differences=(
                f"no packages for Python {python_to_resolve_for(lockfile)} satisfy all of its entries",
            ),
            verdict="contradicts itself",
            next_step="change the entry that uv names, set lock.python if the image has another one, "
            f"or {update_command}",
            tail=done.tail,
        )
    hint = (
        "let this machine reach the package index (and what the entry needs to be built), then run it again"
    )
    return Unchecked(reason=f"uv ended with status {done.status}", hint=hint, tail=done.tail)


def _uv_compile_options(lockfile: LockfileCopy, *, is_hashed: bool) -> tuple[str, ...]:
    return (
        *("pip", "compile", "--quiet", "--no-header", "--annotation-style", "line"),
        *("--python-version", _last_patch(python_to_resolve_for(lockfile)), "--python-platform", "linux"),
        *("--index-strategy", "unsafe-best-match"),
        *(("--generate-hashes",) if is_hashed else ()),
    )


def _last_patch(version: str) -> str:
    """Return a high patch version of a Python, because images have a recent one."""
    return f"{version}.99" if version.count(".") == 1 else version


def python_to_resolve_for(lockfile: LockfileCopy) -> str:
    """Return the Python version that the entries are resolved for."""
    return lockfile.python or HERE


class _UvInputs(Struct, frozen=True, kw_only=True):
    """Input files for uv beside the lockfile, with names that no commit can have."""

    folder: Path
    words: tuple[str, ...]
    output: Path
    """Output file, named because committed settings of uv may name any other file."""


def _write_uv_inputs(lockfile: LockfileCopy, entries: RequirementsFile) -> _UvInputs:
    """Write the input files for uv beside the lockfile."""
    options = [line for line in entries.options if re.split(r"[\s=]", line)[0] in _INDEX]
    wanted = [line for entry in without_constraints(entries) for line in _input_lines(lockfile, entry)]
    limits = [entry.text for entry in entries.entries if entry.is_constraint]
    folder = (lockfile.folder / lockfile.path).parent
    own = f"release-{secrets.token_hex(8)}"
    (folder / f"{own}.in").write_text("\n".join([*options, *wanted, ""]), encoding="utf-8")
    (folder / f"{own}-limits.in").write_text("\n".join([*limits, ""]), encoding="utf-8")
    words = (f"{own}.in", "--constraint", f"{own}-limits.in", "--output-file", f"{own}.txt")
    return _UvInputs(folder=folder, words=words, output=folder / f"{own}.txt")


def _input_lines(lockfile: LockfileCopy, entry: RequirementEntry) -> Sequence[str]:
    """Return the input lines of an entry; for a folder of the commit, its declared requirements."""
    return (requirements_of_folder(lockfile, entry) or ()) if entry.is_local else (entry.text,)


def requirements_of_folder(lockfile: LockfileCopy, entry: RequirementEntry) -> list[str] | None:
    """Return the requirements of a folder of the commit; None if only a build shows them."""
    address = entry.url_or_path.removeprefix("file://").removeprefix("file:")
    folder = PurePosixPath(lockfile.path).parent / re.sub(r"\[.*\]$|[#?].*$", "", address)
    try:
        document = tomltext.read(lockfile.read_file((folder / "pyproject.toml").as_posix()))
        return list(document["project"].get("dependencies", ())) if is_static_project(document) else None
    except (OSError, *ANY_TROUBLE):
        return None


def _parse_resolved(output: str) -> dict[str, ResolvedPackage]:
    joined = re.sub(r"\\\n", " ", output)
    found = (match for line in joined.splitlines() if (match := _RESOLVED.match(line.strip())) is not None)
    return {
        canonicalize_name(match["name"]): ResolvedPackage(
            name=match["name"],
            version=match["version"],
            via=", ".join(
                each for each in re.split(r",\s*", match["via"] or "") if each[:1] not in ("-", "")
            ),
            hashes=frozenset(_FOUND_IN_INDEX.findall(match["rest"])),
        )
        for match in found
    }
