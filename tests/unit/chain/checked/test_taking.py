"""A result of a check that travels through the registry: which one counts, and which one is refused."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from release.actor import utc_now_text
from release.chain.checked import taking
from release.chain.checked.leaving import publish_check_result
from release.chain.checked.statement import CheckStatement, read_signers, sign_statement
from release.chain.checked.taking import KIND, check_result_tag, reuse_check_result
from release.chain.plan import Options, make_plan
from release.chain.stage_cache import ReusePolicy
from release.chain.stage_context import Purpose, StageContext
from release.errors import RegistryError
from release.events import Event, Notice, Warned
from release.git.source import Source
from release.images.registry.artifacts import Attached, artifact
from release.images.registry.manifest import Manifest
from release.records import Gate
from release.reference import Digest, Reference
from release.values import replace
from tests.unit.chain import test_pipeline
from tests.unit.chain.test_pipeline import Made
from tests.unit.chain.test_plan import configured, facts
from tests.unit.repository import Repository

TABLE = {"registry": "registry.example/acme", "reuse": {"trusted_signers": "signers"}}


@dataclass
class Registry:
    """A registry in memory that serves what it is told to serve."""

    tags: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, _repository: object, **_: object) -> Registry:
        return self

    def close(self) -> None:
        """Nothing is open."""

    def manifest(self, reference: Reference) -> Manifest | None:
        content = self.tags.get(reference.tag or "")
        return Manifest.parse(content) if content is not None else None

    def small_blob(self, digest: Digest, size: int) -> bytes:
        content = self.blobs[digest.text]
        if Digest.of(content) != digest or len(content) != size:
            raise RegistryError("read a blob", "its bytes have another digest", "")
        return content

    def put_tagged(self, content: bytes, files: tuple[Attached, ...], tag: str) -> None:
        self.tags[tag] = content
        self.blobs |= {Digest.of(file.content).text: file.content for file in files}


@dataclass
class World:
    """A repository that trusts the key of CI, and a registry between two machines."""

    repository: Repository
    folder: Path
    keys: Path
    registry: Registry = field(default_factory=Registry)
    events: list[Event] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=lambda: {"image": "one"})
    table: Mapping[str, Any] = field(default_factory=lambda: TABLE)

    def sign_with(self, name: str) -> None:
        self.repository.git("config", "gpg.format", "ssh")
        self.repository.git("config", "user.signingKey", str(self.keys / name))

    def trust(self, *names: str) -> None:
        lines = [f"{name}@example.org {(self.keys / f'{name}.pub').read_text()}" for name in names]
        (self.repository.root / "signers").write_text("".join(lines))
        self.repository.git("add", "--all")
        self.repository.git("commit", "--quiet", "--allow-empty", "--message", "feat: trust")

    @property
    def source(self) -> Source:
        return Source.open(self.repository.root)

    def ctx(self, purpose: Purpose, service: str = "api") -> StageContext:
        """A run on one of the machines, at the commit that is checked out."""
        plan = make_plan(configured(**self.table).service("api"), facts(), Options(), several=False)
        plan = replace(plan, commit=self.source.head())
        if service != "api":
            plan = replace(plan, service=plan.service.model_copy(update={"service": service}))
        made = test_pipeline.ctx(self.folder, self.events, reusable=frozenset({"test"}), purpose=purpose)
        return replace(made, plan=plan, source=self.source)

    @property
    def reuse(self) -> ReusePolicy:
        inputs = dict(self.inputs)
        return ReusePolicy(
            inputs=lambda _: None,
            portable_inputs=lambda _: inputs,
            to_data=lambda _, made: {"said": made.summary},
            restore=lambda _, passed: Made(summary=str(passed.data["said"])),
        )

    def check(self, *, started: str = "", service: str = "api") -> None:
        """A check in which the gate has passed leaves its result."""
        ctx = self.ctx("check", service)
        digest = hashlib.sha256(b"seen").hexdigest()
        gate = Gate(
            name="test",
            status="passed",
            started=started or utc_now_text(),
            duration_ms=1,
            evidence_sha256=digest,
        )
        ctx.completed["test"] = (gate, Made(summary="12 passed"))
        publish_check_result(ctx, [("test", self.reuse), ("audit", None)])

    def release(self) -> tuple[Gate, Any] | None:
        """What a release on another machine takes of the gate."""
        self.events.clear()
        return reuse_check_result(self.ctx("release"), "test", self.reuse)

    @property
    def told(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, Warned | Notice))

    @property
    def tag(self) -> str:
        return check_result_tag(self.source.head().tree)

    def statement(self) -> bytes:
        (layer,) = [
            one for one in Manifest.parse(self.registry.tags[self.tag]).layers if one.media_type == KIND
        ]
        return self.registry.blobs[layer.digest.text]

    def serve(self, statement: bytes) -> None:
        """Let the registry serve these bytes as the signed statement; the results stay there."""
        files = (Attached(name="statement", media_type=KIND, content=statement),)
        self.registry.put_tagged(artifact(KIND, files), files, self.tag)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the ssh keys of a CI job and of a stranger."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ci", "eve"):
        words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name))
        subprocess.run(words, check=True)
    return folder


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> World:
    """A check was signed by CI."""
    folder = tmp_path_factory.mktemp("checked")
    made = World(repository=Repository.init(folder / "clone"), folder=folder, keys=keys)
    made.trust("ci")
    made.sign_with("ci")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("release.chain.checked.leaving.ArtifactRegistry", made.registry)
        made.check()
    assert "can use the result of this check" in made.told
    return made


@pytest.fixture
def world(tmp_path: Path, checked: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The same, for one test."""
    shutil.copytree(checked.repository.root, tmp_path / "clone")
    registry = Registry(tags=dict(checked.registry.tags), blobs=dict(checked.registry.blobs))
    monkeypatch.setattr(taking, "ArtifactRegistry", registry)
    monkeypatch.setattr("release.chain.checked.leaving.ArtifactRegistry", registry)
    repository = Repository(tmp_path / "clone")
    return World(repository=repository, folder=tmp_path, keys=checked.keys, registry=registry)


def test_a_signed_result_of_the_same_tree_is_used(world: World) -> None:
    """In another commit too; the gate names the run and the key."""
    world.repository.git("commit", "--quiet", "--allow-empty", "--message", "Merge the topic")
    taken = world.release()
    assert taken is not None, world.told
    gate, product = taken
    assert (gate.name, product.summary) == ("test", "12 passed")
    assert gate.run
    assert (gate.signed_by or "").startswith("SHA256:")
    assert world.told == ""


def test_only_a_release_asks_for_it(world: World) -> None:
    """A pull request that names a key of its own would else spare its own gates."""
    assert reuse_check_result(world.ctx("check"), "test", world.reuse) is None
    assert reuse_check_result(world.ctx("other"), "test", world.reuse) is None
    again = replace(world.ctx("release"), reusable=frozenset())
    assert reuse_check_result(again, "test", world.reuse) is None, "--no-reuse"


def test_without_a_list_of_keys_nothing_travels(world: World) -> None:
    """Neither written nor read, and nothing is said."""
    world.table = {"registry": "registry.example/acme"}
    world.registry.tags.clear()
    world.events.clear()
    world.check()
    assert (world.registry.tags, world.release(), world.told) == ({}, None, "")


def unsigned(world: World) -> None:
    head, _, message = world.statement().partition(b"\n\n")
    lines = head.split(b"\n")
    start = next(i for i, line in enumerate(lines) if line.startswith(b"gpgsig"))
    world.serve(b"\n".join(lines[:start]) + b"\n\n" + message)


def altered(world: World) -> None:
    world.serve(world.statement().replace(b'"run": "run"', b'"run": "xxx"'))


def of_a_stranger(world: World) -> None:
    world.sign_with("eve")
    signers = read_signers((world.keys / "eve.pub").read_bytes(), world.folder / "eves")
    signers.file.write_text(f"eve@example.org {(world.keys / 'eve.pub').read_text()}")  # type: ignore[union-attr]
    ctx = world.ctx("check")
    made = CheckStatement.parse(world.statement().partition(b"\n\n")[2].decode(), "")
    world.serve(sign_statement(world.source.git, made, ctx.actor, signers))


def of_another_tree(world: World) -> None:
    statement = world.statement()
    (world.repository.root / "app.py").write_text("print('other')\n")
    world.repository.git("add", "--all")
    world.repository.git("commit", "--quiet", "--message", "feat: other")
    world.serve(statement)


def of_another_service(world: World) -> None:
    world.check(service="worker")


def of_another_registry(world: World) -> None:
    world.table = {**TABLE, "registry": "registry.example/other"}


def another_commit_of_the_signer(world: World) -> None:
    text = world.statement().partition(b"\n\n")[2]
    commit = world.repository.git("commit-tree", "--gpg-sign", "HEAD^{tree}", stdin=text)
    found = world.source.git.object(commit)
    assert found is not None
    world.serve(found[1])


def a_signed_note(world: World) -> None:
    empty = world.repository.git("mktree")
    commit = world.repository.git("commit-tree", "--gpg-sign", empty, stdin=b"A note\n\n{}\n")
    found = world.source.git.object(commit)
    assert found is not None
    world.serve(found[1])


def key_removed_later(world: World) -> None:
    """The file of keys is part of the tree, so another tree asks: its check was signed before."""
    statement = world.statement()
    world.trust("eve")
    world.serve(statement)


def something_else(world: World) -> None:
    world.registry.tags[world.tag] = artifact(
        "application/x", (Attached(name="a", media_type="b", content=b"c"),)
    )


def too_large(world: World) -> None:
    world.serve(world.statement() + b"x" * 300_000)


def no_commit(world: World) -> None:
    world.serve(b"\xff\xfe\n\n{}")


ATTACKS: list[tuple[Callable[[World], None], str]] = [
    (unsigned, "it is not signed"),
    (altered, "the signature is not of this commit"),
    (of_a_stranger, "is not in trusted-signers"),
    (of_another_tree, "it is about another tree"),
    (of_another_service, "it is about another service"),
    (of_another_registry, "it is about another repository"),
    (another_commit_of_the_signer, "it is not a result of a check"),
    (a_signed_note, "it is another commit of the signer"),
    (key_removed_later, "is not in trusted-signers"),
    (something_else, "holds something else"),
    (too_large, "holds something else"),
    (no_commit, "it is not a result of a check"),
]


@pytest.mark.parametrize(("attack", "reason"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS])
@pytest.mark.attack(
    "Who can push to the registry leaves a forged, altered, moved or foreign result of a check for a release",
    "Only a statement about this tree, signed by a key in the commit's list, counts; the gates run",
)
def test_a_result_that_is_not_signed_for_this_tree_is_refused(
    world: World, attack: Callable[[World], None], reason: str
) -> None:
    """The release says why, and the gate runs."""
    attack(world)
    assert world.release() is None
    assert reason in world.told
    assert "All gates run" in world.told


@pytest.mark.parametrize(
    "change",
    [{"image": "two"}, {"image": "one", "settings": {}}, {}],
    ids=["another image or base", "other settings", "other inputs"],
)
@pytest.mark.attack(
    "A signed result is replayed for a build with another base image, or after a change of settings",
    "The key of a gate covers the content of the image, its settings and files; another key is refused",
)
def test_a_gate_with_other_inputs_runs(world: World, change: dict[str, Any]) -> None:
    """The tree is the same, the base image or the machine's part of the settings is not."""
    world.inputs = change
    assert world.release() is None
    assert "the gate test runs, although a check of this tree passed it: it had another image" in world.told


@pytest.mark.attack(
    "The registry serves another file in the place of a gate's result",
    "The signed statement names the file by its digest; the gate runs",
)
def test_another_result_than_the_signed_one_is_refused(world: World) -> None:
    """Its bytes are hashed, whatever the registry says."""
    (digest,) = [name for name, content in world.registry.blobs.items() if content.startswith(b'{"data"')]
    content = world.registry.blobs[digest].replace(b"12 passed", b"99 passed")
    world.registry.blobs[digest] = content
    assert world.release() is None
    assert "its bytes have another digest" in world.told


def moment(hours: int) -> str:
    """The time so many hours ago, as records have it."""
    text = (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


@pytest.mark.parametrize("hours", [25, -1], ids=["too old", "of the future"])
@pytest.mark.attack(
    "An old signed result is replayed, as from before a package index or a vulnerability changed",
    "A gate counts within reuse.max_age of its start, and never from the future",
)
def test_an_old_result_is_refused(world: World, hours: int) -> None:
    """A check may sign again what passed long ago: the start of the gate decides."""
    world.check(started=moment(hours))
    assert world.release() is None
    assert "outside of reuse.max_age" in world.told


def test_an_old_statement_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it says of its gates."""
    monkeypatch.setattr("release.chain.checked.leaving.utc_now_text", lambda: "2026-01-01T00:00:00.000Z")
    world.check()
    assert world.release() is None
    assert "outside of reuse.max_age" in world.told


def test_a_registry_in_trouble_costs_the_gates_and_nothing_else(world: World) -> None:
    """The release goes on."""

    def fails(_: Reference) -> Manifest | None:
        raise RegistryError("read a manifest", "it answered 500", "")

    world.registry.manifest = fails  # type: ignore[method-assign, assignment]
    assert world.release() is None
    assert "it answered 500. All gates run" in world.told


def test_a_list_of_keys_that_is_not_committed_is_told(world: World) -> None:
    """By the check and by the release."""
    world.repository.git("rm", "--quiet", "signers")
    world.repository.git("commit", "--quiet", "--message", "feat: forget")
    world.check()
    assert "the commit has no such file" in world.told
    assert world.release() is None
    assert "the commit has no such file" in world.told


def test_what_the_registry_does_not_take_stays_here(world: World) -> None:
    """The check has passed all the same, and a line says what to do."""

    def fails(*_: object) -> None:
        raise RegistryError("put", "it answered 403", "log in")

    world.registry.put_tagged = fails  # type: ignore[method-assign, assignment]
    world.check()
    assert "stays on this machine: it answered 403\n  → log in" in world.told


def test_a_check_without_a_key_says_so(world: World) -> None:
    """As in the pull request of a fork."""
    world.repository.git("config", "--unset", "user.signingKey")
    world.check()
    assert "git has no key to sign it" in world.told
