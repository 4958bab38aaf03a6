"""A sample of the soak's fuzzing, with a printed seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import PARSERS, check, fuzz


@pytest.fixture(autouse=True)
def _no_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty configuration of Docker."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.attack(
    "Input from outside is unexpected bytes",
    "Each parser returns or raises an error of the library; thousands of inputs are tried in the soak",
)
def test_a_parser_raises_its_own_errors_alone(name: str) -> None:
    """A few inputs each; another seed in every run."""
    fuzz(PARSERS[name], 12)


@pytest.mark.parametrize("name", PARSERS)
def test_good_examples_are_read(name: str) -> None:
    """Otherwise what resembles them would be refused at once."""
    for example in PARSERS[name].examples:
        PARSERS[name].call(example)
    check(PARSERS[name], PARSERS[name].examples[0])
