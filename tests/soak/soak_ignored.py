"""Ignore files by the hundred, read by the real builder and by the rules here."""

from __future__ import annotations

import os
import random
from pathlib import Path

from tests.engine import ignored

FILES = 600


def test_hundreds_of_ignore_files_are_read_as_the_builder_reads_them(tmp_path: Path) -> None:
    """The fixed ones and generated ones. The seed is printed; RELEASE_SEED repeats it."""
    seed = int(os.environ.get("RELEASE_SEED") or random.SystemRandom().randrange(10**6))
    print(f"RELEASE_SEED={seed}")
    rules = [*ignored.FIXED, *ignored.generated(seed, FILES)]
    assert ignored.differences(tmp_path, rules) == []
