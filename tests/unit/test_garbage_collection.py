"""The garbage collector is away while modules are imported, and only then."""

from __future__ import annotations

import gc
import subprocess
import sys

from release.garbage_collection import pause_collection

LEAVING = """
import atexit, gc
from release.garbage_collection import skip_collection_at_exit
atexit.register(lambda: print(gc.get_freeze_count() > 1000))
skip_collection_at_exit()
print(gc.get_freeze_count() > 1000)
"""


def test_nothing_is_collected_during_a_first_import() -> None:
    """Afterwards it is, as before."""
    with pause_collection("no.such.module.yet"):
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.unfreeze()


def test_a_module_that_is_there_changes_nothing() -> None:
    """There is nothing to import."""
    with pause_collection("gc"):
        assert gc.isenabled()


def test_everything_is_left_as_it_is_when_the_process_ends() -> None:
    """What is frozen is not looked through; until the end nothing is frozen."""
    ran = subprocess.run([sys.executable, "-c", LEAVING], check=True, capture_output=True, text=True)
    assert ran.stdout.split() == ["False", "True"]
