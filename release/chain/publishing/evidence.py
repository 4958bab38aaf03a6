"""Files that the gates wrote, stored beside the release before the record, which holds their hashes.

A registry that refuses artifacts does not stop a release. The files stay in the clone then, and the record
says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Final, Literal

from release.chain.installed.stage import InstalledChecked
from release.chain.publishing.push import PushedImage
from release.chain.smoking.stage import SmokePassed
from release.chain.stage_context import StageContext
from release.errors import RegistryError, ReleaseError
from release.events import Notice, Warned
from release.images.evidence import KIND, EvidenceFolder
from release.images.registry import Blob
from release.images.registry.artifacts import ArtifactRegistry, Attached, artifact
from release.images.registry.retry import PRESSED
from release.records import Evidence, EvidenceFile
from release.reference import Digest

_MOST: Final = 4 * 1024 * 1024
"""Most bytes of a file. A larger log loses its first lines; a larger other file is left out."""

JUNIT: Final = "junit.xml"
COVERAGE: Final = "coverage.xml"
PACKAGES: Final = "packages.json"
SBOM: Final = "sbom.cdx.json"
SMOKE_LOG: Final = "smoke.log"


def store_evidence(ctx: StageContext) -> Evidence | None:
    """Store the gates' files; return their entry in the record, or None without files."""
    files = tuple(_evidence_files(ctx))
    if not files or not ctx.plan.service.push.evidence:
        return None
    manifest = ctx.products.get(PushedImage).manifest
    subject = Blob(digest=manifest.digest, size=len(manifest.content), media_type=manifest.media_type)
    content = artifact(KIND, files, subject)
    ctx.report_progress("record", f"keeping {len(files)} files of evidence")
    kept = _store_in_registry(ctx, content, files) or _store_in_clone(ctx, content, files)
    if kept is None:
        return None
    return Evidence(
        artifact=str(Digest.of(content)),
        kept=kept,
        files={
            file.name: EvidenceFile(
                digest=str(Digest.of(file.content)), size=len(file.content), media_type=file.media_type
            )
            for file in files
        },
    )


def _store_in_registry(
    ctx: StageContext, content: bytes, files: tuple[Attached, ...]
) -> Literal["registry"] | None:
    if ctx.plan.service.registry is None:
        return None
    repository = ctx.plan.service.repository
    try:
        with closing(ArtifactRegistry(repository, cancellation=ctx.cancellation, pace=PRESSED)) as registry:
            registry.put_artifact(content, files)
    except RegistryError as error:
        text = f"the registry did not take the evidence: {error.found}. It stays in .release/evidence here"
        ctx.emit(Warned(text=text))
        return None
    return "registry"


def _store_in_clone(
    ctx: StageContext, content: bytes, files: tuple[Attached, ...]
) -> Literal["clone"] | None:
    folder = EvidenceFolder(ctx.run_folder.release_folder)
    try:
        for each in (content, *(file.content for file in files)):
            folder.put(each)
    except (OSError, ReleaseError) as error:
        ctx.emit(Warned(text=f"the evidence could not be kept: {error}. The release has none"))
        return None
    return "clone"


def _evidence_files(ctx: StageContext) -> Iterator[Attached]:
    installed, smoked = ctx.products.find(InstalledChecked), ctx.products.find(SmokePassed)
    found = [
        (JUNIT, "application/xml", _read_run_file(ctx, JUNIT)),
        (COVERAGE, "application/xml", _read_run_file(ctx, COVERAGE)),
        (PACKAGES, "application/json", installed.packages if installed is not None else b""),
        (SBOM, "application/vnd.cyclonedx+json", installed.sbom if installed is not None else b""),
        (SMOKE_LOG, "text/plain", smoked.log[-_MOST:] if smoked is not None else b""),
    ]
    for name, media_type, content in found:
        if len(content) > _MOST:
            ctx.emit(Notice(text=f"{name} has {len(content)} bytes, so it is not kept as evidence"))
        elif content:
            yield Attached(name=name, media_type=media_type, content=content)


def _read_run_file(ctx: StageContext, name: str) -> bytes:
    try:
        return (ctx.run_folder.path / name).read_bytes()
    except OSError:
        return b""
