"""When a plan says that the image's ENTRYPOINT is replaced."""

from __future__ import annotations

from typing import Any

import pytest

from release.deploy.planning.entrypoint_note import caution
from release.runspec import RunSpec

OLD = RunSpec(command=("serve",))
"""As a version recorded it that always kept the ENTRYPOINT."""


def spec(**settings: Any) -> RunSpec:
    return RunSpec(command=("serve",), **settings)


def test_a_command_that_was_given_to_the_entrypoint_is_told() -> None:
    """With the line that goes on as before."""
    assert 'entrypoint = "keep"' in caution(OLD, spec(entrypoint="replace"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, spec(entrypoint="replace")),
        (RunSpec(), spec(entrypoint="replace")),
        (OLD, OLD),
        (OLD, RunSpec()),
        (spec(entrypoint="replace"), spec(entrypoint="replace")),
    ],
    ids=["first", "no command before", "kept", "no command", "replaced before"],
)
def test_nothing_is_told_where_nothing_changes(old: RunSpec | None, new: RunSpec) -> None:
    """A rollback brings the recorded settings, whichever they are."""
    assert caution(old, new) == ""
