"""Evidence of a release: files of its gates, stored and read by their hashes.

A registry stores the files as an artifact beside the image (`registry/artifacts.py`). A clone stores the
files that it wrote or read in `.release/evidence/`, each named by the sha256 of its bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from release.errors import ReleaseError
from release.files import private
from release.images.registry.artifacts import ArtifactRegistry
from release.records import Evidence, Release
from release.reference import Digest, Repository

KIND: Final = "application/vnd.release.evidence.v1"
"""Media type of the artifact."""

_LARGEST: Final = 64 * 1024 * 1024


class EvidenceFolder:
    """Evidence files in the folder of a clone."""

    def __init__(self, home: Path) -> None:
        """Set the clone's `.release` folder; create nothing yet."""
        self._home = home

    def put(self, content: bytes) -> Digest:
        """Store a file and return its digest. Raise OSError; ReleaseError if another user owns the folder."""
        digest = Digest.of(content)
        folder = private.ensure_owned_subfolder(self._home, "evidence")
        private.write(folder / digest.hex, content)
        return digest

    def get(self, digest: Digest) -> bytes | None:
        """Return the file with this digest; None if there is none."""
        with suppress(OSError):
            descriptor = os.open(
                self._home / "evidence" / digest.hex, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            )
            with os.fdopen(descriptor, "rb") as stream:
                content = stream.read(_LARGEST)
            if hashlib.sha256(content).hexdigest() == digest.hex:
                return content
        return None


def read_evidence(release: Release, home: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each evidence file, from this clone or else from the registry.

    Raises:
        ReleaseError: the release has no evidence, or a file is in neither place.
        RegistryError: the registry lacks a file, or has other bytes.
    """
    attempted = f"read the evidence of {release.version}"
    if release.evidence is None:
        raise ReleaseError(
            attempted, "its record names none", "releases of an older version of the library have none"
        )
    folder = EvidenceFolder(home)
    missing = []
    for name, file in release.evidence.files.items():
        content = folder.get(Digest(file.digest))
        if content is not None:
            yield name, content
        else:
            missing.append(name)
    if missing:
        yield from _fetched(release, release.evidence, missing, folder, attempted)


def _fetched(
    release: Release, evidence: Evidence, names: list[str], folder: EvidenceFolder, attempted: str
) -> Iterator[tuple[str, bytes]]:
    if evidence.kept != "registry":
        raise ReleaseError(
            attempted,
            f"{', '.join(names)} is only in the clone that made the release",
            "run it in that clone; a release with `registry` keeps its evidence there",
        )
    with closing(ArtifactRegistry(Repository(release.image.repository))) as registry:
        for name in names:
            file = evidence.files[name]
            content = registry.small_blob(Digest(file.digest), file.size)
            with suppress(OSError, ReleaseError):  # the next command reads it from the registry again
                folder.put(content)
            yield name, content
