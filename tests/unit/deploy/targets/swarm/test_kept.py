"""The spec that a config of the Swarm keeps."""

from __future__ import annotations

import json

import pytest

from release.deploy.targets.swarm.kept import read_kept
from release.errors import EngineError

SPEC = {"Name": "api", "TaskTemplate": {"ContainerSpec": {"StopGracePeriod": 10**13}}}


def test_a_spec_reads_back() -> None:
    """Times in nanoseconds included."""
    assert read_kept(json.dumps(SPEC)) == SPEC


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"Name": 5, "TaskTemplate": {}}',
        '{"Name": "a", "TaskTemplate": []}',
        "[" * 100_000,
        "\ud800",
    ],
    ids=["nothing", "a list", "empty", "a number", "another list", "deep", "half a character"],
)
@pytest.mark.attack(
    "A config of the Swarm with our name holds something else than a spec",
    "The spec that ran before is read within limits, and must be the spec of a service",
)
def test_something_else_is_refused(content: str) -> None:
    """With a command that helps."""
    with pytest.raises(EngineError, match="docker config"):
        read_kept(content)
