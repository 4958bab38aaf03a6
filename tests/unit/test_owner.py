"""Which process something belongs to."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from release.owner import Owner, identify


def dead() -> Owner:
    """A process of this machine that has ended and was collected."""
    code = "import os; from release.owner import identify; print(os.getpid(), identify(os.getpid()))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    pid, process = ran.stdout.split()
    return replace(Owner.here(), pid=pid, process=process)


def test_a_living_process_is_not_gone() -> None:
    """This one."""
    assert not Owner.here().gone()


def test_a_process_that_ended_is_gone() -> None:
    """Its number is free or somebody else's."""
    assert dead().gone()


def test_a_number_that_is_used_again_is_another_process() -> None:
    """Same machine, same number, another start: the owner is gone."""
    other = identify(os.getpid()).rpartition("/")[0] + "/1"
    assert replace(Owner.here(), process=other).gone()


@pytest.mark.parametrize(
    "change", [{"host": "elsewhere"}, {"process": ""}, {"pid": ""}, {"process": "boot/ns/1"}]
)
def test_nothing_is_said_of_processes_that_cannot_be_seen(change: dict[str, str]) -> None:
    """Another host, boot or namespace, or labels of somebody else."""
    assert not replace(dead(), **change).gone()


def test_labels_read_back() -> None:
    """What is written on a container is what is read from it."""
    assert Owner.parse(Owner.here().labels()) == Owner.here()
    assert not Owner.parse({}).gone()
