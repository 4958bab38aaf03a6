"""The Python packages of an image: its layers on top of each other, with what each one deletes."""

from __future__ import annotations

import email
import json
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from release.chain.installed.scanning import LayerScan
from release.chain.installed.system import DATABASES, SystemPackage, distribution_id, parse_system_packages
from release.values import Struct, replace

_SITE: Final = re.compile(
    r"(?P<root>.*?)/?lib(?:64)?/(?P<python>(?:python|pypy)\d(?:\.\d+)?)/(?:site|dist)-packages"
)
_CHANGES: Final = re.compile(r"change ?log|changes|release ?notes|history|what'?s ?new|news", re.IGNORECASE)
"""Labels of changelog URLs (PyPA, "Well-known Project URLs in Metadata")."""
_PROGRAM: Final = re.compile(r"(?:.*/)?bin/(?P<name>python|pypy)(?P<version>\d\.\d+)")
_PATCHLEVEL: Final = re.compile(r'#\s*define\s+PY_VERSION\s+"([^"+]+)')


class InstalledPackage(Struct, frozen=True, kw_only=True):
    """An installed Python package."""

    name: str
    """Normalised name."""
    version: str
    folder: str
    """Folder with the package's metadata, as "usr/local/lib/python3.13/site-packages"."""
    layer: int
    """Index of the layer that installed the package, from 0."""
    requirements: tuple[str, ...] = ()
    """Requirements of the package (core metadata, "Requires-Dist")."""
    url: str = ""
    """URL that the package was installed from; None for a package from an index."""
    is_folder: bool = False
    """True: the package was installed from a folder during the build."""
    changelog: str = ""
    """URL of the package's changelog, from its metadata ("Project-URL")."""
    is_bundled: bool = False
    """True: the version is the one that the interpreter gives to each new environment."""


class ImagePackages(Struct, frozen=True, kw_only=True):
    """Python packages, interpreters and distribution packages of an image."""

    packages: tuple[InstalledPackage, ...]
    pythons: Mapping[str, str]
    """Short versions of interpreters, as "3.13", by the folder whose `bin` holds the interpreter."""
    exact: Mapping[str, str]
    """Exact version of an interpreter by its short version, if a file shows it."""
    isolated: frozenset[str] = frozenset()
    """Virtual environments without access to system packages."""
    system: tuple[SystemPackage, ...] = ()
    """Packages of the distribution."""
    distribution: str = ""
    """Id of the distribution, as "debian"."""

    @property
    def folders(self) -> tuple[str, ...]:
        """Return the folders that hold packages."""
        return tuple(dict.fromkeys(each.folder for each in self.packages))


def merge_layers(layers: Sequence[LayerScan], path: Collection[str] = ()) -> ImagePackages:
    """Return the contents after all layers are applied in order.

    Args:
        layers: base first.
        path: further folders that the image's Python looks into (PYTHONPATH), without the first slash.
    """
    texts, names = _apply_layers(layers)
    bundled = frozenset(_bundled_wheels(names))
    databases = [(path, text) for path, (_, text) in sorted(texts.items()) if DATABASES.fullmatch(path)]
    packages = [each for each in _parse_packages(texts) if _is_importable(each.folder, path)]
    return ImagePackages(
        packages=tuple(_mark_bundled(each, bundled) for each in packages),
        pythons=dict(_find_interpreters(names)),
        exact=dict(_exact_python_versions(texts)),
        isolated=frozenset(_isolated_environments(texts)),
        system=tuple(parse_system_packages(databases)),
        distribution=distribution_id(databases),
    )


def environment_of(folder: str) -> str:
    """Return the environment of a package folder, as "venv" of "venv/lib/python3.13/site-packages"."""
    match = _SITE.fullmatch(folder)
    return match["root"] if match is not None else folder


def python_of(folder: str) -> str | None:
    """Return the Python version of a package folder, as "3.13"; None if its path shows no version."""
    match = _SITE.fullmatch(folder)
    version = re.sub(r"^(python|pypy)", "", match["python"]) if match is not None else ""
    return version if "." in version else None


def is_pypy(folder: str) -> bool:
    """Return whether a package folder is for PyPy."""
    return "/pypy" in f"/{folder}"


def _apply_layers(layers: Sequence[LayerScan]) -> tuple[dict[str, tuple[int, str]], dict[str, int]]:
    texts: dict[str, tuple[int, str]] = {}
    names: dict[str, int] = {}
    for number, layer in enumerate(layers):
        gone, emptied = set(layer.removed_paths), set(layer.emptied_folders)
        if gone or emptied:
            texts = {path: found for path, found in texts.items() if not _is_deleted(path, gone, emptied)}
            names = {path: found for path, found in names.items() if not _is_deleted(path, gone, emptied)}
        texts |= {path: (number, text) for path, text in layer.texts.items()}
        names |= dict.fromkeys(layer.names, number)
    return texts, names


def _is_deleted(path: str, removed: set[str], emptied: set[str]) -> bool:
    above = [str(each) for each in PurePosixPath(path).parents]
    return path in removed or any(each in removed or each in emptied for each in above)


def _parse_packages(texts: Mapping[str, tuple[int, str]]) -> Iterator[InstalledPackage]:
    for path, (layer, text) in texts.items():
        folder = _package_folder(path)
        if folder is None:
            continue
        about = email.message_from_string(text)
        name, version = about["Name"], about["Version"]
        if name and version:
            url, is_folder = _parse_direct_url(
                texts.get(posixpath.join(posixpath.dirname(path), "direct_url.json"))
            )
            yield InstalledPackage(
                name=canonicalize_name(name.strip()),
                version=version.strip(),
                folder=folder,
                layer=layer,
                requirements=tuple(about.get_all("Requires-Dist") or ()),
                url=url,
                is_folder=is_folder,
                changelog=_find_changelog_url(about.get_all("Project-URL") or ()),
            )


def _find_changelog_url(lines: Iterable[str]) -> str:
    named = (str(line).partition(",")[::2] for line in lines)
    found = (url.strip() for label, url in named if _CHANGES.fullmatch(label.strip()))
    return next((url for url in found if url.startswith("https://")), "")


def _package_folder(path: str) -> str | None:
    """Return the package folder that a metadata file belongs to; None for another file."""
    folder, name = posixpath.split(path)
    if name in ("METADATA", "PKG-INFO"):
        return posixpath.dirname(folder)
    return folder if name.endswith(".egg-info") else None


def _parse_direct_url(found: tuple[int, str] | None) -> tuple[str, bool]:
    try:
        data = json.loads(found[1]) if found is not None else {}
        return str(data.get("url", "")), "dir_info" in data
    except (ValueError, AttributeError, RecursionError):
        return "", False


def _is_importable(folder: str, path: Collection[str]) -> bool:
    """Return whether Python imports from the folder; packages may vendor copies in other folders."""
    return posixpath.basename(folder) in ("site-packages", "dist-packages") or folder in path


def _bundled_wheels(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for path in names:
        if path.endswith(".whl"):
            try:
                name, version, *_ = parse_wheel_filename(posixpath.basename(path))
            except InvalidWheelFilename:
                continue
            yield name, str(version)


def _mark_bundled(package: InstalledPackage, bundled: Collection[tuple[str, str]]) -> InstalledPackage:
    is_one = (package.name, package.version) in bundled
    return replace(package, is_bundled=True) if is_one else package


def _find_interpreters(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for path in names:
        if match := _PROGRAM.fullmatch(path):
            yield posixpath.dirname(posixpath.dirname(path)), match["version"]


def _exact_python_versions(texts: Mapping[str, tuple[int, str]]) -> Iterator[tuple[str, str]]:
    for path, (_, text) in texts.items():
        match = _PATCHLEVEL.search(text) if path.endswith("patchlevel.h") else None
        found = match[1] if match else _venv_python_version(text) if path.endswith("pyvenv.cfg") else ""
        if found:
            yield ".".join(found.split(".")[:2]), found


def _venv_python_version(text: str) -> str:
    """Return the version in a `pyvenv.cfg` (venv writes `version`, uv `version_info`)."""
    match = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+\.\d+)", text, re.MULTILINE)
    return match[1] if match else ""


def _isolated_environments(texts: Mapping[str, tuple[int, str]]) -> Iterator[str]:
    for path, (_, text) in texts.items():
        is_open = re.search(
            r"^include-system-site-packages\s*=\s*true\s*$", text, re.MULTILINE | re.IGNORECASE
        )
        if path.endswith("pyvenv.cfg") and is_open is None:
            yield posixpath.dirname(path)
