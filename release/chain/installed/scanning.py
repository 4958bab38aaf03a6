"""Read from a layer what tells its Python packages: metadata, environments, interpreters, deletions.

No program of the image is run. Sources: "Recording installed projects" and "Direct URL" (PyPA
specifications), PEP 405 for `pyvenv.cfg`, and OCI Image Specification 1.1, "Whiteouts".
"""

from __future__ import annotations

import posixpath
import re
import tarfile
from collections.abc import Iterable
from typing import IO, Any, Final, Protocol, cast

from release.chain.installed.system import DATABASES, LARGEST, condense_package_database
from release.images.layout import Readable
from release.values import Struct, field

_TEXTS: Final = re.compile(
    r"(?:.*/)?(?:[^/]+\.dist-info/(?:METADATA|direct_url\.json)|[^/]+\.egg-info(?:/PKG-INFO)?"
    r"|pyvenv\.cfg|include/py[^/]+/patchlevel\.h)"
)
"""Files whose content is read."""

_NAMES: Final = re.compile(
    r"(?:.*/)?(?:bin/(?:python|pypy)\d\.\d+|(?:ensurepip/_bundled|seed/wheels/embed)/[^/]+\.whl)"
)
"""Files whose names suffice: interpreters, and bundled wheels."""

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_LARGEST: Final = 512 * 1024
_BUFFER: Final = 1 << 20


class LayerScan(Struct, frozen=True, kw_only=True):
    """The facts about Python packages in one layer. Paths have no slash at their ends."""

    texts: dict[str, str]
    """Content by path; of metadata files the header only."""
    names: tuple[str, ...]
    """Paths of interpreters and of bundled wheels."""
    removed_paths: tuple[str, ...] = ()
    """Paths that the layer deletes from lower layers."""
    emptied_folders: tuple[str, ...] = ()
    """Folders whose content from lower layers is hidden."""
    leaks: tuple[tuple[str, str], ...] = ()
    """Files that hold a secret, each with the secret's name. Such a scan is never stored."""

    def to_json(self) -> dict[str, Any]:
        """Return the scan as JSON data."""
        return {
            "texts": self.texts,
            "names": self.names,
            "removed": self.removed_paths,
            "emptied": self.emptied_folders,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LayerScan:
        """Return the scan from JSON data. Raises KeyError, TypeError, ValueError."""
        return cls(
            texts={str(path): str(text) for path, text in dict(data["texts"]).items()},
            names=tuple(map(str, data["names"])),
            removed_paths=tuple(map(str, data["removed"])),
            emptied_folders=tuple(map(str, data["emptied"])),
        )


class UnreadableLayer(Exception):
    """Raised for a layer that is not a tar archive, or has an unknown compression. The text is the reason."""


class Searching(Protocol):
    """Search for secrets in the content of a file."""

    def found_in(self, content: bytes) -> Iterable[str]:
        """Return the names of the secrets in a file."""
        ...


def scan_layer_archive(layer: Readable, secrets: Searching | None = None) -> LayerScan:
    """Return the scan of a layer's tar, compressed or not. Raises UnreadableLayer.

    Args:
        layer: the bytes of the layer.
        secrets: searched in every file; None: only files that tell packages are read.
    """
    found = _Found()
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", layer), mode="r|*", bufsize=_BUFFER) as archive:
            for member in archive:
                _read_member(archive, member, found, secrets)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise UnreadableLayer(str(error)) from error
    return LayerScan(
        texts=found.texts,
        names=tuple(found.names),
        removed_paths=tuple(found.removed),
        emptied_folders=tuple(found.emptied),
        leaks=tuple(found.leaks),
    )


class _Found(Struct, kw_only=True):
    """Parts of a scan while a layer is read."""

    texts: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    emptied: list[str] = field(default_factory=list)
    leaks: list[tuple[str, str]] = field(default_factory=list)


def _read_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, found: _Found, secrets: Searching | None
) -> None:
    """Add the facts of one entry of a layer."""
    path = posixpath.normpath(member.name).lstrip("/")
    folder, name = posixpath.split(path)
    content = _member_content(archive, member, secrets is not None)
    if secrets is not None:
        found.leaks += ((path, secret) for secret in secrets.found_in(content))
    if name == _OPAQUE:
        found.emptied.append(folder)
    elif name.startswith(_WHITEOUT):
        found.removed.append(posixpath.join(folder, name.removeprefix(_WHITEOUT)))
    elif member.isfile() and _TEXTS.fullmatch(path):
        found.texts[path] = _metadata_header(member, content)
    elif member.isfile() and DATABASES.fullmatch(path):
        found.texts[path] = condense_package_database(path, _text(content, LARGEST))
    elif _NAMES.fullmatch(path):
        found.names.append(path)


def _member_content(archive: tarfile.TarFile, member: tarfile.TarInfo, every: bool) -> bytes:  # noqa: FBT001
    """Return the first bytes of a file that counts; a stream can be read once only."""
    path = posixpath.normpath(member.name).lstrip("/")
    if not member.isfile() or not (every or _TEXTS.fullmatch(path) or DATABASES.fullmatch(path)):
        return b""
    stream = archive.extractfile(member)
    return stream.read(LARGEST) if stream is not None else b""


def _metadata_header(member: tarfile.TarInfo, content: bytes) -> str:
    """Return the text of a file; of metadata, the part before the description."""
    text = _text(content, _LARGEST)
    is_metadata = member.name.endswith(("METADATA", "PKG-INFO", ".egg-info"))
    return text.partition("\n\n")[0] if is_metadata else text


def _text(content: bytes, limit: int) -> str:
    return content[:limit].decode("utf-8", "replace").replace("\r\n", "\n")
