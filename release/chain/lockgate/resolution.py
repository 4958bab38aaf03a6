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

from release import tomltext
from release.chain.lockgate.checking import Checking
from release.chain.lockgate.damaged import ANY_TROUBLE
from release.chain.lockgate.deciding import is_static
from release.chain.lockgate.entries import Entries, Entry, installed
from release.chain.lockgate.results import Stale, Unchecked
from release.chain.lockgate.uv import uv_program
from release.chain.pythons import HERE, NO_DOWNLOADS
from release.inherited import PACKAGES
from release.process import Command
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


class Resolved(Struct, frozen=True, kw_only=True):
    """One resolved package."""

    name: str
    version: str
    via: str
    """Packages that need the package."""
    hashes: frozenset[str]

    @property
    def line(self) -> str:
        """Return the requirement as a line of a requirements file."""
        return f"{self.name}=={self.version}" + (f"  # via {self.via}" if self.via else "")


def resolve(
    found: Checking, entries: Entries, *, is_hashed: bool, mend: str
) -> dict[str, Resolved] | Stale | Unchecked:
    """Return the packages that uv installs for these entries, by name; an answer if that fails.

    Args:
        found: the lockfile with the entries.
        entries: the entries of the lockfile.
        is_hashed: whether the hashes of the index are requested.
        mend: the last words of a hint.
    """
    uv = uv_program(found)
    if isinstance(uv, Unchecked):
        return uv
    asked = _inputs(found, entries)
    done = found.execute(
        Command(
            argv=(uv, *_words(found, is_hashed=is_hashed), *asked.words),
            cwd=asked.folder,
            env=NO_DOWNLOADS | {"UV_PYTHON": sys.executable},
            inherits=(*PACKAGES, *found.config.pass_env),
        )
    )
    if done.status == 0:
        return _read_resolved(asked.output.read_text(encoding="utf-8"))
    if done.status == 1 and _NO_SOLUTION in done.output and "network was disabled" not in done.output:
        return Stale(
            differences=(f"no packages for Python {python_of(found)} satisfy all of its entries",),
            verdict="contradicts itself",
            mend=f"change the entry that uv names, set lock.python if the image has another one, or {mend}",
            tail=done.tail,
        )
    hint = (
        "let this machine reach the package index (and what the entry needs to be built), then run it again"
    )
    return Unchecked(reason=f"uv ended with status {done.status}", hint=hint, tail=done.tail)


def _words(found: Checking, *, is_hashed: bool) -> tuple[str, ...]:
    return (
        *("pip", "compile", "--quiet", "--no-header", "--annotation-style", "line"),
        *("--python-version", _last_patch(python_of(found)), "--python-platform", "linux"),
        *("--index-strategy", "unsafe-best-match"),
        *(("--generate-hashes",) if is_hashed else ()),
    )


def _last_patch(version: str) -> str:
    """Return a high patch version of a Python, because images have a recent one."""
    return f"{version}.99" if version.count(".") == 1 else version


def python_of(found: Checking) -> str:
    """Return the Python version that the entries are resolved for."""
    return found.python or HERE


class _Inputs(Struct, frozen=True, kw_only=True):
    """Input files for uv beside the lockfile, with names that no commit can have."""

    folder: Path
    words: tuple[str, ...]
    output: Path
    """Output file, named because committed settings of uv may name any other file."""


def _inputs(found: Checking, entries: Entries) -> _Inputs:
    """Write the input files for uv beside the lockfile."""
    options = [line for line in entries.options if re.split(r"[\s=]", line)[0] in _INDEX]
    wanted = [line for entry in installed(entries) for line in _asked(found, entry)]
    limits = [entry.text for entry in entries.entries if entry.is_constraint]
    folder = (found.folder / found.path).parent
    own = f"release-{secrets.token_hex(8)}"
    (folder / f"{own}.in").write_text("\n".join([*options, *wanted, ""]), encoding="utf-8")
    (folder / f"{own}-limits.in").write_text("\n".join([*limits, ""]), encoding="utf-8")
    words = (f"{own}.in", "--constraint", f"{own}-limits.in", "--output-file", f"{own}.txt")
    return _Inputs(folder=folder, words=words, output=folder / f"{own}.txt")


def _asked(found: Checking, entry: Entry) -> Sequence[str]:
    """Return the input lines of an entry; for a folder of the commit, its declared requirements."""
    return (declared(found, entry) or ()) if entry.is_local else (entry.text,)


def declared(found: Checking, entry: Entry) -> list[str] | None:
    """Return the requirements of a folder of the commit; None if only a build shows them."""
    address = entry.address.removeprefix("file://").removeprefix("file:")
    folder = PurePosixPath(found.path).parent / re.sub(r"\[.*\]$|[#?].*$", "", address)
    try:
        document = tomltext.read(found.read((folder / "pyproject.toml").as_posix()))
        return list(document["project"].get("dependencies", ())) if is_static(document) else None
    except (OSError, *ANY_TROUBLE):
        return None


def _read_resolved(output: str) -> dict[str, Resolved]:
    joined = re.sub(r"\\\n", " ", output)
    found = (match for line in joined.splitlines() if (match := _RESOLVED.match(line.strip())) is not None)
    return {
        canonicalize_name(match["name"]): Resolved(
            name=match["name"],
            version=match["version"],
            via=", ".join(
                each for each in re.split(r",\s*", match["via"] or "") if each[:1] not in ("-", "")
            ),
            hashes=frozenset(_FOUND_IN_INDEX.findall(match["rest"])),
        )
        for match in found
    }
