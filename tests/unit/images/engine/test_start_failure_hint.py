"""The hint for a container whose program is not in the image."""

from __future__ import annotations

from typing import Any

import pytest

from release.images.engine.start_failure_hint import program_hint


@pytest.mark.parametrize("status", [126, 127])
def test_a_program_that_is_not_there_is_named(status: int) -> None:
    """With the setting that keeps the ENTRYPOINT."""
    hint = program_hint({"State": {"ExitCode": status}, "Path": "serve", "Args": ["--port", "80"]})
    assert hint.startswith("`serve --port 80` does not begin with a program of the image")
    assert 'entrypoint = "keep"' in hint


@pytest.mark.parametrize(
    "about",
    [
        {"State": {"ExitCode": 128}, "Path": "serve"},
        {"State": {"ExitCode": 127}, "Path": ""},
        {"State": {}},
        {},
    ],
)
def test_other_trouble_has_other_hints(about: dict[str, Any]) -> None:
    """As a port that is in use, or a mount that is missing."""
    assert program_hint(about) == ""
