"""What the doctor says of an engine: its clock and its disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.deploy.core import engine_machine
from release.deploy.core.engine_machine import clock_finding, disk_finding
from release.deploy.core.finding import Finding
from release.deploy.environment.environment import Workspace
from release.deploy.inspection.doctor import shared
from release.deploy.targets.swarm.nodes import Machine, Machines
from release.deploy.targets.swarm.upkeep import machine_findings, quorum
from release.errors import EngineError
from release.values import replace
from tests.unit.deploy.environment.test_environment import clone
from tests.unit.deploy.fakes import INFO, FakeEngine
from tests.unit.deploy.targets.swarm.fakes import node
from tests.unit.ledger import samples
from tests.unit.repository import Repository


@pytest.mark.parametrize(
    ("ahead", "said"), [(0, "0.0 s behind"), (1500, "1.5 s ahead of"), (-1500, "1.5 s behind")]
)
def test_clocks_that_agree_are_well(ahead: int, said: str) -> None:
    """To within some seconds, in either direction."""
    assert said in clock_finding(FakeEngine(info=replace(INFO, ahead_ms=ahead)))


@pytest.mark.parametrize("ahead", [60_000, -60_000])
def test_clocks_that_are_apart_are_not(ahead: int) -> None:
    """With what sets them."""
    with pytest.raises(EngineError, match="60 s") as caught:
        clock_finding(FakeEngine(info=replace(INFO, ahead_ms=ahead)))
    assert "NTP" in caught.value.hint


def test_room_on_this_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And too little of it is not well."""
    engine = FakeEngine(info=replace(INFO, data_root=str(tmp_path)))
    assert f"are free below {tmp_path}" in disk_finding(engine)
    monkeypatch.setattr(engine_machine, "LEAST_FREE_BYTES", 1 << 60)
    with pytest.raises(EngineError) as caught:
        disk_finding(engine)
    assert "invoke prune" in caught.value.hint


def test_the_disk_of_another_machine_is_not_known() -> None:
    """The same folder here is another one."""
    engine = FakeEngine(host="ssh://deploy@far.example", info=replace(INFO, data_root="/"))
    assert "another machine" in disk_finding(engine)


@pytest.mark.parametrize(
    ("managers", "said"),
    [
        (["leader"], "1 of 1 managers answer; none of them can fail without loss of the majority"),
        (
            ["leader", "reachable", "reachable"],
            "3 of 3 managers answer; 1 of them can fail without loss of the majority",
        ),
        (
            ["leader", "reachable", "unreachable"],
            "2 of 3 managers answer; none of them can fail without loss of the majority",
        ),
        (
            ["leader", "reachable"],
            "2 of 2 managers answer; none of them can fail without loss of the majority",
        ),
    ],
)
def test_how_many_managers_may_be_lost_is_told(managers: list[str], said: str) -> None:
    """More than half of them must be left."""
    nodes = [node(str(number), reachability=word) for number, word in enumerate(managers)]
    assert quorum([*nodes, node("w", is_manager=False)]) == said


def test_every_node_of_a_swarm_is_told_with_what_is_known_of_it() -> None:
    """Well is one that answers, drained or not; clock and disk are those of engines that are looked into."""
    facts = {"version": "26.1.5", "cpus": 2000, "memory": 4_000_000_000}
    machines = Machines(
        every=(
            Machine(node=node("a", reachability="leader", **facts), engine=FakeEngine()),
            Machine(node=node("b", is_manager=False, availability="drain"), engine=FakeEngine(), named=True),
            Machine(node=node("c", is_manager=False), unseen="not asked"),
            Machine(node=node("d", is_manager=False), unseen="it does not answer", named=True),
            Machine(node=node("e", is_manager=False, is_ready=False, state="down"), unseen="it is down"),
            Machine(node=node("f", reachability="unreachable"), unseen="not asked"),
        ),
        strange=("swarm.nodes.x: no such node",),
    )
    found = list(machine_findings("production", machines))
    assert {item.name.removeprefix("production: "): item.well for item in found} == {
        "node a": True,
        "node b": True,
        "node b: clock": True,
        "node b: disk": True,
        "node c": True,
        "node d": False,
        "node e": False,
        "node f": False,
        "nodes": False,
    }
    known = "manager (leader), ready, active, engine 26.1.5, linux/amd64, 2 processors, 4.0 GB"
    assert found[0].found == known


def test_a_ledger_that_is_pushed_to_another_repository_is_not_well(tmp_path: Path) -> None:
    """As `release` refuses it; two addresses of one repository are well."""
    server = Repository.init(tmp_path / "server.git", bare=True)
    here = clone(server, tmp_path / "here")
    samples.ledger(here.root, remote="origin").append([samples.release("1.0.0")])

    def found() -> Finding:
        with Workspace.open(here.root, None, environ={}, emit=lambda _: None) as workspace:
            return next(each for each in shared(workspace) if each.name == "ledger")

    here.git("config", "remote.origin.pushurl", f"file://{server.root}")
    assert found().well
    fork = Repository.init(tmp_path / "fork.git", bare=True)
    here.git("config", "remote.origin.pushurl", str(fork.root))
    assert not found().well
    assert "pushes to" in found().found
    assert "git remote set-url origin" in found().hint
