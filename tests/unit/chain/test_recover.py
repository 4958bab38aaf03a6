"""Releases read back from images, on a shelf of the test's own and a real git repository."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from release import config
from release.chain.recover import Recoverer, Recovery
from release.errors import RegistryError, RegistryUnreachable
from release.images.registry import OCI_MANIFEST, Manifest
from release.reference import Digest, Reference
from release.source import Source
from tests.unit.repository import Repository

SETTINGS = """\
[tool.release]
service = "api"
registry = "registry.example/acme"
[tool.release.build]
args = { FLAVOUR = "slim" }
[tool.release.smoke]
port = 8000
"""
LOCK = "fastapi==0.120.0\n"
LABEL = "org.opencontainers.image"
CREATED = "2026-11-20T10:00:00.000Z"


@dataclass
class Shelf:
    """Images by tag."""

    images: dict[str, tuple[Manifest, bytes]] = field(default_factory=dict)
    error: Exception | None = None

    def tags(self) -> tuple[str, ...]:
        return tuple(self.images)

    def image(self, reference: Reference) -> tuple[Manifest, bytes] | None:
        if self.error is not None:
            raise self.error
        return self.images.get(reference.tag or "")

    def put(self, tag: str, **labels: str) -> Manifest:
        """An image with these labels under this tag."""
        made = {"os": "linux", "architecture": "arm64", "variant": "v8"}
        content = json.dumps({**made, "config": {"Labels": _labels(labels)}}).encode()
        blob = {"mediaType": "x/config", "digest": Digest.of(content).text, "size": len(content)}
        layer = {"mediaType": "x/layer", "digest": Digest.of(b"layer").text, "size": 5}
        data = {"mediaType": OCI_MANIFEST, "config": blob, "layers": [layer]}
        manifest = Manifest.parse(json.dumps(data).encode())
        self.images[tag] = manifest, content
        return manifest


def _labels(labels: dict[str, str]) -> dict[str, str]:
    return {f"{LABEL}.{name}": text for name, text in labels.items()} | {"base": "debian"}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """One commit of a service."""
    made = Repository.init(tmp_path / "here")
    made.write("pyproject.toml", SETTINGS)
    made.write("requirements.txt", LOCK)
    made.write("Dockerfile", "FROM scratch\n")
    made.commit("feat: start")
    return made


@pytest.fixture
def commit(repository: Repository) -> str:
    return repository.git("rev-parse", "HEAD")


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def read(repository: Repository, shelf: Shelf) -> Recovery:
    source = Source.open(repository.root)
    try:
        configured = config.load(repository.root)
        return Recoverer(source, configured, configured.service(None)).read_from(shelf)
    finally:
        source.close()


def put(shelf: Shelf, version: str, commit: str, /, *, tag: str | None = None, **labels: str) -> Manifest:
    known = {"title": "api", "version": version, "revision": commit, "created": CREATED}
    return shelf.put(tag or version, **(known | labels))


def test_image_and_commit_give_a_release(repository: Repository, shelf: Shelf, commit: str) -> None:
    """What the image and its commit tell is recorded; the rest is named."""
    manifest = put(shelf, "1.0.0", commit)
    (release,) = read(repository, shelf).releases
    assert (release.image.digest, release.image.platform) == (manifest.digest.text, "linux/arm64/v8")
    assert release.source.tree == repository.git("rev-parse", "HEAD^{tree}")
    assert release.source.tag == "v1.0.0"
    assert release.lock is not None
    assert release.lock.packages == {"fastapi": "0.120.0"}
    assert release.build.args["FLAVOUR"] == "slim"
    assert release.build.labels[f"{LABEL}.version"] == "1.0.0"
    assert "base" not in release.build.labels
    assert release.smoke.probe.port == 8000
    assert release.recovered is not None
    assert release.recovered.origin == "registry.example/acme/api"
    assert {"gates", "bases", "build.buildkit"} < set(release.recovered.unknown)
    assert not {"lock", "smoke", "source.tree"} & set(release.recovered.unknown)


def test_a_release_whose_commit_is_gone_is_recovered_and_says_so(
    repository: Repository, shelf: Shelf
) -> None:
    """It can be deployed; nothing of its commit is made up."""
    put(shelf, "1.0.0", "a" * 40)
    (release,) = read(repository, shelf).releases
    assert (release.lock, release.source.tree, release.build.dockerfile_sha256) == (None, None, None)
    assert release.source.commit_time == CREATED
    assert release.recovered is not None
    told = {"lock", "source.tree", "build.dockerfile_sha256", "build.args", "smoke"}
    assert told < set(release.recovered.unknown)


def test_releases_come_in_the_order_of_their_versions(
    repository: Repository, shelf: Shelf, commit: str
) -> None:
    """By precedence, not by text; other tags are no versions."""
    for version in ("1.10.0", "1.9.0", "1.10.0-rc.1"):
        put(shelf, version, commit)
    put(shelf, "1.0.0", commit, tag="latest")
    found = [release.version for release in read(repository, shelf).releases]
    assert found == ["1.9.0", "1.10.0-rc.1", "1.10.0"]


def test_a_git_tag_finds_an_image_that_was_never_promoted(
    repository: Repository, shelf: Shelf, commit: str
) -> None:
    """The tag landed with the record; the image still has the name of its commit alone."""
    repository.git("tag", "v1.0.0")
    put(shelf, "1.0.0", commit, tag=f"sha-{commit}")
    assert [release.version for release in read(repository, shelf).releases] == ["1.0.0"]


def test_an_image_that_was_never_a_release_is_no_candidate(
    repository: Repository, shelf: Shelf, commit: str
) -> None:
    """No version tag and no git tag: the chain stopped before the commit point."""
    put(shelf, "1.0.0", commit, tag=f"sha-{commit}")
    found = read(repository, shelf)
    assert (found.releases, found.left_out) == ((), ())


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"version": "2.0.0"}, "has the version '2.0.0', not '1.0.0'"),
        ({"title": "web"}, "has the title 'web', not 'api'"),
        ({"revision": "b" * 40}, "built from commit bbbb"),
        ({"created": "yesterday"}, "does not say enough"),
    ],
)
def test_an_image_that_contradicts_its_tags_is_left_out(
    repository: Repository, shelf: Shelf, commit: str, labels: dict[str, str], words: str
) -> None:
    """With the reason; the others are recovered."""
    repository.git("tag", "v1.0.0")
    put(shelf, "1.0.0", commit, **labels)
    put(shelf, "1.1.0", commit)
    found = read(repository, shelf)
    assert [release.version for release in found.releases] == ["1.1.0"]
    (reason,) = found.left_out
    assert reason.startswith("1.0.0: ")
    assert words in reason


def test_a_git_tag_without_an_image_is_named(repository: Repository, shelf: Shelf) -> None:
    """There was a release, and its bytes are gone."""
    repository.git("tag", "v1.0.0")
    assert read(repository, shelf).left_out == ("1.0.0: there is a git tag of it, and no image",)


@pytest.mark.parametrize("content", [b"no JSON", b"[]", b"{}", b'{"config": null}', b'{"config": [1]}'])
def test_an_image_whose_config_says_nothing_is_left_out(
    repository: Repository, shelf: Shelf, commit: str, content: bytes
) -> None:
    """Whatever somebody put under a version's tag, the others are recovered."""
    put(shelf, "1.0.0", commit)
    manifest = put(shelf, "1.1.0", commit)
    shelf.images["1.1.0"] = manifest, content
    found = read(repository, shelf)
    assert [release.version for release in found.releases] == ["1.0.0"]
    assert [reason.partition(":")[0] for reason in found.left_out] == ["1.1.0"]


@pytest.mark.parametrize(("error", "left_out"), [(RegistryError, 1), (RegistryUnreachable, None)])
def test_only_an_answer_leaves_a_version_out(
    repository: Repository, shelf: Shelf, commit: str, error: type[RegistryError], left_out: int | None
) -> None:
    """A registry that does not answer says nothing about its images: the recovery ends."""
    put(shelf, "1.0.0", commit)
    shelf.error = error("read the manifest", "an index", "")
    if left_out is None:
        with pytest.raises(RegistryUnreachable):
            read(repository, shelf)
    else:
        assert len(read(repository, shelf).left_out) == left_out


@pytest.mark.parametrize("text", ["", "nonsense", "[tool.release]\nservice = 3\n"])
def test_settings_that_cannot_be_read_are_said_not_to_be_known(
    repository: Repository, shelf: Shelf, text: str
) -> None:
    """Today's are recorded in their place: a deployment needs a probe."""
    repository.write("pyproject.toml", text)
    broken = repository.commit("chore: break it")
    repository.write("pyproject.toml", SETTINGS)
    put(shelf, "1.0.0", broken)
    (release,) = read(repository, shelf).releases
    assert release.smoke.probe.port == 8000
    assert release.recovered is not None
    assert {"smoke", "build.args", "build.dockerfile"} < set(release.recovered.unknown)


def test_a_commit_is_found_by_its_full_id_only(repository: Repository, commit: str) -> None:
    """Neither a prefix, nor a word that git would read as a name or an option."""
    source = Source.open(repository.root)
    found = source.commit(commit)
    assert found == source.head()
    for text in (commit[:12], "HEAD", "--all", "", "c" * 40):
        assert source.commit(text) is None
    source.close()
