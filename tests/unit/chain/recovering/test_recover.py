"""Releases read back from images, on a shelf of the test's own and a real git repository."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from release import config
from release.chain.recovering.recover import RecoveredReleases, ReleaseRecoverer
from release.errors import RegistryError, RegistryUnreachable
from release.git.source import Source
from release.images.registry import OCI_MANIFEST, Manifest
from release.reference import Digest, Reference
from release.runspec import Probe
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
class ImageStore:
    """Images by tag."""

    images: dict[str, tuple[Manifest, bytes]] = field(default_factory=dict)
    kept: list[tuple[Manifest, bytes]] = field(default_factory=list)
    """All of them, by digest too."""
    error: Exception | None = None

    def list_tags(self) -> tuple[str, ...]:
        return tuple(self.images)

    def read_image(self, reference: Reference) -> tuple[Manifest, bytes] | None:
        if self.error is not None:
            raise self.error
        if reference.digest is None:
            return self.images.get(reference.tag or "")
        return next((kept for kept in self.kept if kept[0].digest == reference.digest), None)

    def put(self, tag: str, **labels: str) -> Manifest:
        """An image with these labels under this tag."""
        made = {"os": "linux", "architecture": "arm64", "variant": "v8", "was": len(self.kept)}
        content = json.dumps({**made, "config": {"Labels": _labels(labels)}}).encode()
        blob = {"mediaType": "x/config", "digest": Digest.of(content).text, "size": len(content)}
        layer = {"mediaType": "x/layer", "digest": Digest.of(b"layer").text, "size": 5}
        data = {"mediaType": OCI_MANIFEST, "config": blob, "layers": [layer]}
        manifest = Manifest.parse(json.dumps(data).encode())
        self.images[tag] = manifest, content
        self.kept.append((manifest, content))
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
def shelf() -> ImageStore:
    return ImageStore()


def read(repository: Repository, shelf: ImageStore) -> RecoveredReleases:
    source = Source.open(repository.root)
    try:
        configured = config.load(repository.root)
        return ReleaseRecoverer(source, configured, configured.service(None)).recover_from(shelf)
    finally:
        source.close()


def put(
    shelf: ImageStore, version: str, commit: str, /, *, tag: str | None = None, **labels: str
) -> Manifest:
    known = {"title": "api", "version": version, "revision": commit, "created": CREATED}
    return shelf.put(tag or version, **(known | labels))


def tag(repository: Repository, version: str, commit: str, digest: str | None = None) -> None:
    """The git tag of a release; with a digest as a release makes it, without one as by hand."""
    if digest is None:
        repository.git("tag", f"v{version}", commit)
    else:
        message = f"api {version}\n\nregistry.example/acme/api@{digest}\n"
        repository.git("tag", "--annotate", "--message", message, f"v{version}", commit)


def released(repository: Repository, shelf: ImageStore, version: str, commit: str) -> Manifest:
    """An image of this version with all its names, and its git tag."""
    manifest = put(shelf, version, commit)
    shelf.images[f"sha-{commit}"] = shelf.images[version]
    tag(repository, version, commit, manifest.digest.text)
    return manifest


def test_image_and_commit_give_a_release(repository: Repository, shelf: ImageStore, commit: str) -> None:
    """What the image and its commit tell is recorded; the rest is named."""
    manifest = released(repository, shelf, "1.0.0", commit)
    (release,) = read(repository, shelf).releases
    assert (release.image.digest, release.image.platform) == (manifest.digest.text, "linux/arm64/v8")
    assert release.source.tree == repository.git("rev-parse", "HEAD^{tree}")
    assert release.source.tag == "v1.0.0"
    assert release.lock is not None
    assert release.lock.packages == {"fastapi": "0.120.0"}
    assert release.build.args["FLAVOUR"] == "slim"
    assert release.build.labels[f"{LABEL}.version"] == "1.0.0"
    assert "base" not in release.build.labels
    assert release.smoke.probe == Probe(port=8000)
    assert release.recovered is not None
    assert release.recovered.origin == "registry.example/acme/api"
    assert {"gates", "bases", "build.buildkit"} < set(release.recovered.unknown)
    assert not {"lock", "smoke", "source.tree"} & set(release.recovered.unknown)


def test_a_release_whose_commit_is_gone_is_left_out(
    repository: Repository, shelf: ImageStore, tmp_path: Path
) -> None:
    """As in a shallow clone: the server has the tag, and nobody here could say what was built."""
    for number in range(3):
        made = repository.commit(f"feat: {number}")
        released(repository, shelf, f"1.{number}.0", made)
    clone = Repository.clone(f"file://{repository.root}", tmp_path / "clone", "--depth", "1", "--no-tags")
    (clone.root / "pyproject.toml").write_text(f'{SETTINGS}[tool.release.ledger]\nremote = "origin"\n')
    clone.git("fetch", "-q", "--depth", "1", "origin", "tag", "v1.2.0")
    found = read(clone, shelf)
    assert [release.version for release in found.releases] == ["1.2.0"]
    assert [reason.partition(";")[0] for reason in found.left_out] == [
        "1.0.0: this clone does not have it",
        "1.1.0: this clone does not have it",
    ]


@pytest.mark.attack(
    "An account that can push images moves tags and invents 1,500 versions; then the ledger is rebuilt",
    "The digest in the git tag's message is believed, then sha-<commit>; versions of no git tag are left out",
)
def test_moved_and_invented_tags_of_images_recover_nothing_else(
    repository: Repository, shelf: ImageStore, commit: str
) -> None:
    """Every invented one is named; the released image is found by its digest, whatever its names are now."""
    honest = released(repository, shelf, "1.0.0", commit)
    for moved in ("1.0.0", f"sha-{commit}"):
        put(shelf, "1.0.0", commit, tag=moved)
    for number in range(1500):
        put(shelf, f"9.{number}.0", commit)
    found = read(repository, shelf)
    assert [(each.version, each.image.digest) for each in found.releases] == [("1.0.0", honest.digest.text)]
    assert len(found.left_out) == 1500
    assert found.left_out[0] == "9.0.0: an image has this name, but there is no git tag v9.0.0"
    assert found.releases[0].recovered is not None
    assert found.releases[0].recovered.by == "git-tag"


def test_the_digest_of_the_git_tag_is_not_replaced_by_another_image(
    repository: Repository, shelf: ImageStore, commit: str
) -> None:
    """Where it is gone, nothing is recovered in its place."""
    tag(repository, "1.0.0", commit, f"sha256:{'1' * 64}")
    put(shelf, "1.0.0", commit)
    found = read(repository, shelf)
    assert found.releases == ()
    assert f"its git tag names sha256:{'1' * 64}, which does not exist; 1.0.0 is sha256:" in found.left_out[0]


def test_the_tag_of_the_commit_is_believed_before_that_of_the_version(
    repository: Repository, shelf: ImageStore, commit: str
) -> None:
    """For a git tag that was made by hand; without either name the version's is all there is, and is said."""
    tag(repository, "1.0.0", commit)
    moved = put(shelf, "1.0.0", commit)
    honest = put(shelf, "1.0.0", commit, tag=f"sha-{commit}")
    for digest, by in ((honest.digest, "commit-tag"), (moved.digest, "version-tag")):
        (release,) = read(repository, shelf).releases
        assert release.recovered is not None
        assert (release.image.digest, release.recovered.by) == (digest.text, by)
        shelf.images.pop(f"sha-{commit}", None)


@pytest.mark.parametrize(
    "message",
    [
        "web 1.0.0\n\nregistry.example/acme/api@{}\n",
        "api 2.0.0\n\nregistry.example/acme/api@{}\n",
        "api 1.0.0\n\nregistry.example/acme/api@{}\nregistry.example/acme/api@sha256:" + "2" * 64,
        "api 1.0.0\n",
    ],
)
def test_a_message_that_is_not_a_releases_names_no_digest(
    repository: Repository, shelf: ImageStore, commit: str, message: str
) -> None:
    """Of another service, of another version, of two images, or of none."""
    put(shelf, "1.0.0", commit)
    text = message.format(f"sha256:{'1' * 64}")
    repository.git("tag", "--annotate", "--message", text, "v1.0.0", commit)
    (release,) = read(repository, shelf).releases
    assert release.recovered is not None
    assert release.recovered.by == "version-tag"


def test_releases_come_in_the_order_of_their_versions(
    repository: Repository, shelf: ImageStore, commit: str
) -> None:
    """By precedence, not by text; other tags are no versions."""
    for version in ("1.10.0", "1.9.0", "1.10.0-rc.1"):
        put(shelf, version, commit)
        tag(repository, version, commit)
    put(shelf, "1.0.0", commit, tag="latest")
    found = [release.version for release in read(repository, shelf).releases]
    assert found == ["1.9.0", "1.10.0-rc.1", "1.10.0"]


def test_a_git_tag_finds_an_image_that_was_never_promoted(
    repository: Repository, shelf: ImageStore, commit: str
) -> None:
    """The tag landed with the record; the image still has the name of its commit alone."""
    repository.git("tag", "v1.0.0")
    put(shelf, "1.0.0", commit, tag=f"sha-{commit}")
    assert [release.version for release in read(repository, shelf).releases] == ["1.0.0"]


def test_an_image_that_was_never_a_release_is_no_candidate(
    repository: Repository, shelf: ImageStore, commit: str
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
        ({"created": "yesterday"}, "lacks data"),
    ],
)
def test_an_image_that_contradicts_its_tags_is_left_out(
    repository: Repository, shelf: ImageStore, commit: str, labels: dict[str, str], words: str
) -> None:
    """With the reason; the others are recovered."""
    repository.git("tag", "v1.0.0")
    put(shelf, "1.0.0", commit, **labels)
    put(shelf, "1.1.0", commit)
    repository.git("tag", "v1.1.0")
    found = read(repository, shelf)
    assert [release.version for release in found.releases] == ["1.1.0"]
    (reason,) = found.left_out
    assert reason.startswith("1.0.0: ")
    assert words in reason


def test_a_git_tag_without_an_image_is_named(repository: Repository, shelf: ImageStore) -> None:
    """There was a release, and its bytes are gone."""
    repository.git("tag", "v1.0.0")
    assert read(repository, shelf).left_out == ("1.0.0: it has a git tag but no image",)


@pytest.mark.parametrize("content", [b"no JSON", b"[]", b"{}", b'{"config": null}', b'{"config": [1]}'])
def test_an_image_whose_config_says_nothing_is_left_out(
    repository: Repository, shelf: ImageStore, commit: str, content: bytes
) -> None:
    """Whatever somebody put under a version's tag, the others are recovered."""
    put(shelf, "1.0.0", commit)
    for version in ("1.0.0", "1.1.0"):
        tag(repository, version, commit)
    manifest = put(shelf, "1.1.0", commit)
    shelf.images["1.1.0"] = manifest, content
    found = read(repository, shelf)
    assert [release.version for release in found.releases] == ["1.0.0"]
    assert [reason.partition(":")[0] for reason in found.left_out] == ["1.1.0"]


@pytest.mark.parametrize(("error", "left_out"), [(RegistryError, 1), (RegistryUnreachable, None)])
def test_only_an_answer_leaves_a_version_out(
    repository: Repository, shelf: ImageStore, commit: str, error: type[RegistryError], left_out: int | None
) -> None:
    """A registry that does not answer says nothing about its images: the recovery ends."""
    put(shelf, "1.0.0", commit)
    tag(repository, "1.0.0", commit)
    shelf.error = error("read the manifest", "an index", "")
    if left_out is None:
        with pytest.raises(RegistryUnreachable):
            read(repository, shelf)
    else:
        assert len(read(repository, shelf).left_out) == left_out


@pytest.mark.parametrize("text", ["", "nonsense", "[tool.release]\nservice = 3\n"])
def test_settings_that_cannot_be_read_are_said_not_to_be_known(
    repository: Repository, shelf: ImageStore, text: str
) -> None:
    """Today's are recorded in their place: a deployment needs a probe."""
    repository.write("pyproject.toml", text)
    broken = repository.commit("chore: break it")
    repository.write("pyproject.toml", SETTINGS)
    put(shelf, "1.0.0", broken)
    tag(repository, "1.0.0", broken)
    (release,) = read(repository, shelf).releases
    assert release.smoke.probe == Probe(port=8000)
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
