"""Requirement lines with the hashes of a lockfile, by name and version, for `pip install --require-hashes`.

One function for each kind of lockfile. A package from a repository or URL has a direct reference (PEP 508).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from packaging.utils import canonicalize_name

from release.chain.installed.wanted import ANY
from release.chain.lockgate import detect
from release.parsing import jsontext, tomltext
from release.values import Struct


class Pin(Struct, frozen=True, kw_only=True):
    """One locked package as pip installs it."""

    text: str
    """Requirement, as "six==1.17.0" or "six @ git+https://host/six@COMMIT"."""
    hashes: tuple[str, ...] = ()
    """Hashes of its files, as "sha256:..."; empty if the lockfile has none."""

    @property
    def line(self) -> str:
        """Return the line of a requirements file."""
        return " ".join((self.text, *(f"--hash={each}" for each in self.hashes)))


Key = tuple[str, str]
"""Normalised name and version; `ANY` is the version of a package that is not from an index."""


def pins_of(kind: str, content: str) -> dict[Key, Pin]:
    """Return the pins of a lockfile; folders and files of the commit have none.

    Raises ValueError, LookupError, TypeError or AttributeError: the lockfile is damaged.
    """
    return {key: pin for key, pin in _BY_KIND[kind](content) if pin.text}


def _pin(name: str, version: str, address: str, hashes: Iterable[str]) -> tuple[Key, Pin]:
    own = canonicalize_name(name)
    text = f"{own} @ {address}" if address else f"{own}=={version}" if version else ""
    return (own, version), Pin(text=text, hashes=tuple(dict.fromkeys(hashes)))


def _of_uv(content: str) -> Iterator[tuple[Key, Pin]]:
    for package in tomltext.read(content, tomltext.LARGEST_LOCK).get("package", []):
        source = package.get("source", {})
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
        hashes = [file["hash"] for file in files if "hash" in file]
        name, version = str(package["name"]), str(package.get("version", ""))
        if "registry" in source:
            yield _pin(name, version, "", hashes)
        elif "git" in source:
            yield _pin(name, ANY, _git_of_uv(str(source["git"])), ())
        elif "url" in source:
            address = str(source["url"])
            yield _pin(name, ANY, address, hashes)
            yield _pin(name, version, address, hashes)


def _git_of_uv(source: str) -> str:
    """Return pip's address of a source of uv, as "https://host/x?subdirectory=y&rev=main#COMMIT"."""
    place, _, commit = source.partition("#")
    address, _, question = place.partition("?")
    folder = next((part for part in question.split("&") if part.startswith("subdirectory=")), "")
    return f"git+{address}@{commit}{f'#{folder}' if folder else ''}"


def _of_poetry(content: str) -> Iterator[tuple[Key, Pin]]:
    document = tomltext.read(content, tomltext.LARGEST_LOCK)
    older = document.get("metadata", {}).get("files", {})
    for package in document.get("package", []):
        name, version, source = str(package["name"]), str(package["version"]), package.get("source") or {}
        hashes = [file["hash"] for file in package.get("files") or older.get(name, ())]
        match source.get("type", ""):
            case "git":
                address = f"git+{source['url']}@{source['resolved_reference']}"
                folder = source.get("subdirectory")
                yield _pin(name, ANY, f"{address}#subdirectory={folder}" if folder else address, ())
            case "url":
                yield _pin(name, ANY, str(source["url"]), hashes)
            case "directory" | "file":
                continue
            case _:
                yield _pin(name, version, "", hashes)


def _of_pdm(content: str) -> Iterator[tuple[Key, Pin]]:
    document = tomltext.read(content, tomltext.LARGEST_LOCK)
    older = document.get("metadata", {}).get("files", {})
    for package in document.get("package", []):
        name, version = str(package["name"]), str(package.get("version", ""))
        files = package.get("files") or older.get(f"{name} {version}", ())
        hashes = [file["hash"] for file in files if "hash" in file]
        if "git" in package:
            folder = f"#subdirectory={package['subdirectory']}" if "subdirectory" in package else ""
            yield _pin(name, ANY, f"git+{package['git']}@{package['revision']}{folder}", ())
        elif "url" in package:
            yield _pin(name, ANY, str(package["url"]), hashes)
        elif "path" not in package:
            yield _pin(name, version, "", hashes)


def _of_pipenv(content: str) -> Iterator[tuple[Key, Pin]]:
    for section, packages in jsontext.read_object(content.encode()).items():
        if section == "_meta":
            continue
        for name, about in packages.items():
            hashes = [str(each) for each in about.get("hashes", ())]
            if "git" in about:
                yield _pin(name, ANY, f"git+{about['git']}@{about['ref']}", ())
            elif "file" in about:
                yield _pin(name, ANY, str(about["file"]), hashes)
            elif "version" in about:
                yield _pin(name, str(about["version"]).lstrip("="), "", hashes)


def _of_pylock(content: str) -> Iterator[tuple[Key, Pin]]:
    for package in tomltext.read(content, tomltext.LARGEST_LOCK)["packages"]:
        name, version = str(package["name"]), str(package.get("version", ANY))
        if "vcs" in package:
            vcs = package["vcs"]
            folder = f"#subdirectory={vcs['subdirectory']}" if "subdirectory" in vcs else ""
            yield _pin(name, version, f"{vcs['type']}+{vcs['url']}@{vcs['commit-id']}{folder}", ())
        elif "archive" in package and "url" in package["archive"]:
            yield _pin(name, version, package["archive"]["url"], _hashes([package["archive"]]))
        elif "directory" not in package and "archive" not in package:
            files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
            yield _pin(name, version, "", _hashes(files))


def _hashes(files: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for file in files:
        yield from (f"{name}:{value}" for name, value in file["hashes"].items() if name in _KNOWN_TO_PIP)


_KNOWN_TO_PIP: Final = ("sha256", "sha384", "sha512")
"""Algorithms of pip ("Secure installs")."""

_BY_KIND: Final[Mapping[str, Callable[[str], Iterator[tuple[Key, Pin]]]]] = {
    detect.UV: _of_uv,
    detect.POETRY: _of_poetry,
    detect.PDM: _of_pdm,
    detect.PIPENV: _of_pipenv,
    detect.PYLOCK: _of_pylock,
}
