"""`nox -s release` for real: from a commit to a recorded digest."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from release.images.engine import Engine
from release.programs.process import output_of
from release.reference import Digest, Reference
from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.service import APP, DOCKERFILE, Ran, Service, make_service

LINE = re.compile(r"(?P<service>\S+) (?P<version>\S+) (?P<repository>\S+)@(?P<digest>sha256:[0-9a-f]{64})")
ACCEPT = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


def released(ran: Ran) -> re.Match[str]:
    """The result line of a run that went well."""
    assert ran.status == 0, ran.all
    match = LINE.fullmatch(ran.last_line)
    assert match, ran.all
    return match


@dataclass(frozen=True, kw_only=True)
class First:
    """A service after its first release, and the line that this ended with."""

    service: Service
    line: re.Match[str]


def nothing_happened(service: Service, engine: Engine) -> None:
    """No record, no tag, no container."""
    assert service.records() == []
    assert service.git("tag") == ""
    assert engine.containers({"release.service": service.name}) == []


def pulled_manifest(reference: str) -> tuple[str, dict[str, Any]]:
    """Digest and content of a manifest, read over plain HTTP as any stranger would."""
    found = Reference.parse(reference)
    url = f"http://{found.repository.host}/v2/{found.repository.path}/manifests/{found.tag}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": ACCEPT})) as response:
        content = response.read()
    return f"sha256:{hashlib.sha256(content).hexdigest()}", json.loads(content)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[First]:
    """A service that was released once, for all tests of a worker that only begin with that."""
    service = make_service(tmp_path_factory.mktemp("first") / "service")
    try:
        yield First(service=service, line=released(service.nox("release")))
    finally:
        lab.remove_service(engine, service.name)


@pytest.fixture
def once(first: First, tmp_path: Path) -> First:
    """A copy of it, with ledger, tags and passes of its own; the images are shared."""
    folder = shutil.copytree(first.service.folder, tmp_path / "service", symlinks=True)
    return replace(first, service=replace(first.service, folder=folder))


def test_without_a_registry_the_engine_keeps_the_release(once: First, engine: Engine) -> None:
    """Record, git tag and version tag agree on one digest, and the digest is in the engine."""
    service, line = once.service, once.line
    (record,) = service.records()
    assert (line["version"], line["repository"]) == ("0.1.0", f"localhost/{service.name}")
    assert record["image"]["digest"] == line["digest"]
    assert service.git("rev-list", "-n1", "v0.1.0") == record["source"]["commit"]
    stored = engine.inspect(Reference.parse(f"localhost/{service.name}:0.1.0"))
    assert stored is not None
    assert str(stored.id) == line["digest"]


def test_the_record_says_how_it_was_made(once: First) -> None:
    """Everything that is needed to make it again, and what each gate saw."""
    (record,) = once.service.records()
    assert [gate["name"] for gate in record["gates"]].__len__() == 6
    assert {gate["name"] for gate in record["gates"]} == {"lock", "lint", "build", "test", "smoke", "push"}
    assert record["build"]["source_date_epoch"] == 315532800
    assert record["build"].get("timestamps", []) == []
    assert [base["reference"] for base in record["bases"]] == [lab.SMALL_IMAGE]
    assert record["smoke"]["probe"]["path"] == "/healthz"
    assert record["actor"]["email"] == "ada@example.org"


def test_a_released_commit_gives_the_same_result_again(once: First) -> None:
    """rc 0, the same line, nothing built, nothing recorded."""
    service, first = once.service, once.line
    runs = len(list((service.folder / ".release/runs").iterdir()))
    again = service.nox("release")
    assert released(again)[0] == first[0]
    assert "nothing to build" in again.err
    assert len(service.records()) == 1
    assert len(list((service.folder / ".release/runs").iterdir())) == runs


def test_a_registry_holds_what_was_recorded(
    make: Make, running_registry: lab.RunningRegistry, bare_remote: Path
) -> None:
    """The manifest under the version tag and under the commit's tag hashes to the recorded digest."""
    service = make(remote=bare_remote, registry=f"{running_registry.host}/{lab.unique()}")
    line = released(service.nox("release"))
    (record,) = service.records()
    for tag in ("0.1.0", f"sha-{record['source']['commit']}"):
        digest, manifest = pulled_manifest(f"{line['repository']}:{tag}")
        assert digest == line["digest"] == record["image"]["digest"]
        assert manifest["config"]["digest"] == record["image"]["config_digest"]
    remote = output_of(["git", "-C", str(bare_remote), "for-each-ref", "--format=%(refname)"]).split()
    assert remote == ["refs/heads/main", "refs/heads/release-ledger", "refs/tags/v0.1.0"]
    without_an_engine = service.nox("release", DOCKER_HOST=f"unix://{bare_remote}/nobody.sock")
    assert released(without_an_engine)["digest"] == line["digest"]


def test_another_clone_finds_the_release(
    make: Make, running_registry: lab.RunningRegistry, bare_remote: Path, tmp_path: Path
) -> None:
    """A fresh shallow clone of the released commit, detached: the same line, nothing built."""
    service = make(remote=bare_remote, registry=f"{running_registry.host}/{lab.unique()}")
    first = released(service.nox("release"))
    origin = f"file://{bare_remote}"
    output_of(["git", "clone", "--quiet", "--depth", "1", origin, str(tmp_path / "ci")])
    clone = Service(folder=tmp_path / "ci", name=service.name)
    clone.git("checkout", "--quiet", "--detach")
    assert released(clone.nox("release"))[0] == first[0]


def test_a_shallow_clone_is_deepened_for_its_version(make: Make, bare_remote: Path, tmp_path: Path) -> None:
    """The next version comes from the whole history, also where CI fetched one commit."""
    service = make(remote=bare_remote)
    released(service.nox("release"))
    service.commit(
        "fix: spell it right", {"app.py": APP.replace("hello", "hallo"), "test.py": "print('1 passed')"}
    )
    service.commit("docs: say more", {"README": "more"})
    service.git("push", "--quiet", "origin", "main")
    output_of(["git", "clone", "--quiet", "--depth", "1", f"file://{bare_remote}", str(tmp_path / "ci")])
    ran = Service(folder=tmp_path / "ci", name=service.name).nox("release")
    assert released(ran)["version"] == "0.1.1"
    assert "shallow" in ran.err


def test_the_same_commit_is_the_same_image_everywhere(once: First, tmp_path: Path) -> None:
    """Another folder, umask, time zone and no cache: the same manifest digest."""
    there = once.service.clone(tmp_path / "another place" / "deeper", "--no-tags")
    words = ("sh", "-c", f"umask 077 && exec {sys.executable} -m nox -s release -- --no-cache")
    ran = there.run(*words, TZ="Asia/Kathmandu")
    assert released(ran)["digest"] == once.line["digest"]


def test_a_changed_source_line_changes_one_layer(once: First) -> None:
    """All layers but the one that holds the source are shared."""
    service = once.service
    service.commit("fix: stop", {"app.py": APP.replace("when told", "as told")})
    released(service.nox("release"))
    old, new = ([layer["digest"] for layer in record["image"]["layers"]] for record in service.records())
    assert len(old) == len(new)
    assert sum(left != right for left, right in zip(old, new, strict=True)) == 1


def test_a_dockerfile_with_a_clock_in_it_is_said_to_have_one(make: Make) -> None:
    """What is not reproducible is never called so: the run warns, the record names the files."""
    clock = DOCKERFILE.replace("USER 10001", "RUN echo now > /now\nUSER 10001")
    service = make(files={"Dockerfile": clock})
    ran = service.nox("release")
    released(ran)
    assert "a second build will have another digest" in ran.err
    assert "/now" in service.records()[0]["build"]["timestamps"]


SAYS = "print('1 passed')"


@pytest.mark.parametrize(
    ("settings", "files"),
    [
        ({"test": {"target": "test", "command": ["python3", "/test.py"]}}, {}),
        ({"test": {"copy": ["test.py"], "command": ["python3", "test.py"]}}, {".dockerignore": "test.py\n"}),
        (
            {
                "test": {
                    "command": ["python3", "-c", f"import sys; sys.path.append('/srv'); import app; {SAYS}"]
                }
            },
            {},
        ),
    ],
    ids=["a stage", "a throw-away layer", "the image itself"],
)
def test_tests_run_inside_the_image(make: Make, settings: dict[str, Any], files: dict[str, str]) -> None:
    """In each of the three ways; what ships is the released image, without the tests."""
    dockerfile = DOCKERFILE if "target" in settings["test"] else DOCKERFILE.split("FROM runtime AS test")[0]
    service = make(files={"Dockerfile": dockerfile, **files}, **settings)
    line = released(service.nox("release"))
    image = f"{line['repository']}@{line['digest']}"
    listing = output_of(["docker", "run", "--rm", image, "ls", "/", "/srv"])
    assert "test.py" not in listing


def test_a_test_stage_on_other_layers_is_refused(make: Make, engine: Engine) -> None:
    """What was tested must be what ships."""
    other = DOCKERFILE.replace(
        "FROM runtime AS test", f"FROM {lab.SMALL_IMAGE} AS test\nCOPY app.py /srv/app.py"
    )
    service = make(files={"Dockerfile": other})
    ran = service.nox("release")
    assert ran.status == 1
    assert "does not begin with the layers of the released image" in ran.err
    nothing_happened(service, engine)


BROKEN: dict[str, tuple[dict[str, Any], dict[str, str], str, str]] = {
    "a test that fails": ({}, {"test.py": "raise SystemExit('wrong greeting')"}, "test", "wrong greeting"),
    "a Dockerfile that fails": (
        {},
        {"Dockerfile": DOCKERFILE.replace("RUN find", "RUN false && find")},
        "build",
        "could not be built",
    ),
    "no Dockerfile": ({}, {"Dockerfile": ""}, "build", "has no Dockerfile"),
    "a file that git does not hold": (
        {},
        {"model.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"},
        "build",
        "model.bin is in Git LFS",
    ),
    "a linter that complains": (
        {"lint": {"commands": ["git no-such-command"]}},
        {},
        "lint",
        "ended with status 1",
    ),
    "a linter that is not there": (
        {"lint": {"commands": ["no-such-linter"]}},
        {},
        "lint",
        "is not installed",
    ),
    "no lockfile": ({}, {"requirements.txt": ""}, "lock", "has no lockfile in the service's folder"),
    "a service that crashes": (
        {},
        {"app.py": "import sys\nGREETING = 'hello'\nif __name__ == '__main__': sys.exit('no database')\n"},
        "smoke",
        "no database",
    ),
    "a service that answers wrong": (
        {"smoke": {"port": 8000, "status": 204, "timeout": "1s"}},
        {},
        "smoke",
        "200 OK",
    ),
    "a service that ignores SIGTERM": (
        {"smoke": {"port": 8000, "stop_grace": "1s"}},
        {"app.py": APP.replace("    os._exit(0)", "    pass")},
        "smoke",
        "after SIGTERM it did not end within 1 s",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_gate_that_fails_stops_the_release(make: Make, engine: Engine, case: str) -> None:
    """One clear message, rc 1, nothing recorded, nothing left running."""
    settings, files, stage, words = BROKEN[case]
    service = make(files=files, **settings)
    ran = service.nox("release")
    assert ran.status == 1, ran.all
    assert f"'{stage}'" in ran.err
    assert words in ran.err
    nothing_happened(service, engine)


def test_a_released_service_keeps_its_release_when_the_next_fails(once: First) -> None:
    """A failing run after a good one changes nothing."""
    service = once.service
    service.commit("feat: break", {"test.py": "raise SystemExit(1)"})
    assert service.nox("release").status == 1
    assert len(service.records()) == 1


def test_changes_beside_the_commit_stop_a_release(make: Make) -> None:
    """They are named; --allow-dirty releases the commit without them."""
    service = make()
    (service.folder / "app.py").write_text("broken(")
    refused = service.nox("release")
    assert refused.status == 1
    assert "1 file is changed and not committed (app.py)" in refused.err
    assert released(service.nox("release", "--", "--allow-dirty"))["version"] == "0.1.0"


def test_nothing_committed_is_said_so(tmp_path: Path) -> None:
    """An unborn HEAD is no commit to release."""
    output_of(["git", "init", "--quiet", str(tmp_path)])
    (tmp_path / "noxfile.py").write_text("import release\nrelease.register()\n")
    ran = Service(folder=tmp_path, name="x").nox("release")
    assert ran.status == 1
    assert "nothing is committed yet" in ran.err


def test_nothing_to_release_is_no_success(once: First) -> None:
    """No commit that changes what users get: rc 1, and no old version on standard output."""
    service = once.service
    service.commit("docs: say more", {"README": "more"})
    ran = service.nox("release")
    assert (ran.status, ran.out) == (1, "")
    assert "no commit since 0.1.0" in ran.err
    assert released(service.nox("release", "--", "--bump", "patch"))["version"] == "0.1.1"


def test_a_version_that_exists_with_other_content_is_refused(once: First) -> None:
    """A released version is never made again."""
    service = once.service
    service.commit("feat: more", {"app.py": APP + "# more\n"})
    ran = service.nox("release", "--", "--version", "0.1.0")
    assert ran.status == 1
    assert "this version exists with other content" in ran.err


@pytest.mark.parametrize("words", [("--version", "1.2"), ("--version", "1.2.3+b"), ("--bump", "huge")])
def test_a_wrong_version_is_refused(make: Make, words: tuple[str, str]) -> None:
    """Before anything is built."""
    service = make()
    ran = service.nox("release", "--", *words)
    assert ran.status != 0
    assert f"{words[1]!r}" in ran.err
    assert not (service.folder / ".release/runs").exists()


def test_a_wrong_configuration_names_every_problem(make: Make) -> None:
    """Before anything is built, with the keys' paths, and the exit status of a configuration error."""
    service = make(smoke={"port": 99999}, regsitry="x")
    ran = service.nox("release")
    assert ran.status == 2
    assert "tool.release.smoke.port" in ran.err
    assert "did you mean 'registry'" in ran.err


def test_a_plan_touches_nothing(make: Make, engine: Engine) -> None:
    """--plan prints what would be done, as JSON on standard output."""
    service = make()
    ran = service.nox("release", "--", "--plan")
    assert ran.status == 0, ran.all
    assert ran.document()["version"] == "0.1.0"
    nothing_happened(service, engine)


def test_a_plan_of_a_released_commit_touches_nothing(once: First) -> None:
    """It says that it is released; a tag that is missing stays so."""
    output_of(["docker", "rmi", f"{once.line['repository']}:0.1.0"])
    ran = once.service.nox("release", "--", "--plan")
    assert ran.status == 0, ran.all
    assert ran.document()["recorded"]["digest"] == once.line["digest"]
    assert output_of(["docker", "images", "--quiet", f"{once.line['repository']}:0.1.0"]) == ""
    assert released(once.service.nox("release"))[0] == once.line[0]
    assert output_of(["docker", "images", "--quiet", f"{once.line['repository']}:0.1.0"]) != ""


def test_an_engine_that_does_not_answer_is_named(make: Make, tmp_path: Path) -> None:
    """rc 1, and what to do about it."""
    service = make()
    ran = service.nox("release", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert ran.status == 1
    assert "none.sock" in ran.err
    assert service.records() == []


def test_a_registry_that_wants_a_login_refuses(
    make: Make, engine: Engine, locked_registry: lab.RunningRegistry, tmp_path: Path
) -> None:
    """Nothing is recorded, and the message says how to log in."""
    config = lab.docker_config(tmp_path / "docker")
    service = make(registry=f"{locked_registry.host}/acme")
    assert locked_registry.certificate is not None
    trust = {"REQUESTS_CA_BUNDLE": str(locked_registry.certificate.certificate)}
    ran = service.nox("release", DOCKER_CONFIG=str(config), **trust)
    assert ran.status == 1
    assert f"docker login {locked_registry.host}" in ran.err
    nothing_happened(service, engine)


def test_a_branch_that_is_no_ledger_is_left_alone(make: Make) -> None:
    """Somebody's branch of that name is named, and not written to."""
    service = make()
    service.git("branch", "release-ledger")
    before = service.git("rev-parse", "release-ledger")
    ran = service.nox("release")
    assert ran.status == 1
    assert "release-ledger" in ran.err
    assert service.git("rev-parse", "release-ledger") == before


def test_a_remote_that_is_gone_stops_a_release(make: Make, engine: Engine, bare_remote: Path) -> None:
    """Without the ledger's remote two releases could take one version."""
    service = make(remote=bare_remote)
    bare_remote.rename(bare_remote.with_suffix(".gone"))
    ran = service.nox("release")
    assert ran.status == 1
    assert "origin" in ran.err
    nothing_happened(service, engine)


def test_a_graph_driver_engine_releases_through_a_registry(
    make: Make, engine: Engine, graph_engine: Engine, running_registry: lab.RunningRegistry
) -> None:
    """The manifest exists only after the push; its config is the tested one."""
    lab.small_image()
    lab.copy_image(lab.SMALL_IMAGE, source=engine, target=graph_engine)
    service = make(
        registry=f"{running_registry.host}/{lab.unique()}", environ=graph_engine.command_environment()
    )
    line = released(service.nox("release"))
    (record,) = service.records()
    digest, manifest = pulled_manifest(f"{line['repository']}:0.1.0")
    assert digest == line["digest"] == record["image"]["digest"]
    stored = graph_engine.inspect(Digest(manifest["config"]["digest"]))
    assert stored is not None
    assert str(stored.id) == record["image"]["config_digest"]
    assert record["build"]["exporter"] == "graph"


def test_a_graph_driver_engine_needs_a_registry(make: Make, engine: Engine, graph_engine: Engine) -> None:
    """Its image store keeps no manifests: the message says what to configure."""
    lab.small_image()
    lab.copy_image(lab.SMALL_IMAGE, source=engine, target=graph_engine)
    service = make(environ=graph_engine.command_environment())
    ran = service.nox("release")
    assert ran.status == 1
    assert "containerd-snapshotter" in ran.err
    assert service.records() == []


def test_each_stage_is_a_session_of_its_own(make: Make) -> None:
    """It runs with what it needs, takes over what passed before it, and records nothing."""
    service = make()
    for session in ("lock", "lint", "build", "test", "smoke", "push", "check"):
        ran = service.nox(session)
        assert ran.status == 0, ran.all
        assert f"✓ {session}" in ran.err or session == "check", ran.all
    assert service.records() == []


@pytest.mark.parametrize("session", ["smoke", "push"])
def test_a_session_alone_builds_what_it_needs(make: Make, session: str) -> None:
    """In a clone where nothing ran before."""
    ran = make().nox(session)
    assert ran.status == 0, ran.all
    assert "✓ build" in ran.err
    assert f"✓ {session}" in ran.err
