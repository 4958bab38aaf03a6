"""Two images that differ only in the commit and the version that they name are one content."""

from __future__ import annotations

import json
from typing import Any

from release.chain.checked.identity import hash_image_content
from release.chain.plan import Options, Plan, make_plan
from release.values import replace
from release.versioning.version import Request
from tests.unit.chain.test_plan import COMMIT, SERVICE, facts

OTHER = "b" * 40


def plan(commit: str, version: str) -> Plan:
    made = make_plan(
        SERVICE, facts(), Options(request=Request.parse(version=version, bump=None)), several=False
    )
    return replace(made, commit=replace(COMMIT, id=commit))


def told(commit: str, version: str, **changes: Any) -> str:
    labels = {"org.opencontainers.image.revision": commit, "org.opencontainers.image.version": version}
    config = {"Env": [f"COMMIT={commit}", f"NAME=api@{version}", "A=b"], "Labels": {**labels, "own": "x"}}
    about = {"Config": config, "RootFS": {"Layers": ["sha256:1"]}, "Os": "linux", "Architecture": "amd64"}
    return json.dumps([{**about, "Id": commit, **changes}, [{"CreatedBy": commit}]])


def test_another_commit_and_version_of_one_content_are_equal() -> None:
    """As of a pull request and its merge."""
    first = hash_image_content(plan(COMMIT.id, "1.2.0"), told(COMMIT.id, "1.2.0"))
    assert first == hash_image_content(plan(OTHER, "1.3.0"), told(OTHER, "1.3.0"))


def test_all_else_makes_another_content() -> None:
    """A layer, a setting, a label of the service, the platform; or a commit that is not this one's."""
    mine = plan(COMMIT.id, "1.2.0")
    about = json.loads(told(COMMIT.id, "1.2.0"))[0]["Config"]
    others = [
        told(COMMIT.id, "1.2.0", RootFS={"Layers": ["sha256:2"]}),
        told(COMMIT.id, "1.2.0", Config={**about, "User": "0"}),
        told(COMMIT.id, "1.2.0", Config={**about, "Labels": {**about["Labels"], "own": "y"}}),
        told(COMMIT.id, "1.2.0", Architecture="arm64"),
        told(OTHER, "1.2.0"),
    ]
    assert hash_image_content(mine, told(COMMIT.id, "1.2.0")) not in {
        hash_image_content(mine, each) for each in others
    }
