"""Commands of an operator, as the ledger keeps them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from release.deploy.core.operations import OperationContext
from release.deploy.execution import one_off
from release.deploy.execution.one_off import OneOffRequest, recorded_words
from release.errors import ReleaseError
from release.programs.cancellation import Cancellation
from release.programs.process import Command
from release.runspec import RunSpec
from release.secrets.redact import Mask, Redacted


@pytest.mark.parametrize(
    ("words", "recorded"),
    [
        (["python", "-m", "app.check", "a  b"], ["python", "-m", "app.check", "a  b"]),
        (["psql", "--password", "canary"], ["psql", "--password", "***"]),
        (["app", "--api-token=canary", "x"], ["app", "--api-token=***", "x"]),
        (["env", "DB_PASSWORD=canary", "app"], ["env", "DB_PASSWORD=***", "app"]),
        (["app", "postgres://ada:canary@db/x"], ["app", "***"]),
        (["app", "--url", "known-value"], ["app", "--url", "***"]),
        (["app", "--level=debug"], ["app", "--level=debug"]),
    ],
)
def test_arguments_that_look_like_secrets_are_not_recorded(words: list[str], recorded: list[str]) -> None:
    """By the option before it, by its own name, by its look, and because it is a secret of the service."""
    assert list(recorded_words(words, Mask([Redacted("known-value")]))) == recorded


def test_a_command_that_takes_too_long_is_named_and_may_still_run() -> None:
    """Not the program that passes it on; a secret is left out."""
    execution: Any = lambda *_, **__: Command(argv=("sleep", "60"))  # noqa: E731
    found: Any = SimpleNamespace(
        instances=[SimpleNamespace(name="api-production-web")],
        live=SimpleNamespace(target=SimpleNamespace(operations=SimpleNamespace(execution=execution))),
        attempted="run a command of api in production",
    )
    asked = OneOffRequest(
        found=found, command=("app", "--token=canary", "fix"), timeout=50, has_terminal=False
    )
    context = OperationContext(
        spec=RunSpec(), health_timeout=1, emit=cast(Any, [].append), cancellation=Cancellation()
    )
    with pytest.raises(ReleaseError) as caught:
        one_off.execute(asked, context)
    text = "`app --token=*** fix`: it still ran after 0.05 s, and may still run in api-production-web"
    assert (caught.value.attempted, caught.value.found) == (found.attempted, text)
