"""The words of the lock gate."""

from __future__ import annotations

from typing import Any

from release.chain.lockgate import uv
from release.chain.lockgate.results import Unchecked
from release.process import Completed


def test_a_lock_that_could_not_be_checked_sends_to_uvs_own_words() -> None:
    """They stand above, and the command shows them again."""
    found: Any = None
    answer = uv._failure(found, Completed(status=2, output="no such index\n"))
    assert isinstance(answer, Unchecked)
    assert answer.tail == ("no such index",)
    assert "`uv lock --check`" in answer.hint
