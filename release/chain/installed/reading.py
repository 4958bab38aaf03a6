"""Layers of the built image, read from the engine. A layer that this clone has read is cached."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from release.chain.installed.leaks import Needles
from release.chain.installed.scanning import LayerScan, UnreadableLayer, scan_layer_archive
from release.chain.stage_context import StageContext
from release.errors import ReleaseError
from release.files import private
from release.files.hmac_key import BadSeal, ClonesKey
from release.images.layout import HashingReader, Readable
from release.parsing import jsontext
from release.reference import Reference
from release.values import Struct

_PURPOSE: Final = "layer"
_KEPT: Final = 100
"""Number of cached layers per clone."""
_SMALL: Final = 4 << 20
"""Most bytes of an image config or manifest."""
_VERSION: Final = 2
"""Version of the cache format; increased when a scan reads other files."""


class ImageScan(Struct, frozen=True, kw_only=True):
    """Scanned layers and config of an image."""

    layers: tuple[LayerScan, ...]
    """Scans of the layers, base image first."""
    config: Mapping[str, Any]
    config_bytes: bytes

    @property
    def history(self) -> list[dict[str, Any]]:
        """Return the steps of the build."""
        return [step for step in self.config.get("history") or () if isinstance(step, dict)]


class UnreadableImage(Exception):
    """Raised if the engine's export has an unknown form. The text is the reason."""


def scan_image_layers(ctx: StageContext, reference: Reference, secrets: Needles | None = None) -> ImageScan:
    """Return the scan of an image's layers. Raises UnreadableImage; ReleaseError from the engine."""
    store = _LayerScanCache(ctx, secrets or None)
    with ctx.engine.exported(reference, cancellation=ctx.cancellation) as stream:
        documents, scans = _read_export(ctx, stream, store)
    try:
        (told,) = json.loads(documents["manifest.json"])
        config = documents[told["Config"]]
        layers = tuple(_scan_or_raise(scans, name) for name in told["Layers"])
        return ImageScan(layers=layers, config=jsontext.read_object(config), config_bytes=config)
    except (ValueError, LookupError, TypeError) as error:
        raise UnreadableImage(
            f"the engine's export of the image has no usable manifest.json: {error}"
        ) from error


def _scan_or_raise(scans: Mapping[str, LayerScan | str], name: str) -> LayerScan:
    scanned = scans[name]
    if isinstance(scanned, str):
        raise UnreadableImage(scanned)
    return scanned


def _read_export(
    ctx: StageContext, stream: BinaryIO, store: _LayerScanCache
) -> tuple[dict[str, bytes], dict[str, LayerScan | str]]:
    """Return the small documents and the layer scans of an export; a text is why a layer was not read."""
    documents: dict[str, bytes] = {}
    scans: dict[str, LayerScan | str] = {}
    with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20) as archive:
        for member in archive:
            ctx.cancellation.check()
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            small = content.read() if member.size <= _SMALL else None
            if small is not None and small[:1] in (b"{", b"["):
                documents[member.name] = small
            elif "/" in member.name:
                scans[member.name] = store.scan_layer(member.name, io.BytesIO(small) if small else content)
    return documents, scans


class _LayerScanCache:
    """Cache of scanned layers in `.release/layers`, by digest, sealed by this clone."""

    def __init__(self, ctx: StageContext, secrets: Needles | None) -> None:
        self._folder = ctx.run_folder.release_folder / "layers"
        self._secrets = secrets
        self._seal: ClonesKey | None = None
        with suppress(ReleaseError):
            self._seal = ClonesKey.of(ctx.source.git_dir)

    def scan_layer(self, name: str, content: Readable) -> LayerScan | str:
        """Return the scan of a layer; a text is why the layer cannot be read."""
        digest = name.rpartition("/")[2]
        kept = self._load(digest)
        if kept is not None:
            return kept
        hashing = HashingReader(content)
        try:
            found = scan_layer_archive(hashing, self._secrets)
        except UnreadableLayer as error:
            return f"the layer {digest[:12]} cannot be read: {error}"
        if hashing.finish().hex == digest and not found.leaks:
            self._store(digest, found)
        return found

    def _load(self, digest: str) -> LayerScan | None:
        if self._seal is None:
            return None
        with suppress(OSError, BadSeal, ValueError, LookupError, TypeError):
            content = self._seal.open(_read_regular_file(self._path(digest)), _PURPOSE)
            data = json.loads(content)
            is_same = data["digest"] == digest and data["version"] == _VERSION
            if is_same and (self._secrets is None or data.get("searched") == self._searched()):
                return LayerScan.from_json(data["scan"])
        return None

    def _store(self, digest: str, found: LayerScan) -> None:
        if self._seal is None:
            return
        data = {"digest": digest, "version": _VERSION, "scan": found.to_json(), "searched": self._searched()}
        content = json.dumps(data, separators=(",", ":")).encode()
        with suppress(OSError, ReleaseError):
            private.ensure_owned_subfolder(self._folder.parent, self._folder.name)
            unnamed = self._folder / f".{os.getpid()}-{digest[:16]}"
            try:
                with private.create_file(unnamed) as stream:
                    stream.write(self._seal.seal(content, _PURPOSE))
                unnamed.replace(self._path(digest))
            finally:
                unnamed.unlink(missing_ok=True)
            for old in sorted(self._folder.glob("*.json"), key=_modified_at)[:-_KEPT]:
                old.unlink(missing_ok=True)

    def _searched(self) -> str:
        """Return a keyed hash of the secrets that are searched; empty without secrets."""
        if self._seal is None or self._secrets is None:
            return ""
        return self._seal.seal(self._secrets.identity, "searched secrets")[:64].decode("ascii")

    def _path(self, digest: str) -> Path:
        return self._folder / f"{hashlib.sha256(digest.encode()).hexdigest()[:40]}.json"


def _read_regular_file(file: Path) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


def _modified_at(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def path_folders(config: Mapping[str, Any]) -> Sequence[str]:
    """Return the folders of PYTHONPATH in an image's config, without the leading slash."""
    variables = (config.get("config") or {}).get("Env") or ()
    found = dict(str(each).partition("=")[::2] for each in variables)
    return [each.strip("/") for each in found.get("PYTHONPATH", "").split(":") if each.strip("/")]
