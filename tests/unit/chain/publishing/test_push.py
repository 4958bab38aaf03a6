"""What is already in the registry when a candidate comes, and whose it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from release.chain.building.stage import BuiltImage
from release.chain.plan import Options, make_plan
from release.chain.publishing import push as pushing
from release.chain.publishing.promote import promote_release, tag_release
from release.chain.publishing.push import push_candidate
from release.chain.publishing.record import Recorded
from release.chain.stage_context import StageContext
from release.errors import GateFailed, LedgerUnreachable, RegistryError, VersionTaken
from release.events import Event, Warned
from release.git.source import Source
from release.ledger import query
from release.ledger.store import Ledger
from release.records import Release
from release.reference import Digest, Reference
from release.values import replace
from tests.unit.chain.test_pipeline import ctx as made_shop
from tests.unit.chain.test_plan import COMMIT, configured, facts
from tests.unit.images.fake_registry import FakeRegistry, serving
from tests.unit.images.test_registry import image
from tests.unit.ledger.samples import release
from tests.unit.repository import Repository

CONFIG = json.dumps({"rootfs": {"type": "layers", "diff_ids": []}, "history": []}).encode()
CANDIDATE = f"sha-{COMMIT.id}"
OTHER = image(annotations={"of": "somebody else"})


def content() -> bytes:
    """The candidate's manifest: a config and no layer."""
    config = {"mediaType": "x/config", "digest": Digest.of(CONFIG).text, "size": len(CONFIG)}
    return image(config=config, layers=[])


@dataclass
class FakeEngine:
    """A containerd store that holds the candidate."""

    registry: FakeRegistry
    info: Any = field(default_factory=lambda: SimpleNamespace(image_store="containerd"))
    pushed: list[str] = field(default_factory=list)

    def push(self, reference: Reference, **_: object) -> None:
        """Upload it."""
        self.pushed.append(reference.tag or "")
        self.registry.add(content(), reference.tag or "")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A candidate that was built, a registry, a ledger."""

    ctx: StageContext
    registry: FakeRegistry
    engine: FakeEngine
    ledger: Ledger
    server: Repository
    events: list[Event]

    def recorded(self, version: str, manifest: bytes, commit: str) -> None:
        """Another run was faster."""
        draft = release(version, commit=commit)
        assert isinstance(draft.body, Release)
        names = {"digest": Digest.of(manifest).text, "repository": str(self.registry.repository)}
        body = draft.body.model_copy(update={"image": draft.body.image.model_copy(update=names)})
        there = Repository.clone(self.server, self.server.root.with_name("there"))
        with closing(Source.open(there.root)) as source:
            Ledger.open(source, branch="release-ledger", remote="origin").append([replace(draft, body=body)])

    def for_gates_alone(self) -> StageContext:
        """The same, of a run that releases nothing."""
        plan = replace(self.ctx.plan, is_due=False)
        built = replace(self.ctx.products.get(BuiltImage), reference=plan.candidate)
        self.ctx.products.add(built)
        return replace(self.ctx, plan=plan)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Nothing is in the registry, nothing in the ledger."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    server = Repository.init(tmp_path / "server.git", bare=True)
    here = Repository.init(tmp_path / "here")
    here.commit("feat: start", file="1")
    here.git("remote", "add", "origin", str(server.root))
    source = Source.open(here.root)
    ledger = Ledger.open(source, branch="release-ledger", remote="origin")
    events: list[Event] = []
    with serving(FakeRegistry()) as registry:
        engine: Any = FakeEngine(registry)
        registry.blobs[Digest.of(CONFIG).text] = CONFIG
        service = configured(registry=f"{registry.host}/acme").service("api")
        plan = make_plan(service, facts(), Options(), several=False)
        ctx = replace(
            made_shop(tmp_path, events, open_engine=lambda: engine, open_ledger=lambda: ledger), plan=plan
        )
        stored: Any = SimpleNamespace(id=Digest.of(content()))
        built = BuiltImage(
            reference=plan.candidate,
            stored_image=stored,
            config_digest=Digest.of(CONFIG),
            bases=(),
            dockerfile="Dockerfile",
            dockerfile_sha256="",
            buildx="",
        )
        ctx.products.add(built)
        yield Place(ctx=ctx, registry=registry, engine=engine, ledger=ledger, server=server, events=events)
    source.close()


def test_what_was_pushed_is_read_back(place: Place) -> None:
    """Under the commit's name."""
    assert push_candidate(place.ctx).manifest.digest == Digest.of(content())
    assert place.engine.pushed == [CANDIDATE]


def test_a_build_that_was_not_released_makes_room(place: Place) -> None:
    """Nobody deploys it."""
    place.registry.add(OTHER, CANDIDATE)
    push_candidate(place.ctx)
    assert place.engine.pushed == [CANDIDATE]


def test_a_release_of_the_commit_keeps_its_name(place: Place) -> None:
    """A run of the same commit was faster, with other bytes: those are the release."""
    place.registry.add(OTHER, CANDIDATE)
    place.recorded("0.1.0", OTHER, COMMIT.id)
    with pytest.raises(VersionTaken) as caught:
        push_candidate(place.ctx)
    assert "recorded by Ada Lovelace" in caught.value.found
    assert "`nox -s release` again" in caught.value.hint
    assert place.engine.pushed == []


def test_nothing_is_replaced_while_nobody_knows_whose_it_is(place: Place) -> None:
    """The ledger's server does not answer."""
    place.registry.add(OTHER, CANDIDATE)
    place.server.root.rename(place.server.root.with_suffix(".away"))
    with pytest.raises(LedgerUnreachable, match="if this digest is a release"):
        push_candidate(place.ctx)
    assert place.engine.pushed == []


def test_a_run_for_its_gates_alone_takes_no_name_of_a_release(place: Place) -> None:
    """It has one of its own, and what is there is nobody's."""
    place.registry.add(OTHER, CANDIDATE, f"dev-{COMMIT.id}")
    place.recorded("0.1.0", OTHER, COMMIT.id)
    push_candidate(place.for_gates_alone())
    assert place.engine.pushed == [f"dev-{COMMIT.id}"]
    assert place.registry.manifests[CANDIDATE][1] == OTHER


def test_who_was_faster_with_the_version_is_named(place: Place) -> None:
    """Its tag is a release's: nobody is told to remove it."""
    place.registry.add(OTHER, "0.1.0")
    place.recorded("0.1.0", OTHER, "e" * 40)
    with pytest.raises(VersionTaken) as caught:
        push_candidate(place.ctx)
    assert f"api 0.1.0 is {Digest.of(OTHER).text[:19]} of commit {'e' * 12}" in caught.value.found
    assert caught.value.hint == "a released version is never made again: release a higher version"


def test_a_versions_tag_without_a_release_is_left_to_people(place: Place) -> None:
    """Nobody knows whose it is: it stays, and the message says so."""
    place.registry.add(OTHER, "0.1.0")
    with pytest.raises(GateFailed, match="which no release in the ledger has") as caught:
        push_candidate(place.ctx)
    assert "delete it yourself" in caught.value.hint


def test_a_release_whose_tag_could_not_be_put_is_said_to_exist(place: Place) -> None:
    """The stage fails, and nobody takes it for a release that failed."""
    record: Any = release("0.1.0").at(1, None)
    body = record.body.model_copy(
        update={"image": record.body.image.model_copy(update={"repository": str(place.registry.repository)})}
    )
    place.ctx.products.add(Recorded(record=replace(record, body=body), evidence=b"", summary=""))
    with pytest.raises(RegistryError, match="does not have this manifest any more"):
        promote_release(place.ctx)
    (said,) = [event.text for event in place.events if isinstance(event, Warned)]
    assert said.startswith("0.1.0 is released and recorded")


def test_the_commits_tag_is_the_releases_after_the_commit_point(place: Place) -> None:
    """What a slower run put there makes room, and that is said; a second time nothing happens."""
    push_candidate(place.ctx)
    place.recorded("0.1.0", content(), COMMIT.id)
    place.registry.add(OTHER, CANDIDATE)
    place.ledger.refresh()
    record = query.release_of_commit(place.ledger, "api", COMMIT.id)
    assert record is not None
    for _ in range(2):
        tag_release(record.body, None, place.events.append)
    assert place.registry.manifests[CANDIDATE][1] == content()
    assert place.registry.manifests["0.1.0"][1] == content()
    (said,) = [event.text for event in place.events if isinstance(event, Warned)]
    assert f":{CANDIDATE} was {Digest.of(OTHER)}" in said


def test_a_path_that_several_layers_have_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each COPY into a folder writes the folder's time."""
    layers = [SimpleNamespace(digest=Digest(f"sha256:{number}" + "0" * 63)) for number in "1234"]
    manifest: Any = SimpleNamespace(layers=layers)
    late = {layer.digest: ("/srv", f"/srv/{number}") for number, layer in enumerate(layers)}
    monkeypatch.setattr(pushing, "own_layers", lambda *_: frozenset(range(4)))
    found = pushing._files_after_epoch_in_new_layers(manifest, b"", late)
    assert found == ("/srv", "/srv/0", "/srv/1", "/srv/2", "/srv/3")
