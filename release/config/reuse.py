"""The table that says whose results of gates count on another machine."""

from __future__ import annotations

from release.config.kinds import RelativePath
from release.scalars import Duration, Value


class Reuse(Value):
    """`[tool.release.reuse]`: gates that a check of the same tree passed on another machine."""

    trusted_signers: RelativePath | None = None
    """Keys that may sign the result of a check: a committed file with ssh keys in git's format of allowed
    signers; absent: a release runs all gates itself."""
    max_age: Duration = 86_400_000
    """Time since a gate passed, after which a release runs it again."""
