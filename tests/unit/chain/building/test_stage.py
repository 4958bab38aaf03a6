"""The build's command line, compared as data."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from release.chain.building import buildkit as stage
from release.chain.building import command as making
from release.chain.building.command import build_command, source_policy
from release.chain.building.progress import parse_plain_progress
from release.chain.building.selection import BuildContext
from release.chain.building.stage import resolved_bases
from release.chain.plan import Options, Plan, make_plan
from release.errors import EngineUnreachable, GateFailed
from release.events import Event, Notice
from release.programs.process import Command
from tests.unit.chain.test_pipeline import ctx
from tests.unit.chain.test_plan import COMMIT, configured, facts


def plan(**table: Any) -> Plan:
    return make_plan(configured(**table).service("api"), facts(), Options(no_cache=True), several=False)


def words(made: Plan, target: str | None) -> tuple[str, ...]:
    context = BuildContext(folder=Path("/run/context/0"), dockerfile=Path("/run/build/Dockerfile"))
    command = build_command(
        made, target=target, name=made.candidate, metadata=Path("m.json"), context=context
    )
    return command.argv


def test_the_written_folder_is_the_context() -> None:
    """BuildKit never reads the working copy, and the Dockerfile is not in the context."""
    found = words(plan(), None)
    assert found[:3] == ("docker", "buildx", "build")
    assert (found[-1], found[found.index("--file") + 1]) == ("/run/context/0", "/run/build/Dockerfile")


def test_attestations_are_off() -> None:
    """A time-stamped attestation would give every build another digest."""
    assert {"--provenance=false", "--sbom=false"} <= set(words(plan(), None))


def test_arguments_and_labels_are_sorted_pairs() -> None:
    """The command line of a plan is always the same words."""
    found = words(plan(build={"args": {"FLAVOUR": "x y"}}), None)
    arguments = [found[i + 1] for i, word in enumerate(found) if word == "--build-arg"]
    assert arguments == [
        f"COMMIT={COMMIT.id}",
        "FLAVOUR=x y",
        "SOURCE_DATE_EPOCH=315532800",
        "VERSION=0.1.0",
    ]
    assert "org.opencontainers.image.version=0.1.0" in found


def test_target_platform_and_no_cache_are_said_only_when_asked() -> None:
    """Absent settings leave no option behind."""
    found = words(plan(build={"platform": "linux/arm64"}), "runtime")
    assert found[found.index("--target") + 1] == "runtime"
    assert found[found.index("--platform") + 1] == "linux/arm64"
    assert "--no-cache" in found
    assert "--target" not in words(plan(), None)


def test_bases_are_those_that_buildkit_resolved() -> None:
    """Each base once, by digest, however many stages use it."""
    digest = "sha256:" + "1" * 64
    line = f"#4 [build 1/2] FROM docker.io/library/python:3.13-slim@{digest}"
    forged = f"#6 [build 2/2] RUN echo FROM evil@{digest}\n#6 0.1 FROM evil@{digest}\n"
    (base,) = resolved_bases(
        parse_plain_progress(f"{line}\n{line} done\n#5 [runtime 1/1] FROM scratch\n{forged}"), {}
    )
    assert (base.reference, base.digest) == ("docker.io/library/python:3.13-slim", digest)


def test_recorded_bases_are_taken_by_their_digests() -> None:
    """One rule of BuildKit for each, and none changes what is not recorded."""
    digest = f"sha256:{'1' * 64}"
    policy = source_policy(
        {"docker.io/library/python:3.13-slim": f"docker.io/library/python:3.13-slim@{digest}"}
    )
    assert policy == {
        "rules": [
            {
                "action": "CONVERT",
                "selector": {"identifier": "docker-image://docker.io/library/python:3.13-slim"},
                "updates": {"identifier": f"docker-image://docker.io/library/python:3.13-slim@{digest}"},
            }
        ]
    }
    assert source_policy({}) == {"rules": []}


COUNTS = 'echo built >> "$0"; printf "$2"; test $(wc -l < "$0") -ge "$1"'
"""Fails until it has run so often, saying the same each time."""
WRONG = "#5 [2/2] RUN false\\n#5 ERROR: x\\n"


def builds(
    tmp_path: Path, succeeds_at: int, inspect: Callable[[object], object], said: str = WRONG
) -> tuple[int, str]:
    """How often a build is tried that succeeds at that attempt; and why it was given up."""
    log = tmp_path / "builds"
    command = Command(argv=("sh", "-c", COUNTS, str(log), str(succeeds_at), said))
    engine: Any = SimpleNamespace(inspect=inspect)
    made = ctx(tmp_path, [], open_engine=lambda: engine)
    found = ""
    try:
        stage.run_buildkit(made, "build", plan().candidate, command)
    except GateFailed as error:
        found = error.found
    return len(log.read_text().splitlines()), found


def test_a_build_that_collided_with_another_is_repeated(tmp_path: Path) -> None:
    """It failed, and the engine has the image: another run of the commit named it at the same moment."""
    assert builds(tmp_path, 3, lambda _: "an image") == (3, "")


def test_a_build_that_goes_on_failing_is_given_up(tmp_path: Path) -> None:
    """The image is of an earlier build; this one fails every time."""
    assert builds(tmp_path, 4, lambda _: "an image") == (
        3,
        "the image could not be built: `RUN false` failed",
    )


def test_a_build_that_fails_is_not_repeated(tmp_path: Path) -> None:
    """The Dockerfile is wrong: once is enough."""
    assert builds(tmp_path, 2, lambda _: None) == (1, "the image could not be built: `RUN false` failed")


@pytest.mark.parametrize(
    ("noted", "tries"),
    [(["started"], 2), (["started", "stopped"], 2), (["started", "failed"], 1), (["started", "passed"], 1)],
)
def test_a_build_that_fails_after_one_that_was_broken_off_is_made_anew(
    tmp_path: Path, noted: list[str], tries: int
) -> None:
    """Whoever broke that off may have left a step that fails each time; once more is enough."""
    before = tmp_path / ".release/runs/20200101T000000-00000000"
    before.mkdir(parents=True)
    notes = [json.dumps({"at": "", "stage": "build", "event": event}) for event in noted]
    (before / "stages.jsonl").write_text("\n".join([*notes, '{"at": ']))
    assert builds(tmp_path, 9, lambda _: None) == (tries, "the image could not be built: `RUN false` failed")


def test_a_build_that_fails_after_the_engine_broke_it_off_is_made_anew(tmp_path: Path) -> None:
    """The attempt before may have left such a step, too."""
    said = "#1 [internal] load remote build context\\n#1 ERROR: x\\n"
    once = f'echo built >> "$0"; test $(wc -l < "$0") -gt 1 && printf "{WRONG}" || printf "{said}"; false'
    log = tmp_path / "builds"
    engine: Any = SimpleNamespace(inspect=lambda _: None)
    made = ctx(tmp_path, [], open_engine=lambda: engine)
    with pytest.raises(GateFailed, match="the image could not be built"):
        stage.run_buildkit(made, "build", plan().candidate, Command(argv=("sh", "-c", once, str(log))))
    assert len(log.read_text().splitlines()) == 3


def test_anew_is_without_the_cache() -> None:
    """Said once."""
    made = stage._add_no_cache_option(Command(argv=("docker", "buildx", "build", "-")))
    assert made.argv == ("docker", "buildx", "build", "--no-cache", "-")
    assert stage._add_no_cache_option(made) == made


def test_a_build_that_the_engine_broke_off_is_repeated(tmp_path: Path) -> None:
    """Nothing of it is the Dockerfile's fault: an overloaded engine gets more time."""
    broken = "#1 [internal] load remote build context\\n#1 ERROR: x\\n"
    assert builds(tmp_path, 3, lambda _: None, broken) == (3, "")


def test_a_base_that_could_not_be_looked_up_is_looked_up_again(tmp_path: Path) -> None:
    """Its registry was in trouble for a moment; or the name is wrong, which is said in the end."""
    lost = "#2 [internal] load metadata for x:1\\n#2 ERROR: 503\\nDockerfile:1\\n--------------------\\n"
    (tmp_path / "once").mkdir()
    assert builds(tmp_path / "once", 2, lambda _: None, lost) == (2, "")
    tried, found = builds(tmp_path, 4, lambda _: None, lost)
    assert tried == 3
    assert found == "the image could not be built: the lookup of a base image failed: x:1"


@pytest.mark.parametrize("stands", ["an image", None])
def test_what_did_not_begin_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stands: object
) -> None:
    """The engine answers, and buildx has said what is wrong, as an unknown flag; or there is none at all."""
    monkeypatch.setattr(stage, "buildx_version", lambda: "v0.1")
    assert builds(tmp_path, 4, lambda _: stands, "unknown flag") == (1, "BuildKit did not start")


def test_a_docker_without_buildx_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, with what to install."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexit 1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    tried, found = builds(tmp_path, 4, lambda _: None, "docker: unknown command")
    assert (tried, found) == (1, "docker has no buildx plugin, which builds the image")


def test_an_engine_that_goes_on_breaking_off_is_named(tmp_path: Path) -> None:
    """Three times are enough, and the message does not send anybody to the Dockerfile."""
    tried, found = builds(tmp_path, 4, lambda _: None, "#1 [internal] load remote build context\\n")
    assert tried == 3
    assert found == "the image could not be built: the engine ended the build 3 times"


def test_a_build_during_which_the_engine_restarts_is_repeated(tmp_path: Path) -> None:
    """It does not answer at first; a little later it does."""
    answers = [EngineUnreachable("inspect", "no program listens there"), None]

    def inspect(_: object) -> None:
        if (answer := answers.pop(0)) is not None:
            raise answer

    broken = "#1 [internal] load remote build context\\n"
    assert builds(tmp_path, 3, inspect, broken) == (3, "")


def test_the_source_policy_is_made_once_for_all_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are made beside each other: none reads what the other is still writing."""
    asked: list[object] = []

    def places(_: object) -> dict[str, str]:
        asked.append(1)
        time.sleep(0.2)
        return {"a:1": "b:1"}

    monkeypatch.setattr(making, "_base_image_sources", places)
    engine: Any = SimpleNamespace(command_environment=dict)
    made = ctx(tmp_path, [], open_engine=lambda: engine)
    with ThreadPoolExecutor(max_workers=2) as pool:
        first, second = pool.map(lambda _: making.build_environment(made), range(2))
    assert first == second
    assert len(asked) == 1


def test_stages_are_replaced_by_images_of_the_engine() -> None:
    """One option for each."""
    image = plan().candidate
    assert making.stage_options({"runtime": image}) == ("--build-context", f"runtime=docker-image://{image}")


CACHED = """\
echo "$@" >> "$0"
echo "#4 importing cache manifest from r.example/a:c"; echo "#4 DONE 0.1s"
case "$*" in *--cache-from*) printf '#5 [2/2] COPY a b\\n#5 ERROR: not found\\n'; exit 1;; esac
"""
"""A builder that fails as long as it reads a cache."""


def test_a_cache_with_a_hole_does_not_fail_the_build(tmp_path: Path) -> None:
    """The build is done once more without it, and the run says so."""
    words, events = tmp_path / "words", list[Event]()
    options = ("--cache-from", "type=registry,ref=r.example/a:c", "--tag", "x")
    command = Command(argv=("sh", "-c", CACHED, str(words), *options))
    engine: Any = SimpleNamespace(inspect=lambda _: None)
    stage.run_buildkit(ctx(tmp_path, events, open_engine=lambda: engine), "build", plan().candidate, command)
    assert words.read_text().splitlines() == [" ".join(options), "--tag x"]
    assert any(isinstance(event, Notice) and "built without it" in event.text for event in events)
