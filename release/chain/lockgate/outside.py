"""Files that a lockfile or its sources name, and that the commit's service folder lacks.

Another machine has another file of that name, or none. The author of a commit could also make the tool read a
file of the operator. So no tool gets such a name.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from release.chain.lockgate.checking import LockfileCopy
from release.chain.lockgate.entries import (
    RequirementEntry,
    RequirementsFile,
    parse_requirements_file,
    without_constraints,
)
from release.chain.lockgate.results import Unchecked

_PROJECT_FILES: Final = ("pyproject.toml", "setup.py", "setup.cfg")
_INDEX: Final = re.compile(
    r"(?:^|\s)(?:--(?:extra-)?index-url|--(?:default-)?index|-i)[=\s]+(?:file|https?)://\S+"
)
_LINKS: Final = re.compile(r"(?:^|\s)(?:--find-links|-f)[=\s]*(?P<place>[^\s=]\S*)")
_ROOT: Final = re.compile(r"/*\$\{(?:PROJECT_ROOT|PWD)\}/*")
"""Placeholder for the installer's working folder in a requirements file."""


def read_committed_requirements(lockfile: LockfileCopy, path: str) -> RequirementsFile:
    """Return the entries of a committed requirements file and of included files.

    Raises ValueError: not UTF-8.
    """
    return parse_requirements_file(path, lambda name: _read_inside(lockfile, name))


def _read_inside(lockfile: LockfileCopy, name: str) -> bytes | None:
    return (
        (lockfile.folder / name).read_bytes() if not leads_outside(name) and lockfile.has_file(name) else None
    )


def refuse_uncommitted_files(
    lockfile: LockfileCopy, path: str, entries: RequirementsFile
) -> Unchecked | None:
    """Return the answer for a requirements file that names uncommitted files; None if all are committed."""
    if entries.missing:
        names = ", ".join(entries.missing)
        return Unchecked(
            reason=f"{_it_or_path(lockfile, path)} includes {names}, which is not committed in the "
            "service's folder",
            hint=f"commit {names}, or correct the line that includes it",
        )
    outside = next((line for line in entries.options if _names_a_file(line)), None)
    if outside is not None:
        return _machine_file_answer(f"{_it_or_path(lockfile, path)} has the option `{outside}`")
    for entry in without_constraints(entries):
        if (answer := _refuse_uncommitted_entry(lockfile, path, entry)) is not None:
            return answer
    return None


def _names_a_file(option: str) -> bool:
    """Return whether an option names a file of a machine.

    Indexes and folders of wheels do not count: pip-compile writes the ones of its machine, and no tool reads
    their files as text.
    """
    links = [local_path(match["place"]) for match in _LINKS.finditer(option)]
    if any(place is not None and Path(place).expanduser().is_file() for place in links):
        return True
    return any(map(leads_outside, _possible_paths(_LINKS.sub(" ", _INDEX.sub(" ", option)))))


def _refuse_uncommitted_entry(lockfile: LockfileCopy, path: str, entry: RequirementEntry) -> Unchecked | None:
    """Return the answer for a file or folder that the commit lacks; None for other entries."""
    address = entry.url_or_path.removeprefix("git+")
    if not entry.is_local and not address.startswith("file:"):
        return None
    place = local_path(address) or ""
    asks = f"{_it_or_path(lockfile, path)} asks for {entry.text}"
    if leads_outside(place):
        return _machine_file_answer(asks)
    folders = {"", *(posixpath.dirname(each) for each in (lockfile.path, entry.file))}
    places = {posixpath.normpath(posixpath.join(folder, place)) for folder in folders}
    if any(_has_project(lockfile, each) for each in places if not leads_outside(each)):
        return None
    return Unchecked(
        reason=f"{asks}, and the commit has no such file or project in the service's folder",
        hint="commit it, or correct the line",
    )


def _has_project(lockfile: LockfileCopy, place: str) -> bool:
    projects = [posixpath.join(place, name) for name in _PROJECT_FILES]
    return any(map(lockfile.has_file, (place, *projects)))


def _it_or_path(lockfile: LockfileCopy, path: str) -> str:
    return "it" if path == lockfile.path else path


def _machine_file_answer(what: str) -> Unchecked:
    return Unchecked(
        reason=f"{what}, which is a file of a machine and not of the service's folder",
        hint="commit the file and name it by its path in the service's folder, or use a package index",
    )


def refuse_machine_paths(words: Iterable[str]) -> Unchecked | None:
    """Return the answer for a header's uv command that names a file of a machine; None if none does."""
    every = tuple(words)
    if not _names_a_file(" ".join(every)):
        return None
    outside = next(
        (word for word in every if any(map(leads_outside, _possible_paths(word)))), " ".join(every)
    )
    return _machine_file_answer(f"the command of its header names {outside}")


def _possible_paths(text: str) -> Iterator[str]:
    """Yield possible paths in an option: its words, and their ends as in `-fx` and `--links=x`."""
    for word in text.split():
        yield word
        yield word.partition("=")[2]
        if word.startswith("-"):
            yield word[2:]


def leads_outside(text: str) -> bool:
    """Return whether a path, or a `file:` URL, leads out of its folder."""
    path = local_path(text)
    return path is not None and (
        path.startswith(("/", "~", "${")) or posixpath.normpath(path)[:3] in ("..", "../")
    )


def local_path(text: str) -> str | None:
    """Return the path on this machine of a URL, or of a path with extras; None if there is none."""
    if text.startswith("file:"):
        rest = unquote(re.sub(r"[?#].*$", "", text.removeprefix("file:")))
        path = re.sub(r"^//[^/]*", "", rest)
    elif "://" in text:
        return None
    else:
        path = re.sub(r"\[[^\]]*\]$|[#?].*$", "", text)
    return _ROOT.sub("", path, count=1) if _ROOT.match(path) else path
