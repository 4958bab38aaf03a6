"""Numbers of containers: as many of each process as the record says."""

from __future__ import annotations

from release.deploy.core.instance import InstanceSet
from release.deploy.core.place import SERVING, Place
from release.deploy.inspection.replica_counts import count_differences, too_many, wanted_by
from release.deploy.targets.engine.instances import instance_of
from release.runspec import ProcessSpec, RunSpec
from tests.unit.deploy.fakes import state

PLACE = Place(service="api", environment="production")
SPEC = RunSpec(
    processes=(
        ProcessSpec(name="web", settings=RunSpec(replicas=2)),
        ProcessSpec(name="beat", settings=RunSpec()),
    )
)

NOTHING = InstanceSet(running=(), stopped=())


def serving(*names: str) -> InstanceSet:
    """Containers of these processes, each with a name of its own."""
    made = [
        instance_of(state(f"{name or 'only'}-{number}", labels=PLACE.at(name).labels(SERVING)))
        for number, name in enumerate(names)
    ]
    return InstanceSet(running=tuple(made), stopped=())


def test_as_many_as_recorded_are_no_difference() -> None:
    """Of each process, and of the only one."""
    assert wanted_by(SPEC, NOTHING) == {"web": 2, "beat": 1}
    assert list(count_differences(serving("web", "web", "beat"), wanted_by(SPEC, NOTHING))) == []
    assert list(count_differences(serving(""), wanted_by(RunSpec(), NOTHING))) == []


def test_an_autoscaler_s_number_is_wanted_instead_of_the_recorded_one() -> None:
    """For its process alone."""
    scaled = InstanceSet(running=(), stopped=(), scaled={"web": 5})
    assert wanted_by(SPEC, scaled) == {"web": 5, "beat": 1}


def test_each_process_that_lacks_one_or_has_one_too_many_is_told() -> None:
    """And one that the record does not have."""
    told = list(count_differences(serving("web", "beat", "beat", "mail"), wanted_by(SPEC, NOTHING)))
    assert [text.partition(":")[0] for text in told] == ["web", "beat", "mail"]
    assert told[0].startswith("web: 1 container serves, but 2 should: web-0")
    assert told[2].startswith("mail: 1 container serves, but 0 should")
    assert next(count_differences(serving("", ""), {"": 1})).startswith(
        "2 containers serve, but 1 should: only-0"
    )


def test_those_that_are_too_many_are_left_over() -> None:
    """The first of a process are those that should serve."""
    ours = serving("beat", "web", "beat", "mail")
    assert [each.name for each in too_many(ours, wanted_by(SPEC, NOTHING))] == ["beat-2", "mail-3"]
