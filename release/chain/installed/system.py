"""Packages of the distribution in an image: the databases of dpkg and apk."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from release.values import Struct

DATABASES: Final = re.compile(
    r"var/lib/dpkg/status(?:\.d/[^/]+)?|(?:usr/)?lib/apk/db/installed|(?:etc|usr/lib)/os-release"
)
"""Package databases, and files that name the distribution."""

LARGEST: Final = 32 * 1024 * 1024
_DPKG: Final = {"Package": "name", "Version": "version", "Status": "status"}
_APK: Final = {"P": "name", "V": "version"}


class SystemPackage(Struct, frozen=True, kw_only=True):
    """A package of the distribution."""

    kind: str
    """Kind of a package URL: "deb" or "apk"."""
    name: str
    version: str


def condense_package_database(path: str, text: str) -> str:
    """Return the database as lines of name and version, one for each installed package."""
    if path.endswith("os-release"):
        return text
    keys = _APK if path.endswith("apk/db/installed") else _DPKG
    lines = [
        " ".join(found)
        for block in text.split("\n\n")
        if (found := _parse_database_entry(block, keys)) is not None
    ]
    return "\n".join(lines)


def _parse_database_entry(block: str, keys: Mapping[str, str]) -> tuple[str, str] | None:
    found: dict[str, str] = {}
    for line in block.splitlines():
        key, is_there, value = line.partition(":")
        if is_there and key in keys:
            found.setdefault(keys[key], value.strip())
    if "name" not in found or "version" not in found or "installed" not in found.get("status", "installed"):
        return None
    return found["name"], found["version"]


def parse_system_packages(texts: Iterable[tuple[str, str]]) -> Iterator[SystemPackage]:
    """Return the packages of condensed databases."""
    for path, text in texts:
        if path.endswith("os-release"):
            continue
        kind = "apk" if path.endswith("apk/db/installed") else "deb"
        for line in text.splitlines():
            name, _, version = line.partition(" ")
            if name and version:
                yield SystemPackage(kind=kind, name=name, version=version)


def distribution_id(texts: Iterable[tuple[str, str]]) -> str:
    """Return the id of the distribution, as "debian"; empty if no file shows it."""
    for path, text in texts:
        match = re.search(r"^ID=\"?([a-z0-9._-]+)", text, re.MULTILINE)
        if path.endswith("os-release") and match is not None:
            return match[1]
    return ""
