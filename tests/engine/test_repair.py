"""`invoke verify --repair`: what is missing after the commit point is added, what was moved is left alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from release.images.engine import Engine
from release.programs.process import output_of
from release.reference import Reference
from tests.engine import lab
from tests.engine.chain.test_release import pulled_manifest, released
from tests.engine.service import APP, Ran, Service, make_service


@dataclass(frozen=True, kw_only=True)
class StageContext:
    """A service with two releases, in a registry and on a git server."""

    service: Service
    remote: Path
    tags: Path
    """The folder in which the registry keeps the repository's tags."""
    repository: str

    def repair(self, *words: str) -> Ran:
        """The command."""
        return self.service.invoke("verify", "--repair", *words)

    def refs(self) -> list[str]:
        """Of the git server."""
        return output_of(["git", "-C", str(self.remote), "for-each-ref", "--format=%(refname)"]).split()


@pytest.fixture
def ctx(
    tmp_path: Path, engine: Engine, bare_remote: Path, running_registry: lab.RunningRegistry
) -> Iterator[StageContext]:
    """0.1.0 and 0.2.0 are released."""
    place = lab.unique()
    registry = f"{running_registry.host}/{place}"
    service = make_service(tmp_path / "service", remote=bare_remote, registry=registry)
    try:
        released(service.nox("release"))
        service.commit("feat: more", {"app.py": f"{APP}# more\n"})
        released(service.nox("release"))
        repositories = running_registry.storage / "docker/registry/v2/repositories"
        tags = repositories / place / service.name / "_manifests/tags"
        yield StageContext(
            service=service, remote=bare_remote, tags=tags, repository=f"{registry}/{service.name}"
        )
    finally:
        lab.remove_service(engine, service.name)


def test_what_is_missing_is_added(ctx: StageContext) -> None:
    """The version's tag, the commit's tag, the git tag; after a yes, and once."""
    nothing = f"{ctx.service.name}: 0 added, 0 unchanged"
    pushed = ctx.service.nox("push")  # of a released commit: under a name of its own
    assert pushed.status == 0, pushed.all
    assert ctx.repair().last_line == nothing
    commit = ctx.service.git("rev-parse", "HEAD")
    shutil.rmtree(ctx.tags / "0.2.0")
    shutil.rmtree(ctx.tags / f"sha-{commit}")
    output_of(["git", "-C", str(ctx.remote), "tag", "--delete", "v0.2.0"])

    asked = ctx.repair()
    assert asked.status == 2, asked.all
    assert "--yes" in asked.err
    assert "refs/tags/v0.2.0" not in ctx.refs()
    planned = ctx.repair("--plan")
    assert planned.status == 0
    for name in (f"{ctx.repository}:0.2.0", f"sha-{commit}: missing", "git-tag  v0.2.0"):
        assert name in planned.out

    done = ctx.repair("--yes")
    assert (done.status, done.last_line) == (0, f"{ctx.service.name}: 3 added, 0 unchanged"), done.all
    digest = ctx.service.records()[1]["image"]["digest"]
    for tag in ("0.2.0", f"sha-{commit}"):
        assert pulled_manifest(f"{ctx.repository}:{tag}")[0] == digest
    git = ("git", "-C", str(ctx.remote))
    assert output_of([*git, "rev-list", "-n1", "v0.2.0"]) == commit
    assert ctx.repair().last_line == nothing
    ctx.remote.rename(ctx.remote.with_suffix(".gone"))
    silent = ctx.repair("--yes")
    assert silent.status == 6, silent.all


def test_a_tag_that_was_moved_is_left_alone(ctx: StageContext) -> None:
    """Both digests are named, nothing is overwritten, status 1. A tag without a release is named, too."""
    old, new = ((ctx.tags / tag / "current/link").read_text() for tag in ("0.1.0", "0.2.0"))
    (ctx.tags / "0.2.0/current/link").write_text(old)
    output_of(["git", "-C", str(ctx.remote), "tag", "--force", "v0.2.0", "main"])
    output_of(["git", "-C", str(ctx.remote), "tag", "v0.9.0", "main"])
    ran = ctx.repair("--yes")
    assert ran.status == 1, ran.all
    assert f"{ctx.repository}:0.2.0: is {old}, but 0.2.0 is {new}" in ran.err
    assert "git-tag  v0.2.0: is on" in ran.err
    assert ran.last_line.endswith("0 added, 2 unchanged")
    assert "no release has the git tag v0.9.0" in ran.err
    assert pulled_manifest(f"{ctx.repository}:0.2.0")[0] == old


def test_names_in_the_engines_own_store_come_back(tmp_path: Path, engine: Engine) -> None:
    """Without a registry the engine's store holds the names."""
    service = make_service(tmp_path / "service")
    try:
        digest = released(service.nox("release"))["digest"]
        name = Reference.parse(f"localhost/{service.name}:0.1.0")
        engine.untag(name)
        done = service.invoke("verify", "--repair", "--yes")
        assert (done.status, done.last_line) == (0, f"{service.name}: 1 added, 0 unchanged"), done.all
        found = engine.inspect(name)
        assert found is not None
        assert str(found.id) == digest
    finally:
        lab.remove_service(engine, service.name)
