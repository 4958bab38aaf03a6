"""Numbers of containers that serve, compared with those that should, process by process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from release.deploy.core.instance import Instance, InstanceSet
from release.deploy.core.place import describe
from release.runspec import RunSpec


def wanted_by(spec: RunSpec, ours: InstanceSet) -> dict[str, int]:
    """Return the number of containers that should serve, by process. An autoscaler's number wins."""
    return {name: ours.scaled.get(name, each.replicas) for name, each in spec.every.items()}


def count_differences(ours: InstanceSet, wanted: Mapping[str, int]) -> Iterator[str]:
    """Return the processes whose number of serving containers is wrong."""
    for name in dict.fromkeys([*wanted, *(each.process for each in ours.running)]):
        there, should = _of_process(ours, name), wanted.get(name, 0)
        if len(there) != should:
            noun = "container serves" if len(there) == 1 else "containers serve"
            about = f"{name}: " if name else ""
            yield f"{about}{len(there)} {noun}, but {should} should: {describe(there)}"


def too_many(ours: InstanceSet, wanted: Mapping[str, int]) -> list[Instance]:
    """Return the serving containers that are more than wanted."""
    kept = [each for name, count in wanted.items() for each in _of_process(ours, name)[:count]]
    return [each for each in ours.running if each not in kept]


def _of_process(ours: InstanceSet, name: str) -> list[Instance]:
    return [each for each in ours.running if each.process == name]


def each_described(instances: Iterable[Instance]) -> tuple[str, ...]:
    """Return a short text for each container."""
    return tuple(describe([instance]) for instance in instances)


def unique(*parts: Iterable[str]) -> tuple[str, ...]:
    """Return the texts of all parts, each once and in their order."""
    return tuple(dict.fromkeys(chain(*parts)))
