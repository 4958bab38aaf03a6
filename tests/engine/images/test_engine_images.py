"""Images in both kinds of store, to a real registry and back."""

from __future__ import annotations

import json
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from release.errors import Cancelled, EngineError, RegistryError, RegistryUnreachable
from release.images.engine import Engine, StoredImage
from release.images.registry import Manifest, Registry
from release.programs.cancellation import Cancellation
from release.reference import Digest, Reference, Repository
from tests.engine import lab, tiny

NOWHERE = Digest.of(b"nobody ever built this")

pytestmark = pytest.mark.xdist_group("graph")


@pytest.fixture(scope="module", params=["engine", "graph_engine"])
def either(request: pytest.FixtureRequest) -> Engine:
    """Each kind of engine in turn."""
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def repository(registry: str) -> Repository:
    """A repository of this test's own in the registry."""
    return Repository(f"{registry}/{lab.unique()}")


@pytest.fixture
def reference(either: Engine, repository: Repository, tmp_path: Path) -> Iterator[Reference]:
    """A small image of this test's own in the engine, under the tag `sha-1`."""
    made = repository.tagged("sha-1")
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "name").write_text(repository.text)
    dockerfile = "FROM scratch\nCOPY name /name\nCOPY name /again\nUSER 1000\nLABEL colour=blue\n"
    lab.build(either, str(made), dockerfile=dockerfile, folder=tmp_path / "image")
    yield made
    either.untag(made)


def stored(engine: Engine, name: Reference | Digest) -> StoredImage:
    found = engine.inspect(name)
    assert found is not None
    return found


def pushed(engine: Engine, reference: Reference) -> Manifest:
    engine.push(reference, cancellation=Cancellation())
    found = Registry(reference.repository).manifest(reference)
    assert found is not None
    return found


def test_each_engine_names_its_store(engine: Engine, graph_engine: Engine) -> None:
    """The two stores are told apart, and so are the engines."""
    assert (engine.info.image_store, graph_engine.info.image_store) == ("containerd", "graph")
    assert engine.info.platform.startswith("linux/")
    assert engine.host != graph_engine.host


def test_an_image_is_described(either: Engine, reference: Reference) -> None:
    """Its user, labels, layers and names; None for what is not there."""
    image = stored(either, reference)
    assert (image.user, image.labels["colour"], image.has_healthcheck) == ("1000", "blue", False)
    assert (len(image.diff_ids), str(reference) in image.references) == (2, True)
    assert image.size > 0
    assert either.inspect(NOWHERE) is None
    assert either.inspect(reference.repository.tagged("other")) is None


def test_what_is_pushed_is_what_was_built(either: Engine, reference: Reference) -> None:
    """A containerd store keeps the manifest digest through the push, a graph driver the config digest."""
    manifest = pushed(either, reference)
    kept = manifest.digest if either.info.image_store == "containerd" else manifest.config.digest
    assert stored(either, reference).id == kept
    registry = Registry(reference.repository)
    assert all(registry.has_blob(blob.digest) for blob in (manifest.config, *manifest.layers))


def test_an_image_is_found_by_its_content(either: Engine, reference: Reference) -> None:
    """find knows it by the digests alone, before and after its name is taken away and it is pulled back."""
    manifest = pushed(either, reference)
    digests = {"digest": manifest.digest, "config_digest": manifest.config.digest}
    found = either.find(**digests)
    assert found is not None
    assert found.id == stored(either, reference).id
    either.untag(reference)
    by_digest = reference.repository.at(manifest.digest)
    either.untag(by_digest)
    assert either.find(**digests) is None
    assert either.pull(by_digest).id == found.id
    assert either.find(**digests) == either.inspect(by_digest)
    either.untag(by_digest)


def test_other_content_is_not_found(either: Engine, reference: Reference) -> None:
    """find answers None for a digest that is nowhere."""
    assert either.find(digest=NOWHERE, config_digest=NOWHERE) is None
    assert stored(either, reference)


def test_an_image_of_one_store_runs_in_the_other(
    engine: Engine, graph_engine: Engine, repository: Repository, tmp_path: Path
) -> None:
    """What a containerd engine pushed is found on a graph-driver engine by its config digest."""
    reference = repository.tagged("sha-1")
    (tmp_path / "image").mkdir()
    lab.build(
        engine,
        str(reference),
        dockerfile="FROM scratch\nLABEL a=b\nCOPY Dockerfile /\n",
        folder=tmp_path / "i",
    )
    manifest = pushed(engine, reference)
    by_digest = repository.at(manifest.digest)
    pulled = graph_engine.pull(by_digest)
    assert pulled.id == manifest.config.digest
    assert graph_engine.find(digest=manifest.digest, config_digest=manifest.config.digest) == pulled
    graph_engine.untag(by_digest)
    engine.untag(reference)


def test_names_are_given_and_taken(either: Engine, reference: Reference) -> None:
    """tag adds a name to the same image, untag takes it away, twice without an error."""
    other = reference.repository.tagged("1.0.0")
    image = stored(either, reference)
    either.tag(image.id, other)
    assert stored(either, other).id == image.id
    either.untag(other)
    either.untag(other)
    assert either.inspect(other) is None
    assert stored(either, reference).id == image.id
    with pytest.raises(EngineError):
        either.tag(NOWHERE, other)


def test_an_image_comes_out_as_a_stream(either: Engine, reference: Reference) -> None:
    """exported is a tar that holds the image; what its reader raises stays what it is."""
    with either.exported(reference) as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
        names = [member.name for member in tar]
    assert "manifest.json" in names
    assert ("index.json" in names) or either.info.image_store == "graph"
    with pytest.raises(FileNotFoundError, match="mine"), either.exported(reference):
        raise FileNotFoundError("mine")
    with pytest.raises(EngineError), either.exported(reference.repository.tagged("other")):
        raise AssertionError("there is no such image")


def test_an_image_that_was_exported_in_part_leaves_nothing_when_it_goes(
    engine: Engine, repository: Repository
) -> None:
    """Its own layer is not in the store any more: an image layout without it cannot be loaded."""
    lab.small_image()
    reference, own = repository.tagged("sha-1"), lab.unique()
    made = tiny.on_small_base(engine, files={own: own}, settings={})
    tiny.load(engine, str(reference), made)
    with engine.exported(reference) as stream:
        stream.read(1)
    engine.untag(reference)
    with pytest.raises(subprocess.CalledProcessError):
        tiny.load(engine, str(reference), replace(made, layer=b""))
    engine.untag(reference)


def test_a_layout_out_of_a_containerd_store_names_the_digest(
    engine: Engine, repository: Repository, tmp_path: Path
) -> None:
    """Its index.json holds exactly one manifest: the image's id."""
    reference = repository.tagged("sha-1")
    image = lab.build(
        engine, str(reference), dockerfile="FROM scratch\nLABEL a=b\n", folder=tmp_path / "image"
    )
    with engine.exported(reference) as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
        for member in tar:
            if member.name == "index.json":
                content = tar.extractfile(member)
                assert content is not None
                index = json.load(content)
    assert [entry["digest"] for entry in index["manifests"]] == [image.text]
    engine.untag(reference)


def test_pulling_what_is_not_there_is_the_registrys_error(either: Engine, repository: Repository) -> None:
    """The registry answers; it does not have the digest."""
    with pytest.raises(RegistryError, match="pull") as caught:
        either.pull(repository.at(NOWHERE))
    assert type(caught.value) is RegistryError


def test_a_registry_that_is_down_is_called_unreachable(either: Engine, reference: Reference) -> None:
    """Pushing to a port where nothing listens is RegistryUnreachable, with the engine's words."""
    nowhere = Repository(f"127.0.0.1:{lab.free_port()}/api").tagged("sha-1")
    either.tag(stored(either, reference).id, nowhere)
    try:
        with pytest.raises(RegistryUnreachable, match=f"push {nowhere}"):
            either.push(nowhere, cancellation=Cancellation())
    finally:
        either.untag(nowhere)


def test_a_push_stops_at_once_when_cancelled(either: Engine, reference: Reference) -> None:
    """The engine itself would wait for the registry's answer for much longer than ten seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nowhere = Repository(f"127.0.0.1:{silent.getsockname()[1]}/api").tagged("sha-1")
        either.tag(stored(either, reference).id, nowhere)
        cancellation, requested = Cancellation(), []

        def request() -> None:
            requested.append(time.monotonic())
            cancellation.request("lint failed")

        timer = threading.Timer(0.7, request)
        timer.start()
        with pytest.raises(Cancelled, match="lint failed"):
            either.push(nowhere, cancellation=cancellation)
        took = time.monotonic() - requested[0]
        timer.join()
    either.untag(nowhere)
    assert took < 10


@pytest.fixture
def locked(
    either: Engine,
    reference: Reference,
    locked_registry: lab.RunningRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Reference]:
    """The image's name in a registry with TLS and login, whose certificate we trust."""
    assert locked_registry.certificate is not None
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(locked_registry.certificate.certificate))
    there = Repository(locked_registry.repository()).tagged("sha-1")
    either.tag(stored(either, reference).id, there)
    yield there
    either.untag(there)


def test_a_push_uses_the_login_that_docker_has(
    either: Engine, locked: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """config.json's login opens the registry for the engine and for us; broken helpers do not matter."""
    config = lab.docker_config(
        tmp_path / "docker",
        (locked.repository.host, lab.Login()),
        credHelpers={"other.example": "does-not-exist"},
        credsStore="does-not-exist-either",
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    manifest = pushed(either, locked)
    by_digest = locked.repository.at(manifest.digest)
    assert either.pull(by_digest).id in {manifest.digest, manifest.config.digest}
    either.untag(by_digest)


@pytest.mark.parametrize("password", [None, "wrong"])
def test_a_push_without_the_right_login_says_what_to_do(
    either: Engine, locked: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str | None
) -> None:
    """No login or a wrong one is a RegistryError whose hint is `docker login HOST`; no password is shown."""
    logins = [(locked.repository.host, lab.Login(password=password))] if password else []
    monkeypatch.setenv("DOCKER_CONFIG", str(lab.docker_config(tmp_path / "docker", *logins)))
    with pytest.raises(RegistryError) as caught:
        either.push(locked, cancellation=Cancellation())
    assert caught.value.hint == f"docker login {locked.repository.host}"
    assert "wrong" not in str(caught.value)
