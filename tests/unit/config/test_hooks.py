"""Hooks and webhooks of the configuration."""

from __future__ import annotations

import pytest

from tests.unit.config.written import MINIMAL, problems, service

HOOK = '[tool.release.hooks.a]\ncommand = ["true"]\n'


def test_a_hook_has_a_minute_and_warns() -> None:
    """All that must be said is when and what."""
    hook = service(f'{HOOK}on = ["after_deploy"]\n').hooks["a"]
    assert (hook.timeout, hook.on_failure, hook.environments) == (60_000, "warn", None)


@pytest.mark.parametrize(
    ("keys", "path", "found"),
    [
        ('on = ["after_deploy"]\non_failure = "stop"', "hooks.a", "or after_deploy"),
        ("on = []", "hooks.a.on", "at least 1"),
        ('on = ["before_lunch"]', "hooks.a.on[0]", "before_deploy"),
        ('on = ["failure"]\nenvironments = ["x"]', "", "there is no environment x"),
        ('on = ["failure"]\nenvironments = []', "hooks.a.environments", "write at least 1 value"),
    ],
)
def test_what_makes_no_sense_is_refused(keys: str, path: str, found: str) -> None:
    """At its key."""
    told = problems(f"{MINIMAL}{HOOK}{keys}\n")
    assert found in told[f"tool.release.{path}".rstrip(".")]
    assert len(told) == 1
