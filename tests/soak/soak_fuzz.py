"""Many inputs for each parser of what comes from outside; RELEASE_FUZZ_SEED repeats a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import PARSERS, fuzz

EXAMPLES = 20_000


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_raises_its_own_errors_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the bytes are."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    fuzz(PARSERS[name], EXAMPLES)
