"""Read from a layer what tells its Python packages: metadata, environments, interpreters, deletions.

No program of the image is run. Sources: "Recording installed projects" and "Direct URL" (PyPA
specifications), PEP 405 for `pyvenv.cfg`, and OCI Image Specification 1.1, "Whiteouts".
"""

from __future__ import annotations

import posixpath
import re
import tarfile
from typing import IO, Any, Final, cast

from release.chain.installed.system import DATABASES, LARGEST, condense_package_database
from release.images.layout import Readable
from release.values import Struct

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


def scan_layer_archive(layer: Readable) -> LayerScan:
    """Return the scan of a layer's tar, compressed or not. Raises UnreadableLayer."""
    texts: dict[str, str] = {}
    names: list[str] = []
    removed: list[str] = []
    emptied: list[str] = []
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", layer), mode="r|*", bufsize=_BUFFER) as archive:
            for member in archive:
                path = posixpath.normpath(member.name).lstrip("/")
                folder, name = posixpath.split(path)
                if name == _OPAQUE:
                    emptied.append(folder)
                elif name.startswith(_WHITEOUT):
                    removed.append(posixpath.join(folder, name.removeprefix(_WHITEOUT)))
                elif member.isfile() and _TEXTS.fullmatch(path):
                    texts[path] = _read_metadata_header(archive, member)
                elif member.isfile() and DATABASES.fullmatch(path):
                    texts[path] = condense_package_database(path, _read_member_text(archive, member, LARGEST))
                elif _NAMES.fullmatch(path):
                    names.append(path)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise UnreadableLayer(str(error)) from error
    return LayerScan(
        texts=texts, names=tuple(names), removed_paths=tuple(removed), emptied_folders=tuple(emptied)
    )


def _read_metadata_header(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """Return the text of a file; of metadata, the part before the description."""
    text = _read_member_text(archive, member, _LARGEST)
    is_metadata = member.name.endswith(("METADATA", "PKG-INFO", ".egg-info"))
    return text.partition("\n\n")[0] if is_metadata else text


def _read_member_text(archive: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> str:
    stream = archive.extractfile(member)
    content = stream.read(limit) if stream is not None else b""
    return content.decode("utf-8", "replace").replace("\r\n", "\n")
