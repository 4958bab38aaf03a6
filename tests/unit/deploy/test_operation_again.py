"""What is only looked at and does not serve: how it is replaced."""

from __future__ import annotations

from dataclasses import replace

import pytest

from release.deploy.operation import carry_out
from release.errors import DeploymentFailed
from release.interruption import Interruption
from tests.unit.deploy.scene import Scene, scene

__all__ = ["scene"]


def test_what_runs_as_asked_and_does_not_serve_says_how_it_is_replaced(scene: Scene) -> None:
    """It is only looked at, so nothing was touched: the command that replaces it is written out."""
    scene.release("1.4.1")
    scene.runs("1.4.1", scene.deploy("1.4.1"))
    prepared = scene.prepared("1.4.1", "rollback")
    (kept,) = scene.engine.kept
    kept.state = replace(kept.state, status="exited")
    with pytest.raises(DeploymentFailed) as caught:
        carry_out(prepared, message="", interruption=Interruption())
    assert caught.value.exit_code == 1
    assert "`invoke rollback --to 1.4.1 --again` replaces it" in caught.value.hint
    assert scene.engine.calls == []
