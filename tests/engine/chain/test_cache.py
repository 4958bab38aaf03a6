"""The build cache travels between machines; it changes no digest, holds no secret, and stops nothing."""

from __future__ import annotations

import gzip
import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.images.engine import Engine
from release.programs.environment import ENGINE
from release.programs.process import Command, run
from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.service import DOCKERFILE, Service

CANARY = "canary-cache-83be17d0"
MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
SLOW = """\
RUN --mount=type=secret,id=index,required=true grep -q canary /run/secrets/index && mkdir /made \\
    && python3 -c "print(*range(20000))" > /made/numbers && find /made -exec touch -h -d @0 {} +
"""
"""An instruction of a stage that is not in the image, with a secret and a layer of its own."""
WITH_CACHE = DOCKERFILE.replace("COPY app.py", f"{SLOW}COPY app.py", 1)
BUILD = {"target": "runtime", "secrets": {"index": {"from_env": "INDEX_AUTH"}}}


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Engine]:
    """A second engine that has the tests' base image, and built nothing yet."""
    lab.small_image()
    folder = tmp_path_factory.mktemp("cold")
    with lab.cold_engine(folder) as second:
        lab.copy_image(lab.SMALL_IMAGE, source=engine, target=second)
        yield second
    lab.remove_folder(folder)


def emptied(engine: Engine) -> dict[str, str]:
    """Variables that name this engine, without any build cache or image but the base."""
    environ = engine.command_environment()
    for argv in (("buildx", "prune", "--all", "--force"), ("images", "--format", "{{.Repository}}:{{.Tag}}")):
        listed = run(Command(argv=("docker", *argv), env=environ, inherits=ENGINE)).output.split()
    own = [name for name in listed if "/" in name and name != lab.SMALL_IMAGE]
    if own:
        run(Command(argv=("docker", "rmi", "--force", *own), env=environ, inherits=ENGINE))
    return environ


def built(service: Service, **environ: str) -> tuple[str, str]:
    """Digest of the image that `nox -s build` makes, and the log of the build."""
    ran = service.nox("build", "--", "--no-reuse", INDEX_AUTH=CANARY, **environ)
    assert ran.status == 0, ran.all
    folder = max((service.folder / ".release/runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    metadata = json.loads((folder / "build-metadata.json").read_text())
    return metadata["containerimage.digest"], (folder / "build.log").read_text() + ran.all


def layers(repository: str, tag: str) -> list[dict[str, str]]:
    """Layers that a manifest of the registry names."""
    host, _, path = repository.partition("/")
    url = f"http://{host}/v2/{path}/manifests/{tag}"
    request = urllib.request.Request(url, headers={"Accept": MANIFESTS})
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        found: list[dict[str, str]] = json.load(answer)["layers"]
    return found


def test_a_cold_machine_reads_what_a_release_wrote(
    make: Make, tmp_path: Path, bare_remote: Path, cold: Engine
) -> None:
    """In CI a release exports the cache; with it and without it another machine makes the same image."""
    with lab.running_registry(tmp_path / "registry") as registry:
        service = make(
            remote=bare_remote, registry=registry.host, files={"Dockerfile": WITH_CACHE}, build=BUILD
        )
        shutil.copytree(bare_remote, tmp_path / "other.git")  # never hears of the release
        service.git("remote", "set-url", "origin", str(tmp_path / "other.git"))
        clone = service.clone(tmp_path / "clone")
        service.git("remote", "set-url", "origin", str(bare_remote))

        without, log = built(clone, **emptied(cold))
        assert "CACHED" not in log
        ran = service.nox("release", INDEX_AUTH=CANARY, CI="true")
        assert ran.status == 0, ran.all
        (record,) = service.records()
        warm, log = built(clone, **emptied(cold), CI="true")
        assert "range(20000)" in log
        assert log.count("CACHED") >= 2
        assert record["image"]["digest"] == without == warm

        blobs = [file for file in registry.storage.rglob("data") if "blobs" in file.parts]
        contents = [file.read_bytes() for file in blobs]
        plain = [gzip.decompress(one) if one.startswith(b"\x1f\x8b") else one for one in contents]
        assert any(b"made/numbers" in one for one in plain)
        assert not any(CANARY.encode() in one for one in plain)

        own = layers(record["image"]["repository"], "0.1.0")
        shared = {layer["digest"] for layer in layers(record["image"]["repository"], "cache")}
        assert {layer["digest"] for layer in own} <= shared  # nothing is uploaded twice

        for layer in shared - {layer["digest"] for layer in own}:
            shutil.rmtree(registry.storage / "docker/registry/v2/blobs/sha256" / layer[7:9] / layer[7:])
        clone.commit("fix: more", {"app.py": (clone.folder / "app.py").read_text() + "\n"})
        _, log = built(clone, **emptied(cold), CI="true")
        assert "build cache cannot be used" in log


def test_a_place_that_takes_no_cache_stops_nothing(make: Make, registry: str) -> None:
    """The release is complete; a line says what happened, and what to do."""
    build = {"target": "runtime", "cache": "127.0.0.1:1/acme/api:cache"}
    service = make(registry=f"{registry}/{lab.unique()}", build=build)
    ran = service.nox("release")
    assert ran.status == 0, ran.all
    assert "the build cache was not exported to 127.0.0.1:1/acme/api:cache" in ran.err
    assert "check that this login may write there" in ran.err


def test_a_folder_keeps_the_cache(make: Make, tmp_path: Path, cold: Engine) -> None:
    """It is replaced as a whole; what a check writes stands apart, and no release reads it."""
    build = {"target": "runtime", "cache": str(tmp_path / "kept")}
    service = make(files={"Dockerfile": WITH_CACHE}, build={**BUILD, **build})
    ran = service.nox("check", INDEX_AUTH=CANARY)
    assert ran.status == 0, ran.all
    folder = tmp_path / "kept" / f"{service.name}-check"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    clone = service.clone(tmp_path / "clone")
    _, log = built(clone, **emptied(cold))
    assert "CACHED" in log
    ran = clone.nox("release", INDEX_AUTH=CANARY, **emptied(cold))
    assert ran.status == 0, ran.all
    newest = max((clone.folder / ".release/runs").glob("*/build.log"), key=lambda path: path.stat().st_mtime)
    assert "CACHED" not in newest.read_text()
    assert (tmp_path / "kept" / service.name / "index.json").exists()


def test_a_named_builder(make: Make, tmp_path: Path, cold: Engine) -> None:
    """It builds and hands the image over; the record names it. One that does not exist is told at once."""
    service = make(build={"target": "runtime", "builder": "no-such"})
    ran = service.nox("build")
    assert ran.status == 1, ran.all
    assert "the builder 'no-such' of `build.builder` does not exist" in ran.err
    name = lab.unique("builder")
    with lab.remote_builder(tmp_path, cold, name):
        service.configure(build={"target": "runtime", "builder": name})
        service.commit("feat: use a builder")
        ran = service.nox("release")
        assert ran.status == 0, ran.all
    (record,) = service.records()
    assert record["build"]["buildkit"].endswith(f"(remote builder {name})")
