"""Entries of requirements files, read as pip reads them, included files as well.

Source: pip, "Requirements File Format".
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from release.chain.lockgate.compiled import logical_lines
from release.chain.lockgate.deciding import Read
from release.chain.lockgate.results import Unchecked
from release.values import Struct

_INCLUDE: Final = re.compile(
    r"(?P<option>-r|-c|--requirement|--constraint)(?:\s+|=|(?<=-r)|(?<=-c))(?P<name>\S+)"
)
_EDITABLE: Final = re.compile(r"(?:-e|--editable)(?:\s+|=)(?P<what>.+)")
_HASH: Final = re.compile(r"--hash[=\s](\S+)")
_OPTIONS: Final = re.compile(r"\s--(?:config-settings?|global-option|install-option)\b.*$")
_COMMIT: Final = re.compile(r"@[0-9a-f]{40}(?:[#?]|$)", re.IGNORECASE)
_EGG: Final = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")
_MARKS: Final = re.compile(r"<{7}|={7}|>{7}")
"""Conflict marks of git."""
_VCS: Final = ("git+", "hg+", "svn+", "bzr+")


class RequirementEntry(Struct, frozen=True, kw_only=True):
    """One line of a requirements file that requires a package."""

    text: str
    """The line without hashes and comments."""
    file: str
    hashes: frozenset[str] = frozenset()
    is_editable: bool = False
    is_constraint: bool = False

    @property
    def requirement(self) -> Requirement | None:
        """Return the line as a PEP 508 requirement; None for a path or a URL."""
        try:
            return Requirement(self.text)
        except InvalidRequirement:
            return None

    @property
    def name(self) -> str:
        """Return the normalised name; empty if the line shows no name."""
        requirement = self.requirement
        if requirement is not None:
            return canonicalize_name(requirement.name)
        egg = _EGG.search(self.text)
        return canonicalize_name(egg[1]) if egg is not None else ""

    @property
    def url_or_path(self) -> str:
        """Return the URL or path; empty for a package from an index."""
        requirement = self.requirement
        return (requirement.url or "") if requirement is not None else self.text

    @property
    def is_local(self) -> bool:
        """Return whether the entry is a file or folder of the commit."""
        address = self.url_or_path
        return bool(address) and ("://" not in address or address.startswith("file:"))

    @property
    def is_pinned(self) -> bool:
        """Return whether the entry names one version, one commit, or a file."""
        if self.url_or_path.startswith(_VCS):
            return _COMMIT.search(self.url_or_path) is not None
        if self.url_or_path:
            return True
        pins = [item for item in self.requirement.specifier if _is_exact_pin(item.operator, item.version)]  # type: ignore[union-attr]
        return len(pins) >= 1

    @property
    def pinned_version(self) -> str:
        """Return the pinned version; empty for other entries."""
        requirement = self.requirement
        exact = (
            (item for item in requirement.specifier if _is_exact_pin(item.operator, item.version))
            if requirement
            else ()
        )
        return next((item.version for item in exact), "")


def _is_exact_pin(operator: str, version: str) -> bool:
    return operator == "===" or (operator == "==" and not version.endswith(".*"))


class RequirementsFile(Struct, frozen=True, kw_only=True):
    """All entries of a requirements file, and its index options."""

    entries: tuple[RequirementEntry, ...]
    options: tuple[str, ...]
    missing: tuple[str, ...]
    """Included files that are not committed."""
    files: frozenset[str]


def parse_requirements_file(path: str, read: Read) -> RequirementsFile:
    """Return the entries of a requirements file and of included files. Raises ValueError: not UTF-8."""
    entries: list[RequirementEntry] = []
    options: list[str] = []
    missing: list[str] = []
    files: set[str] = set()
    waiting = [(path, False)]
    while waiting:
        name, limits = waiting.pop(0)
        content = read(name) if name not in files else b""
        files.add(name)
        if content is None:
            missing.append(name)
            continue
        for line in logical_lines(content.decode("utf-8-sig")):
            if (match := _INCLUDE.fullmatch(line)) is not None:
                beside = posixpath.normpath(posixpath.join(posixpath.dirname(name), match["name"]))
                waiting.append((beside, limits or match["option"] in ("-c", "--constraint")))
            elif line.startswith("-") and not _EDITABLE.match(line):
                options.append(line)
            else:
                entries.append(_parse_entry(line, name, is_constraint=limits))
    return RequirementsFile(
        entries=tuple(entries), options=tuple(options), missing=tuple(missing), files=frozenset(files)
    )


def _parse_entry(line: str, file: str, *, is_constraint: bool) -> RequirementEntry:
    hashes = frozenset(_HASH.findall(line))
    text = _OPTIONS.sub("", _HASH.sub("", line)).strip()
    editable = _EDITABLE.fullmatch(text)
    return RequirementEntry(
        text=editable["what"].strip("\"'") if editable is not None else text,
        file=file,
        hashes=hashes,
        is_editable=editable is not None,
        is_constraint=is_constraint,
    )


def without_constraints(entries: RequirementsFile) -> Iterator[RequirementEntry]:
    """Return the entries without constraints."""
    return (entry for entry in entries.entries if not entry.is_constraint)


def refuse_unreadable_lines(entries: RequirementsFile) -> Unchecked | None:
    """Return the gate's answer for a file with a line that pip cannot read; None if pip reads all."""
    broken = next((entry.text for entry in without_constraints(entries) if _is_unreadable(entry)), None)
    if broken is None:
        return None
    reason = f"it is damaged: it has a line that is no requirement: {broken}"[:300]
    return Unchecked(reason=reason, hint="correct the line; conflict marks of a merge have to go")


def _is_unreadable(entry: RequirementEntry) -> bool:
    if entry.requirement is not None or entry.is_editable:
        return False
    return _MARKS.match(entry.text) is not None or (" " in entry.text and "://" not in entry.text)
