"""Operations on what runs: the choice of a process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from release.deploy.execution.operate import _of_process
from release.errors import UsageError


@pytest.mark.parametrize("what", ["run", "exec"])
def test_a_command_without_a_process_is_told_every_process(what: Any) -> None:
    """The first one by its name may be the one that must not run twice."""
    live: Any = SimpleNamespace()
    with pytest.raises(UsageError) as caught:
        _of_process(live, "run a command", (), None, what, {"web", "beat", "worker"})
    assert caught.value.hint == "use --process, one of: beat, web, worker"
