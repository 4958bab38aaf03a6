"""What is said of a failed build; tests/engine/chain/test_broken_builds.py follows the hints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from release.chain.building import failure as module
from release.chain.building.failure import FailedBuild, explain_build_failure
from release.chain.building.progress import parse_plain_progress
from release.programs.process import Command

DOCKERFILE = b"FROM a AS build\nfrom --platform=linux/amd64 b as Runtime\n"
PLACE = f"Dockerfile:7\n{'-' * 20}\n"
WELL = "#1 [internal] load remote build context\n#1 DONE 0.0s\n"


class Said:
    """What is said of the end of a build, in a service of this kind."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch = folder, patch

    def __call__(
        self, output: str, *, target: str = "", files: Sequence[str] = (), committed: Sequence[str] = ()
    ) -> tuple[str, str]:
        """What is found, and the hint."""
        for name in ("Dockerfile", *files):
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).touch()
        self.patch.setattr(module, "Committed", lambda *_: SimpleNamespace(leaves=dict.fromkeys(committed)))
        words = ("--target", target) if target else ()
        failure = FailedBuild(
            stage="build",
            progress=parse_plain_progress(output),
            command=Command(argv=("docker", "buildx", "build", *words, str(self.folder))),
            attempts=3,
            image_exists=False,
            hint="",
        )
        commit, service = SimpleNamespace(id="c" * 40), SimpleNamespace(context="api")
        ctx: Any = SimpleNamespace(source=None, plan=SimpleNamespace(commit=commit, service=service))
        return explain_build_failure(ctx, failure)


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.setattr(module, "read_committed_dockerfile", lambda *_: DOCKERFILE)
    monkeypatch.setattr(module, "read_ignore_file", lambda *_: ("api.Dockerfile.dockerignore", b""))
    return Said(tmp_path, monkeypatch)


def failing(instruction: str) -> str:
    return f"{WELL}#5 [runtime  5/11] {instruction}\n#5 ERROR: x\n{PLACE}"


@pytest.mark.parametrize(
    ("instruction", "files", "absent"),
    [
        ("COPY a.txt /srv/", (), "a.txt"),
        ("COPY --chown=1:1 ./a /b.txt /srv/", ("b.txt",), "a"),
        ('ADD ["a b", "/srv/"]', (), ""),
        ("COPY a.txt /srv/", ("a.txt",), ""),
        ("COPY folder /srv/", ("folder/x",), ""),
        ("COPY . /srv/", (), ""),
        ("COPY a*.txt /srv/", (), ""),
        ("COPY --from=build /a /b", (), ""),
        ("ADD https://example.org/a /b", (), ""),
        ("COPY <<EOF /b", (), ""),
        ("COPY 'a /b", (), ""),
        ("RUN a b", (), ""),
    ],
)
def test_a_missing_source_is_named_where_it_is_certain(
    said: Said, instruction: str, files: Sequence[str], absent: str
) -> None:
    """It is looked for in what was sent; a pattern or another stage may be anything."""
    found, hint = said(failing(instruction), files=files)
    if absent:
        assert found == f"the image could not be built: the context does not contain {absent}"
        assert hint == f"commit api/{absent}; or correct line 7 of Dockerfile"
    elif "a b" not in instruction:
        assert (found, hint) == (
            f"the image could not be built: `{instruction}` failed",
            "correct line 7 of Dockerfile",
        )


def test_a_source_that_is_committed_was_left_out(said: Said) -> None:
    """By the ignore file, which decides what is sent."""
    _, hint = said(failing("COPY data /srv/"), committed=("data/x",))
    assert (
        hint == "remove data from api.Dockerfile.dockerignore, because the file is committed; "
        "or correct line 7 of Dockerfile"
    )


def test_a_stage_that_does_not_exist_is_told_with_those_that_do(said: Said) -> None:
    """Names of stages know no case."""
    found, hint = said(f"{WELL}ERROR: x\n", target="test")
    assert found == "the image could not be built: Dockerfile has no stage 'test'"
    assert hint == "set `build.target` to one of its stages: build, runtime"
    assert said(f"{WELL}ERROR: x\n", target="runtime") == ("the image could not be built", "")


@pytest.mark.parametrize(
    "output",
    [
        failing("RUN make"),
        failing("COPY a /b"),
        f"{WELL}{PLACE}ERROR: unknown instruction\n",
        f"{WELL}ERROR: target stage could not be found\n",
        f"{WELL}#2 resolve image config for docker-image://x/y:1\n#2 ERROR: x\n{PLACE}",
        f"{WELL}#2 [internal] load metadata for x:1\n#2 ERROR: x\n{PLACE}",
        "#1 [internal] load remote build context\n#1 ERROR: x\n",
        "unknown flag: --x\n",
    ],
)
def test_nobody_is_sent_to_the_cache(said: Said, output: str) -> None:
    """Nothing here tells that it is damaged; after a build that was broken off it is left out by itself."""
    assert "cache" not in " ".join(said(output, target="nope"))


def test_a_refused_line_is_named(said: Said) -> None:
    """BuildKit has shown the place and no step failed."""
    found, hint = said(f"{WELL}{PLACE}ERROR: unknown instruction: RUNN\n")
    assert found == "the image could not be built: BuildKit refuses line 7 of Dockerfile"
    assert hint == "correct line 7 of Dockerfile"
