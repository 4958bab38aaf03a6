"""How long a deployment is watched."""

from __future__ import annotations

import pytest

from release.deploy.core import watch_time
from release.runspec import RunSpec


@pytest.fixture(autouse=True)
def _as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of this folder watch nothing; this one asks how long it is."""
    monkeypatch.setattr(watch_time, "DEFAULT", 10_000)


@pytest.mark.parametrize(
    ("spec", "reason", "milliseconds"),
    [
        (RunSpec(), "promote", 10_000),
        (RunSpec(watch=0), "promote", 0),
        (RunSpec(watch=30_000), "promote", 30_000),
        (RunSpec(), "rollback", 0),
        (RunSpec(watch=30_000), "rollback", 0),
    ],
)
def test_a_deployment_is_watched_and_a_rollback_is_not(spec: RunSpec, reason: str, milliseconds: int) -> None:
    """Ten seconds, unless the settings say otherwise."""
    assert watch_time.wanted(spec, reason) == milliseconds
    assert watch_time.longest(spec) >= milliseconds


def test_the_plan_has_words_for_it() -> None:
    """None where nothing is watched."""
    assert watch_time.words(10_000) == "10s after it is healthy; what ran before is kept until then"
    assert watch_time.words(0) == ""
