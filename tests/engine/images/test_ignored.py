"""Ignore files, as the real builder and the rules here read them: a sample of what the soak compares."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from release.images.dockerignore import BadPattern, Ignore
from tests.engine import ignored

SAMPLE = 24
REFUSED = 4


def test_the_rules_leave_in_what_the_builder_does(tmp_path: Path) -> None:
    """Each file and folder. The seed is printed; RELEASE_SEED repeats it."""
    seed = int(os.environ.get("RELEASE_SEED") or random.SystemRandom().randrange(10**6))
    print(f"RELEASE_SEED={seed}")
    rules = [*random.Random(seed).sample(ignored.FIXED, SAMPLE // 2), *ignored.generated(seed, SAMPLE)]
    assert ignored.differences(tmp_path, rules, refused=REFUSED) == []


@pytest.mark.parametrize("rule", [b"[\n", b"!\n", b"a\tb\n", b"x*[\n"])
def test_the_builder_refuses_what_is_refused_here(tmp_path: Path, rule: bytes) -> None:
    """An example of each reason."""
    with pytest.raises(BadPattern):
        Ignore(rule).kept(ignored.FILES)
    assert ignored.is_refused(tmp_path, rule)
