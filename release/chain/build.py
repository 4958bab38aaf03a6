"""The stage that makes the image: BuildKit on the committed tree."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from release.chain.context import write_archive
from release.chain.plan import Plan
from release.chain.shop import Shop, evidence
from release.errors import CommandFailed, GateFailed
from release.images.dockerignore import excluder
from release.images.engine import StoredImage
from release.process import Command, output_of
from release.records import Base
from release.reference import Digest, Reference
from release.source import Entry, Source

_RESOLVED = re.compile(r"FROM (?P<reference>\S+?)@(?P<digest>sha256:[0-9a-f]{64})")


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """The candidate: an image in the engine's store, and what went into it."""

    reference: Reference
    stored: StoredImage
    config_digest: Digest
    bases: tuple[Base, ...]
    dockerfile: str
    dockerfile_sha256: str
    archive: Path
    buildx: str

    @property
    def evidence(self) -> bytes:
        """What was built from what."""
        return evidence("build", {"image": str(self.stored.id), "dockerfile": self.dockerfile_sha256})

    @property
    def summary(self) -> str:
        """As "sha256 0123456789ab, 92.1 MB"."""
        return f"{self.stored.id.short}, {self.stored.size / 1e6:.1f} MB"


def build_command(
    plan: Plan, *, target: str | None, name: Reference, metadata: Path, archive: Path
) -> Command:
    """The command line of a build whose context is the archive.

    Provenance is off: BuildKit's attestation holds the time, and would make an index of a new digest each
    time.
    """
    service = plan.service
    options = [
        *("--builder", "default", "--progress", "plain"),
        *("--provenance=false", "--sbom=false"),
        *("--file", service.build.dockerfile),
        *("--tag", str(name)),
        *("--metadata-file", str(metadata)),
        *_repeated("--build-arg", plan.build_args),
        *_repeated("--label", plan.labels),
        *(("--target", target) if target else ()),
        *(("--platform", service.build.platform) if service.build.platform else ()),
        *(("--no-cache",) if plan.no_cache else ()),
    ]
    return Command(argv=("docker", "buildx", "build", *options, "-"), stdin=archive)


def _repeated(option: str, values: dict[str, str]) -> list[str]:
    return [word for key, value in sorted(values.items()) for word in (option, f"{key}={value}")]


def build(shop: Shop) -> BuiltImage:
    """Build the candidate into the engine's store. Raises GateFailed."""
    plan = shop.plan
    shop.sweep()
    dockerfile = _dockerfile(shop.source, plan)
    archive = shop.folder.path / "context.tar"
    write_archive(_context(shop.source, plan), archive)
    metadata, output = run_build(shop, "build", plan.service.build.target, plan.candidate, archive)
    stored = shop.engine.inspect(plan.candidate)
    if stored is None:
        raise GateFailed("build", f"BuildKit ended well, but the engine has no image {plan.candidate}")
    return BuiltImage(
        reference=plan.candidate,
        stored=stored,
        config_digest=Digest(metadata["containerimage.config.digest"]),
        bases=resolved_bases(output),
        dockerfile=plan.service.build.dockerfile,
        dockerfile_sha256=hashlib.sha256(dockerfile).hexdigest(),
        archive=archive,
        buildx=output_of(["docker", "buildx", "version"]).split()[1],
    )


def run_build(
    shop: Shop, stage: str, target: str | None, name: Reference, archive: Path
) -> tuple[dict[str, Any], str]:
    """Run BuildKit for a stage; BuildKit's metadata and its output. Raises GateFailed with the log's end."""
    metadata = shop.folder.path / f"{stage}-metadata.json"
    command = build_command(shop.plan, target=target, name=name, metadata=metadata, archive=archive)
    command = Command(argv=command.argv, stdin=archive, env=shop.engine.command_environment())
    try:
        completed = shop.execute(stage, command)
    except CommandFailed as error:
        hint = f"the whole output is in {shop.folder.log(stage)}"
        raise GateFailed(stage, "the image could not be built", hint, error.tail) from error
    return json.loads(metadata.read_text(encoding="utf-8")), completed.output


def _dockerfile(source: Source, plan: Plan) -> bytes:
    path = (Path(plan.service.context) / plan.service.build.dockerfile).as_posix()
    content = source.read(plan.commit.id, path)
    if content is None:
        raise GateFailed(
            "build",
            f"commit {plan.commit.id[:12]} has no {path}",
            "commit it, or set `context` and `build.dockerfile`; docs/how-to/adopt.md has a model",
        )
    return content


def _context(source: Source, plan: Plan) -> Iterator[Entry]:
    """The committed files of the context that `.dockerignore` leaves in. The Dockerfile itself always is."""
    folder, dockerfile = plan.service.context, plan.service.build.dockerfile
    excluded = excluder(source.read(plan.commit.id, (Path(folder) / ".dockerignore").as_posix()))
    for entry in source.entries(plan.commit.id, folder):
        if entry.path == dockerfile or not excluded(entry.path):
            _is_content(entry)
            yield entry


def _is_content(entry: Entry) -> None:
    """Git LFS commits a pointer in the place of a file (git-lfs specification, "The Pointer")."""
    if entry.content.startswith(b"version https://git-lfs.github.com/spec/"):
        raise GateFailed(
            "build",
            f"{entry.path} is kept by Git LFS: the commit, and so the image, would hold a pointer to it",
            "commit the file itself, leave it out by .dockerignore, or fetch it in the Dockerfile by hash",
        )


def resolved_bases(output: str) -> tuple[Base, ...]:
    """The base images that BuildKit resolved, by digest, from its plain output."""
    found = {(match["reference"], match["digest"]) for match in _RESOLVED.finditer(output)}
    return tuple(Base(reference=reference, digest=digest) for reference, digest in sorted(found))
