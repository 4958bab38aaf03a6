"""Evidence of a release: kept and read back by the hashes in its record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from release.errors import ReleaseError
from release.images.evidence import KIND, EvidenceFolder, read_evidence
from release.images.registry import Blob
from release.images.registry.artifacts import Attached, artifact
from release.records import Evidence, EvidenceFile, Release
from release.reference import Digest
from tests.unit.ledger import samples

SUBJECT = Blob(digest=Digest.of(b"image"), size=5, media_type="application/vnd.oci.image.manifest.v1+json")


def with_files(**files: bytes) -> Release:
    body = samples.release("1.0.0").body
    assert isinstance(body, Release)
    known = {
        name: EvidenceFile(digest=str(Digest.of(content)), size=len(content), media_type="text/plain")
        for name, content in files.items()
    }
    evidence = Evidence(artifact=str(Digest.of(b"manifest")), kept="clone", files=known)
    return body.model_copy(update={"evidence": evidence})


def test_an_artifact_names_its_files_and_its_image() -> None:
    """The same files about the same image are the same artifact."""
    files = (Attached(name="smoke.log", media_type="text/plain", content=b"it runs\n"),)
    content = artifact(KIND, files, SUBJECT)
    assert content == artifact(KIND, files, SUBJECT)
    manifest = json.loads(content)
    assert manifest["subject"]["digest"] == str(SUBJECT.digest)
    assert manifest["artifactType"] == KIND
    (layer,) = manifest["layers"]
    assert layer["digest"] == str(Digest.of(b"it runs\n"))
    assert layer["annotations"] == {"org.opencontainers.image.title": "smoke.log"}


def test_what_was_kept_is_read_back(tmp_path: Path) -> None:
    """From the clone that made the release."""
    folder = EvidenceFolder(tmp_path / ".release")
    folder.put(b"it runs")
    assert dict(read_evidence(with_files(log=b"it runs"), tmp_path / ".release")) == {"log": b"it runs"}


def test_other_bytes_are_not_the_evidence(tmp_path: Path) -> None:
    """A file that was changed counts as one that is not here."""
    folder = EvidenceFolder(tmp_path / ".release")
    digest = folder.put(b"it runs")
    (tmp_path / ".release" / "evidence" / digest.hex).write_bytes(b"it fails")
    assert folder.get(digest) is None
    with pytest.raises(ReleaseError, match="only in the clone that made the release"):
        dict(read_evidence(with_files(log=b"it runs"), tmp_path / ".release"))


def test_a_release_without_evidence_says_so(tmp_path: Path) -> None:
    """As one of an older version."""
    body = samples.release("1.0.0").body
    assert isinstance(body, Release)
    with pytest.raises(ReleaseError, match="its record names none"):
        dict(read_evidence(body, tmp_path))


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", ""])
def test_a_name_leads_into_no_other_folder(name: str) -> None:
    """It becomes the name of a file, and the record is not ours alone."""
    with pytest.raises(ValidationError):
        Evidence.model_validate({"artifact": str(Digest.of(b"")), "kept": "clone", "files": {name: {}}})
