"""The words of the lock gate."""

from __future__ import annotations

from release.chain.lockgate.gate import _uv_failure
from release.errors import CommandFailed


def test_a_lock_that_could_not_be_checked_sends_to_uvs_own_words() -> None:
    """They stand above, and the command shows them again."""
    failed = _uv_failure("uv.lock", CommandFailed(("uv", "lock"), 2, ["no such index"]))
    assert "could not be checked" in failed.found
    assert "`uv lock --check`" in failed.hint
