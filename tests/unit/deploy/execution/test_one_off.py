"""Commands of an operator, as the ledger keeps them."""

from __future__ import annotations

import pytest

from release.deploy.execution.one_off import recorded_words
from release.redact import Mask, Redacted


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
