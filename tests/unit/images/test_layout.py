"""Reading an image layout: every blob is hashed, and late files are found."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import Any

import pytest

from release.errors import EngineError
from release.images.imageconfig import own_layers
from release.images.layout import files_after_epoch, manifest_of, read_layout
from release.reference import Digest

EPOCH = 315532800


def archive(files: dict[str, bytes], *, mtime: int = EPOCH) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), mtime
            made.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def blob(content: bytes) -> tuple[str, dict[str, Any]]:
    digest = hashlib.sha256(content).hexdigest()
    return f"blobs/sha256/{digest}", {
        "digest": f"sha256:{digest}",
        "size": len(content),
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
    }


def layout(*, leave_out: str = "", spoil: str = "") -> tuple[bytes, Digest]:
    layer = gzip.compress(archive({"srv/app.py": b"x"}))
    config = json.dumps({"history": [{"created": "1980-01-01T00:00:00Z"}]}).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob(config)[1] | {"mediaType": "application/vnd.oci.image.config.v1+json"},
            "layers": [blob(layer)[1]],
        }
    ).encode()
    files = {blob(content)[0]: content for content in (layer, config, manifest)}
    named = {"layer": blob(layer)[0], "config": blob(config)[0]}
    if leave_out:
        del files[named[leave_out]]
    if spoil:
        files[named[spoil]] = b"other"
    files["index.json"] = json.dumps({"schemaVersion": 2}).encode()
    return archive(files), Digest.of(manifest)


def test_a_whole_layout_gives_its_manifest() -> None:
    """Manifest, config and layer are there and hash to their names."""
    content, digest = layout()
    manifest = manifest_of(read_layout(io.BytesIO(content)), digest)
    assert (manifest.digest, len(manifest.layers)) == (digest, 1)


@pytest.mark.parametrize("part", ["layer", "config"])
def test_a_missing_blob_is_named(part: str) -> None:
    """An export that lacks something is no proof."""
    content, digest = layout(leave_out=part)
    with pytest.raises(EngineError, match="are missing"):
        manifest_of(read_layout(io.BytesIO(content)), digest)


def test_other_bytes_under_a_name_are_found() -> None:
    """A blob that does not hash to its name is damage."""
    content, _ = layout(spoil="layer")
    with pytest.raises(EngineError, match="holds other bytes"):
        read_layout(io.BytesIO(content))


def test_an_archive_without_an_index_is_no_layout() -> None:
    """A graph-driver engine exports another format."""
    with pytest.raises(EngineError, match="no OCI image layout"):
        read_layout(io.BytesIO(archive({"manifest.json": b"[]"})))


def test_own_layers_are_those_of_steps_at_the_epoch() -> None:
    """The base's steps carry other times; steps without a layer do not count."""
    history = [
        {"created": "2026-11-01T00:00:00Z"},
        {"created": "1980-01-01T00:00:00Z", "empty_layer": True},
        {"created": "1980-01-01T00:00:00Z"},
    ]
    assert own_layers(json.dumps({"history": history}).encode(), EPOCH) == (1,)


def test_files_with_the_clock_of_the_build_are_named() -> None:
    """A layer at the epoch is clean; one with a later time is not."""
    assert files_after_epoch(io.BytesIO(gzip.compress(archive({"srv/a": b"x"}))), EPOCH) == ()
    assert files_after_epoch(io.BytesIO(archive({"srv/a": b"x"}, mtime=EPOCH + 1)), EPOCH) == ("/srv/a",)


def test_only_some_late_files_are_named() -> None:
    """A whole system of them would drown the message."""
    files = {f"f{number}": b"" for number in range(9)}
    assert len(files_after_epoch(io.BytesIO(archive(files, mtime=EPOCH + 1)), EPOCH, limit=3)) == 3
