"""Output of containers that failed: what is kept, and what is not taken for it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from release.deploy.core.place import SERVING, Place
from release.deploy.targets.engine import failed_output
from release.deploy.targets.engine.failed_output import CapturedOutput, collect, keep_on_failure
from release.errors import DeploymentFailed
from release.events import Emit, Event, Notice
from release.secrets.redact import Mask, Redacted
from tests.unit.deploy.fakes import FakeEngine, state

PLACE = Place(service="api", environment="production")
NAME = "release-failed-api-production"


class Reading(FakeEngine):
    """Gives files back."""

    def read_file(self, container: str, path: str, *, limit: int = 0) -> bytes | None:  # type: ignore[override]
        return next((file.content for file in self._get(container).spec.files if file.path == path), None)


@dataclass
class FakeTools:
    engine: Reading
    emit: Emit
    mask: Mask = field(default_factory=lambda: Mask([Redacted("canary")]))
    written: list[CapturedOutput] = field(default_factory=list)


def tools(said: list[Event]) -> FakeTools:
    made = FakeTools(engine=Reading(), emit=said.append)
    labels = PLACE.labels(SERVING) | {"release.deployment": "0123456789ab", "release.version": "0.2.0"}
    kept = made.engine.add(state("api-production-0123456789ab", labels=labels))
    kept.logs = ("begin", "the token is canary")
    return made


def fail(tools: FakeTools) -> None:
    with keep_on_failure(tools, PLACE):
        for _ in range(2):
            collect(tools, tools.engine.kept[0].state)
        raise DeploymentFailed("deploy", "it failed")


def test_the_output_of_a_failure_is_kept_without_secrets() -> None:
    """Once, though the removal is tried twice; the notice says how to see it."""
    said: list[Event] = []
    made = tools(said)
    with pytest.raises(DeploymentFailed):
        fail(made)
    found = failed_output.read(made.engine, PLACE)
    assert found is not None
    assert (found.deployment, found.version) == ("0123456789ab", "0.2.0")
    assert [line.text for line in found.lines] == ["begin", "the token is ***"]
    (notice,) = said
    assert isinstance(notice, Notice)
    assert "logs --failed" in notice.text


def test_the_next_good_end_forgets_it() -> None:
    """And nothing of somebody else's with the same name is removed or read."""
    made = tools([])
    with pytest.raises(DeploymentFailed):
        fail(made)
    assert NAME in made.engine.names()
    with keep_on_failure(made, PLACE):
        pass
    assert NAME not in made.engine.names()
    made.engine.add(state(NAME, status="running"))
    with keep_on_failure(made, PLACE):
        pass
    assert NAME in made.engine.names()
    assert failed_output.read(made.engine, PLACE) is None
