"""A rebuild before anything runs: which commit, whose settings, and what proves the same content."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from release import image_rebuild
from release.chain.building.stage import BuiltImage
from release.chain.run_folder import RunFolder
from release.deploy.environment.environment import Workspace
from release.errors import SourceError
from release.images.engine import Engine
from release.records import Release
from release.reference import Digest
from tests.unit.git.test_commit_origin import smuggled
from tests.unit.ledger import samples
from tests.unit.repository import Repository

TODAY = """
[tool.release]
service = "api"
[tool.release.build.secrets]
index = { from_env = "INDEX" }
[tool.release.smoke]
port = 8000
"""


@pytest.fixture
def here(tmp_path: Path) -> Repository:
    made = Repository.init(tmp_path / "here")
    made.commit("feat: start", **{"pyproject.toml": TODAY, "Dockerfile": "FROM scratch\n"})
    return made


def recorded(commit: str, **build: Any) -> Release:
    body = samples.release("0.2.1", commit=commit).body
    assert isinstance(body, Release)
    source = body.source.model_copy(update={"tree": None})
    return body.model_copy(
        update={"source": source, "build": body.build.model_copy(update={"args": {}, **build})}
    )


def planned(here: Repository, release: Release) -> image_rebuild.RecordedPlan:
    with Workspace.open(here.root, None, environ={}, emit=lambda _: None) as workspace:
        return image_rebuild._plan(workspace, release, RunFolder.create(here.root))


@pytest.mark.attack(
    "`invoke verify --rebuild` of a record that names the attacker's commit, with its own from_command",
    "The commit must be in the service's own history; the command of another commit is never run",
)
def test_nothing_of_a_smuggled_commit_is_read(here: Repository, tmp_path: Path) -> None:
    """Refused before its settings are looked at."""
    evil = smuggled(here)
    with pytest.raises(SourceError, match="so nothing shows that the commit belongs to the service"):
        planned(here, recorded(evil))


def test_the_secrets_of_an_older_commit_come_from_today(here: Repository) -> None:
    """Also where that commit is the service's own."""
    older = TODAY.replace('{ from_env = "INDEX" }', '{ from_command = ["touch", "canary"] }')
    old = here.commit("feat: older", **{"pyproject.toml": older})
    here.commit("feat: today", **{"pyproject.toml": TODAY})
    (secret,) = planned(here, recorded(old)).service.build.secrets.values()
    assert (secret.from_env, secret.from_command) == ("INDEX", None)


def verdict(release: Release, *, manifest: str, store: str = "containerd", buildx: str = "0.13.1") -> str:
    about = SimpleNamespace(name="buildkit", version="26.1.5", image_store=store)
    engine = cast("Engine", SimpleNamespace(info=about))
    stored = SimpleNamespace(id=Digest(f"sha256:{manifest * 64}"))
    built = SimpleNamespace(
        stored_image=stored, config_digest=Digest(release.image.config_digest), buildx=buildx
    )
    return image_rebuild._verdict(engine, release, cast("BuiltImage", built))


@pytest.mark.parametrize(
    ("manifest", "buildx", "store", "expected"),
    [
        ("1", "0.13.1", "containerd", "identical"),
        ("2", "0.13.1", "containerd", "different"),
        ("2", "0.14.0", "containerd", "same content"),
        ("2", "0.13.1", "overlay2", "same content"),
    ],
)
@pytest.mark.attack(
    "A record names the manifest of another image with the config digest of the honest one",
    "With the builder of the record the rebuilt manifest must be the recorded one; else it is different",
)
def test_another_manifest_of_the_same_builder_is_different(
    manifest: str, buildx: str, store: str, expected: str
) -> None:
    """Another builder may write another manifest for the same content."""
    release = recorded("a" * 40, buildkit="buildkit 26.1.5", engine="26.1.5")
    image = release.image.model_copy(update={"digest": f"sha256:{'1' * 64}"})
    release = release.model_copy(update={"image": image})
    assert verdict(release, manifest=manifest, buildx=buildx, store=store) == expected
