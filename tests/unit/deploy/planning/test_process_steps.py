"""Processes in a plan: which are replaced, in which order, and how long that may take."""

from __future__ import annotations

from typing import Any

from release.config import Environment
from release.deploy.core.instance import InstanceSet
from release.deploy.core.place import SERVING, Place
from release.deploy.planning.current import Current
from release.deploy.planning.process_steps import process_steps
from release.deploy.targets.engine.instances import instance_of
from release.runspec import ProcessSpec, RunSpec
from tests.unit.deploy.fakes import event, release, state

PLACE = Place(service="api", environment="production")


def spec(**grace: int) -> RunSpec:
    """Processes with these times to stop; beat is exclusive."""
    processes = [
        ProcessSpec(name=name, settings=RunSpec(stop_grace=value), exclusive=name == "beat")
        for name, value in grace.items()
    ]
    return RunSpec(processes=tuple(processes))


def current(old: RunSpec | None, *names: str) -> Current:
    """These processes run; the name of the only one is empty."""
    running = [
        instance_of(state(PLACE.at(name).container, labels=PLACE.at(name).labels(SERVING))) for name in names
    ]
    known = release("0.1.0")
    told = event(known, old) if old is not None else None
    there = InstanceSet(running=tuple(running), stopped=())
    return Current(containers=there, event=told, release=known, runs_event=True)


def settings(**table: Any) -> Environment:
    return Environment.model_validate({"health_timeout": "10s", **table})


def test_one_process_has_no_steps() -> None:
    """A plan is as it always was."""
    assert process_steps(settings(), current(RunSpec(), ""), RunSpec()) == ()
    assert process_steps(settings(), current(None), RunSpec()) == ()


def test_each_process_has_a_step_with_the_time_of_what_runs_now() -> None:
    """The old one's time to stop and the new one's to become healthy; what runs decides over what will."""
    configured = settings(processes={"web": {}, "worker": {"health_timeout": "30s"}, "beat": {}})
    new, old = spec(web=1000, worker=1000, beat=1000), spec(web=2000, worker=60_000)
    web, worker, beat = process_steps(configured, current(old, "web", "worker"), new)
    assert (web.action, web.stop_grace, web.most_ms) == ("replace", 2000, 12_000)
    assert (worker.action, worker.stop_grace, worker.most_ms) == ("replace", 60_000, 90_000)
    assert (beat.action, beat.stop_grace, beat.most_ms, beat.exclusive) == ("start", None, 10_000, True)


def test_what_the_new_release_lacks_is_stopped_first_or_last_behind_a_proxy() -> None:
    """A port may be needed again at once; a proxy needs somebody until the new one serves."""
    old = spec(web=1000, mail=5000)
    steps = process_steps(settings(processes={"web": {}}), current(old, "web", "mail"), spec(web=1000))
    assert [(step.process, step.action) for step in steps] == [("mail", "stop"), ("web", "replace")]
    assert steps[0].most_ms == 5000
    proxied = settings(proxy={"kind": "dns", "network": "edge"}, processes={"web": {}})
    steps = process_steps(proxied, current(RunSpec(), ""), spec(web=1000))
    assert [(step.process, step.action) for step in steps] == [("web", "start"), ("", "stop")]


def test_several_that_become_one_have_steps_too() -> None:
    """A rollback to a release of one process."""
    steps = process_steps(settings(), current(spec(web=1000), "web"), RunSpec())
    assert [(step.process, step.action) for step in steps] == [("web", "stop"), ("", "start")]


def test_a_cluster_replaces_each_process_in_its_own_way() -> None:
    """The plan says so; an exclusive one is named as such."""
    configured = settings(engine="swarm", processes={"web": {"replicas": 3}, "beat": {"exclusive": True}})
    web, beat = process_steps(configured, current(spec(web=1000), "web"), spec(web=1000, beat=1000))
    assert (web.strategy, beat.strategy) == ("rolling", "rolling")
