"""The build context at the real builder: the files of a plain build, whole or not at all."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from release.images.engine import Engine
from tests.engine import ignored, lab
from tests.engine.chain.conftest import Make
from tests.engine.chain.test_release import nothing_happened
from tests.engine.service import DOCKERFILE, Service

POINTER: Final = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
COPIES: Final = f"FROM {lab.SMALL_IMAGE}\nCOPY . /context/\n"
ODD: Final = {name: name for name in ignored.FILES if ".git" not in name.split("/") and name != "Dockerfile"}


def image_of(service: Service) -> str:
    """The candidate of what is committed now."""
    return f"localhost/{service.name}:sha-{service.git('rev-parse', 'HEAD')}"


def content(image: str) -> dict[str, Any]:
    """Everything below /context in an image: kind, mode, owner, time and, of a file, its content."""
    script = (
        "import os, json\nfound = {}\nfor folder, folders, files in os.walk('/context'):\n"
        "  for name in (*folders, *files):\n    path = os.path.join(folder, name); s = os.lstat(path)\n"
        "    is_link = os.path.islink(path)\n"
        "    text = os.readlink(path) if is_link else open(path).read() if os.path.isfile(path) else ''\n"
        "    found[path[9:]] = (s.st_mode, s.st_uid, s.st_gid, int(s.st_mtime), text)\n"
        "print(json.dumps(found))"
    )
    argv = ("docker", "run", "--rm", "--network", "none", image, "python3", "-c", script)
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[str]:
    """The name of an image that `docker buildx build` makes; it is removed in the end."""
    name = f"localhost/{lab.unique('plain')}:1"
    yield name
    subprocess.run(("docker", "rmi", "--force", name), check=False, capture_output=True)


def built_plainly(service: Service, folder: Path, name: str, dockerfile: str) -> str:
    """The same commit in a new clone, built by hand."""
    subprocess.run(("git", "clone", "--quiet", str(service.folder), str(folder)), check=True)
    shutil.rmtree(folder / ".git")
    argv = ("docker", "buildx", "build", "--builder", "default", "--provenance=false", "--tag", name)
    subprocess.run((*argv, "--file", str(folder / dockerfile), str(folder)), check=True, capture_output=True)
    return name


@pytest.mark.parametrize(
    ("ignore", "rules"),
    [
        (".dockerignore", "**/secrets\nDockerfile\n[^a]\nonly/*\n*.md\n!README.md\nnew*\n"),
        ("docker/odd.Dockerfile.dockerignore", "*\n!app\n!docker\napp/b\n!app/b/d\n"),
    ],
)
def test_the_image_has_the_files_of_a_plain_build(
    make: Make, tmp_path: Path, plain: str, ignore: str, rules: str
) -> None:
    """Odd names, folders without files, the Dockerfile that is ignored, and its own ignore file."""
    dockerfile = "docker/odd.Dockerfile" if ignore.startswith("docker/") else "Dockerfile"
    files = {**ODD, "Dockerfile": COPIES, ".dockerignore": "app\n", dockerfile: COPIES, ignore: rules}
    service = make(files=files, build={"dockerfile": dockerfile}, test={"command": ["true"]})
    (service.folder / "link").symlink_to("app/a.py")
    (service.folder / "app" / "a.py").chmod(0o755)
    service.commit("feat: more")
    ran = service.nox("build")
    assert ran.status == 0, ran.all
    ours, theirs = (
        content(image_of(service)),
        content(built_plainly(service, tmp_path / "by-hand", plain, dockerfile)),
    )
    assert ours.keys() == theirs.keys()
    assert ("Dockerfile" in ours, "secrets/key.pem" in ours) == (False, False)
    same = {path: (mode, uid, gid, text) for path, (mode, uid, gid, _, text) in theirs.items()}
    assert {path: (mode, uid, gid, text) for path, (mode, uid, gid, _, text) in ours.items()} == same
    assert {time for _, _, _, time, _ in ours.values()} == {315532800}


def test_a_change_that_keeps_size_and_time_is_sent(make: Make) -> None:
    """BuildKit compares sizes and times with what it has from a folder of the same name."""
    service = make(
        files={"Dockerfile": COPIES, "app.py": "value = 1\n"}, build={}, test={"command": ["true"]}
    )
    found = []
    for text in ("value = 1\n", "value = 2\n", "value = 1\n"):
        service.commit("feat: value", {"app.py": text})
        assert service.nox("build").status == 0
        found.append(content(image_of(service))["app.py"][-1])
    assert found == ["value = 1\n", "value = 2\n", "value = 1\n"]


def test_a_context_that_fails_half_way_fails_the_build_alone(make: Make, engine: Engine) -> None:
    """The test stage, built at the same time, neither uses the half nor is blamed; nor do later runs."""
    service = make(files={"b/model.bin": POINTER})
    for words in (("release",), ("push",), ("smoke",)):
        ran = service.nox(*words)
        assert ran.status == 1, ran.all
        assert "b/model.bin is in Git LFS" in ran.err
        failed = [line.split()[1] for line in ran.err.splitlines() if line.endswith("failed")]
        assert failed == ["build"], ran.err
        assert "✓ build" not in ran.err
        nothing_happened(service, engine)
    assert not subprocess.run(
        ("docker", "images", "-q", image_of(service)), capture_output=True, check=True
    ).stdout
    assert not list(service.folder.glob(".release/passed/build-*"))
    assert not list(service.folder.glob(".release/runs/*/context*"))


def test_what_is_ignored_refuses_and_costs_nothing(make: Make) -> None:
    """A submodule, a pointer, and a Dockerfile that is a link."""
    service = make(
        files={".dockerignore": "vendor\nbig\n", "big/model.bin": POINTER, "docker/real": DOCKERFILE}
    )
    (service.folder / "Dockerfile").unlink()
    (service.folder / "Dockerfile").symlink_to("docker/real")
    (service.folder / "vendor" / "lib").mkdir(parents=True)
    service.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendor/lib")
    service.commit("feat: a submodule")
    ran = service.nox("check")
    assert ran.status == 0, ran.all


@pytest.mark.parametrize("base", [False, True])
@pytest.mark.attack(
    "a Dockerfile or a base image sets LABEL release.service: its containers look like those of a service",
    "an image with `release.*` labels that this library did not set is refused, and loses its name",
)
def test_an_image_with_reserved_labels_is_refused(make: Make, plain: str, base: bool) -> None:
    """Whoever runs it as something else would have it stopped and removed."""
    label = "LABEL release.service=other release.environment=production\n"
    name = lab.SMALL_IMAGE
    if base:
        lab.small_image()
        text, name = f"FROM {name}\n{label}", plain
        argv = ("docker", "buildx", "build", "--builder", "default", "--provenance=false", "--tag", name, "-")
        subprocess.run(argv, input=text, text=True, check=True, capture_output=True)
    dockerfile = f"FROM {name}\n{'' if base else label}CMD ['x']\n"
    service = make(files={"Dockerfile": dockerfile}, build={}, test={"command": ["true"]})
    ran = service.nox("build")
    assert ran.status == 1, ran.all
    assert "the image has labels that are reserved: release.environment, release.service" in ran.err
    assert not subprocess.run(
        ("docker", "images", "-q", image_of(service)), capture_output=True, check=True
    ).stdout
    assert not list(service.folder.glob(".release/passed/build-*"))


def test_a_test_stage_with_reserved_labels_is_refused(make: Make) -> None:
    """Its container would be taken for a deployment."""
    service = make(files={"Dockerfile": DOCKERFILE + "LABEL release.environment=production\n"})
    ran = service.nox("test")
    assert ran.status == 1, ran.all
    assert "the image has labels that are reserved: release.environment" in ran.err


def test_tuning_in_release_toml_builds_no_layer(make: Make) -> None:
    """The Dockerfile copies everything, and the file is not in the context."""
    service = make(
        files={"Dockerfile": f"{COPIES}CMD ['x']\n", "app.py": "1"}, build={}, test={"command": ["true"]}
    )
    settings = (service.folder / "pyproject.toml").read_text().replace("tool.release.", "")
    (service.folder / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    layers = []
    for timeout in ("10s", "20s"):
        service.commit(
            "chore: tune", {"release.toml": settings.replace('timeout = "10s"', f'timeout = "{timeout}"')}
        )
        ran = service.nox("build")
        assert ran.status == 0, ran.all
        argv = ("docker", "image", "inspect", "--format", "{{json .RootFS.Layers}}", image_of(service))
        layers.append(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    assert layers[0] == layers[1]
    assert "release.toml" not in content(image_of(service))
