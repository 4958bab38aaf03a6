"""Operations on the containers of one engine: the evidence of a start and of a restart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from release.deploy.core.instance import Instance
from release.deploy.core.operations import OperationContext
from release.deploy.targets.engine.instances import EngineInstances
from release.deploy.targets.engine.operations import EngineOperations
from release.errors import DeploymentFailed
from release.programs.cancellation import Cancellation
from release.values import replace
from tests.unit.deploy.fakes import FakeEngine
from tests.unit.deploy.targets.engine.test_sequence import PLACE, engine_with, processes

Act = Callable[[EngineOperations, Sequence[Instance], OperationContext], str]


@pytest.mark.parametrize("act", [EngineOperations.start, EngineOperations.restart])
def test_the_evidence_names_each_process(act: Act) -> None:
    """Not only the last one."""
    engine = engine_with("web", "worker")
    assert done(act, engine) == "web: health check healthy; worker: health check healthy"
    assert done(act, engine_with("")) == "health check healthy"


def test_a_start_that_fails_names_the_process() -> None:
    """As the failure of a deployment does."""
    engine = engine_with("web", starting=lambda kept: replace(kept.state, status="exited", exit_code=7))
    with pytest.raises(DeploymentFailed) as caught:
        done(EngineOperations.restart, engine)
    assert caught.value.found == "web: the container ended: exit status 7"


def done(act: Act, engine: FakeEngine) -> str:
    running = EngineInstances(engine=engine, place=PLACE).look().running
    context = OperationContext(
        spec=processes("web", "worker"),
        health_timeout=300,
        emit=lambda event: None,
        cancellation=Cancellation(),
    )
    return act(EngineOperations(engine=engine, place=PLACE), running, context)
