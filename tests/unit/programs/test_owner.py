"""Which process something belongs to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from release.programs.owner import Owner, process_identity
from release.values import replace


def dead() -> Owner:
    """A process of this machine that has ended and was collected."""
    code = "import os; from release.programs.owner import process_identity; "
    code += "print(os.getpid(), process_identity(os.getpid()))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    pid, process = ran.stdout.split()
    return replace(Owner.here(), pid=pid, process=process)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with this machine's id; this process is in no container."""
    file = tmp_path / "machine-id"
    file.write_text("0123456789abcdef\n")
    monkeypatch.setattr("release.programs.owner._MACHINE", file)
    monkeypatch.setattr("release.programs.owner._FIRST_SPACE", process_identity(os.getpid()).split("/")[1])
    return file


def after_a_boot() -> Owner:
    """A process of this machine before it was started again; its number is taken by another one since."""
    _, space, start = process_identity(os.getpid()).split("/")
    return replace(Owner.here(), process=f"an-earlier-boot/{space}/{start}")


def test_a_living_process_is_not_gone() -> None:
    """This one."""
    assert not Owner.here().gone()


def test_a_process_that_ended_is_gone() -> None:
    """Its number is free or somebody else's."""
    assert dead().gone()


def test_a_number_that_is_used_again_is_another_process() -> None:
    """Same machine, same number, another start: the owner is gone."""
    other = process_identity(os.getpid()).rpartition("/")[0] + "/1"
    assert replace(Owner.here(), process=other).gone()


@pytest.mark.parametrize(
    "change",
    [{"host": "elsewhere"}, {"process": ""}, {"pid": ""}, {"process": "boot/ns/1", "machine": "another"}],
)
def test_nothing_is_said_of_processes_that_cannot_be_seen(change: dict[str, str]) -> None:
    """Another host, machine or namespace, or labels of somebody else."""
    assert not replace(dead(), **change).gone()


def test_no_process_outlives_a_boot_of_its_machine(machine: Path) -> None:
    """The machine was started again; of another machine of the same name nothing is said."""
    before = after_a_boot()
    assert before.gone()
    assert not before.gone(shared=True)  # machines of one image have one id, and live
    machine.write_text("another\n")
    assert not before.gone()


@pytest.mark.parametrize("content", ["", "\n", None])
def test_a_machine_without_an_id_is_not_known_again(machine: Path, content: str | None) -> None:
    """An empty file, as in an image, or none."""
    machine.unlink() if content is None else machine.write_text(content)
    assert Owner.here().machine == ""
    assert not after_a_boot().gone()


def test_a_container_has_no_machine_of_its_own(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file comes with the image, and may be the same elsewhere."""
    monkeypatch.setattr("release.programs.owner._FIRST_SPACE", "pid:[1]")
    assert Owner.here().machine == ""
    assert not replace(after_a_boot(), machine="").gone()


def test_owners_that_say_no_machine_are_read(machine: Path) -> None:
    """Labels of before: what holds within one boot holds as ever."""
    labels = dead().labels()
    del labels["release.owner.machine"]
    assert Owner.parse(labels).gone()
    assert not replace(Owner.parse(labels), process="boot/ns/1").gone()


def test_a_hidden_process_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc may hide the processes of others: they are asked by a signal that does nothing."""
    gone, theirs = dead(), Owner.here()
    mine = os.getpid()

    def hidden(pid: int) -> list[str]:
        if pid == mine:
            return ["S", *"0" * 18, "7"]
        raise FileNotFoundError(pid)

    monkeypatch.setattr("release.programs.owner._stat", hidden)
    with subprocess.Popen(["sleep", "60"]) as process:
        there = replace(theirs, pid=str(process.pid))
        assert not there.gone()
        process.kill()
    assert there.gone()
    assert gone.gone()


def test_a_process_that_may_not_be_asked_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is somebody else's."""

    def refused(_pid: int, _number: int) -> None:
        raise PermissionError

    owner = dead()
    monkeypatch.setattr("os.kill", refused)
    assert not owner.gone()


def test_a_process_that_nobody_collects_is_gone() -> None:
    """It has ended; its number is still taken."""
    with subprocess.Popen(["sleep", "60"]) as process:
        owner = replace(Owner.here(), pid=str(process.pid), process=process_identity(process.pid))
        assert not owner.gone()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert owner.gone()


def test_labels_read_back() -> None:
    """What is written on a container is what is read from it."""
    assert Owner.parse(Owner.here().labels()) == Owner.here()
    assert not Owner.parse({}).gone()
