"""Drafts for the tests of the ledger: whole records, each told apart by a few words."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from release.git.source import Source as Clone
from release.ledger.git_objects import TagRequest
from release.ledger.store import Ledger
from release.records import (
    Actor,
    Base,
    Body,
    BuildInputs,
    Deployment,
    Descriptor,
    Draft,
    ExaminedRelease,
    Freeze,
    Gate,
    Image,
    LockFile,
    Note,
    Operation,
    Quarantine,
    Record,
    Release,
    Run,
    SmokeSpec,
    Source,
    Verification,
)
from release.runspec import Probe, RunSpec
from release.values import replace

ADA = Actor(name="Ada Lovelace", email="ada@example.org")
NOON = "2026-11-20T12:00:00.000Z"


def digits(text: str, length: int = 64) -> str:
    """Hexadecimal digits that belong to a word."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def moment(minute: int) -> str:
    """So many minutes after noon of 20 November 2026."""
    return f"2026-11-20T{12 + minute // 60:02d}:{minute % 60:02d}:00.000Z"


def draft(body: Body, *, service: str = "api", at: str = NOON, actor: Actor = ADA) -> Draft[Body]:
    run = Run(id="run-1")
    return Draft(service=service, recorded_at=at, actor=actor, run=run, tool="release 0.1.0", body=body)


def release(
    version: str,
    *,
    content: str | None = None,
    commit: str | None = None,
    service: str = "api",
    at: str = NOON,
    tag: str | None = None,
    repository: str = "localhost/api",
) -> Draft[Body]:
    """A release; its digest belongs to `content` (absent: to the version), its commit likewise."""
    body = Release(
        version=version,
        image=_image(content or version, repository),
        source=Source(
            commit=commit or digits(f"commit {version}", 40),
            tree=digits("tree", 40),
            commit_time=NOON,
            tag=tag or f"v{version}",
        ),
        lock=LockFile(kind="uv", path="uv.lock", sha256=digits("lock"), packages={"fastapi": "0.120.0"}),
        bases=(Base(reference="python:3.13-slim", digest=f"sha256:{digits('base')}"),),
        build=_built(),
        gates=(
            Gate(name="lock", status="passed", started=NOON, duration_ms=7, evidence_sha256=digits("seen")),
        ),
        smoke=SmokeSpec(
            probe=Probe(port=8000),
            memory=1,
            pids=1,
            read_only=True,
            tmpfs=("/tmp",),
            env={},
            stop_grace=1000,
        ),
    )
    return draft(body, service=service, at=at)


def _image(content: str, repository: str) -> Image:
    return Image(
        repository=repository,
        digest=f"sha256:{digits(content)}",
        media_type="application/vnd.oci.image.manifest.v1+json",
        size=1000,
        platform="linux/amd64",
        config_digest=f"sha256:{digits('config ' + content)}",
        layers=(Descriptor(digest=f"sha256:{digits('layer')}", size=10),),
    )


def _built() -> BuildInputs:
    return BuildInputs(
        dockerfile="Dockerfile",
        dockerfile_sha256=digits("dockerfile"),
        context=".",
        args={},
        labels={},
        source_date_epoch=0,
        buildkit="buildkit",
        buildx="0.13.1",
        engine="26.1.5",
        exporter="containerd",
    )


def event(
    of: Record[Body] | str,
    status: str = "healthy",
    *,
    deployment: str = "first",
    environment: str = "production",
    service: str = "api",
    at: str = NOON,
    run_spec: RunSpec | None = None,
) -> Draft[Body]:
    """A deployment event of a release record; its id belongs to the word `deployment`."""
    body = Deployment.model_validate(
        {
            "deployment": digits(deployment, 12),
            "environment": environment,
            "release": of if isinstance(of, str) else of.id,
            "digest": f"sha256:{digits('digest')}",
            "run_spec": run_spec or RunSpec(env={"LOG_LEVEL": "info"}),
            "reason": "promote",
            "status": status,
        }
    )
    return draft(body, service=service, at=at)


def quarantine(
    of: Record[Body] | str,
    message: str = "bad",
    *,
    environment: str | None = None,
    lifted: bool = False,
    service: str = "api",
    at: str = NOON,
) -> Draft[Body]:
    body = Quarantine(
        release=of if isinstance(of, str) else of.id, environment=environment, message=message, lifted=lifted
    )
    return draft(body, service=service, at=at)


def note(text: str, *, service: str = "api", at: str = NOON) -> Draft[Body]:
    return draft(Note(text=text), service=service, at=at)


def verification(
    of: Record[Body] | str,
    what: Literal["readiness", "drill", "rebuild"] = "drill",
    *,
    result: Literal["passed", "failed"] = "passed",
    environment: str | None = "production",
    milliseconds: int = 2100,
    at: str = NOON,
) -> Draft[Body]:
    """A check of one release: a record, or a record's id."""
    examined = ExaminedRelease(
        release=of if isinstance(of, str) else of.id,
        digest=f"sha256:{digits('content')}",
        result=result,
        problems=("it never answered",) if result == "failed" else (),
    )
    body = Verification(
        what=what,
        environment=environment if what != "rebuild" else None,
        result=result,
        releases=(examined,),
        duration_ms=milliseconds,
    )
    return draft(body, at=at)


def by(name: str, of: Draft[Body]) -> Draft[Body]:
    """The same by somebody else."""
    return replace(of, actor=Actor(name=name, email=f"{name.lower()}@example.org"))


def tagged(of: Draft[Body], commit: str) -> TagRequest:
    """The tag of a release on a commit that exists."""
    assert isinstance(of.body, Release)
    return TagRequest(name=of.body.source.tag, commit=commit, message=f"{of.service} {of.body.version}\n")


def ledger(root: Path, *, remote: str | None = None, branch: str = "release-ledger") -> Ledger:
    return Ledger.open(Clone.open(root), branch=branch, remote=remote)


def says(of: Record[Body]) -> str:
    """A record in a word, for comparisons."""
    match of.body:
        case Release(version=version):
            return f"release {version}"
        case Deployment(deployment=deployment, status=status):
            return f"{deployment} {status}"
        case Quarantine(message=message, lifted=lifted):
            return f"{'lifted' if lifted else 'quarantined'}: {message}"
        case Freeze(message=message, thawed=thawed):
            return f"{'thawed' if thawed else 'frozen'}: {message}"
        case Verification(what=what, result=result):
            return f"{what} {result}"
        case Operation(what=what, status=status):
            return f"{what} {status}"
        case Note(text=text):
            return text
