"""The build's command line, compared as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from release.chain.build import build_command, resolved_bases, source_policy
from release.chain.plan import Options, Plan, make_plan
from tests.unit.chain.test_plan import COMMIT, configured, facts


def plan(**table: Any) -> Plan:
    return make_plan(configured(**table).service("api"), facts(), Options(no_cache=True), several=False)


def words(made: Plan, target: str | None) -> tuple[str, ...]:
    command = build_command(
        made, target=target, name=made.candidate, metadata=Path("m.json"), archive=Path("c.tar")
    )
    assert command.stdin == Path("c.tar")
    return command.argv


def test_the_archive_on_standard_input_is_the_context() -> None:
    """BuildKit never reads the working copy."""
    assert words(plan(), None)[:3] == ("docker", "buildx", "build")
    assert words(plan(), None)[-1] == "-"


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
    (base,) = resolved_bases(f"{line}\n{line} done\n#5 [runtime 1/1] FROM scratch\n", {})
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
