"""A program that uses the operator's terminal or standard streams."""

from __future__ import annotations

import pytest

from release.errors import ReleaseError
from release.programs.cancellation import Cancellation
from release.programs.interactive import hand_over
from release.programs.process import Command


def run(*argv: str, timeout: float = 60) -> int:
    return hand_over(Command(argv=argv), timeout=timeout, cancellation=Cancellation())


def test_the_status_is_that_of_the_program() -> None:
    """A signal is 128 and its number."""
    assert run("sh", "-c", "exit 7") == 7
    assert run("sh", "-c", "kill -TERM $$") == 143


def test_a_program_inherits_the_variables_that_its_command_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """As kubectl needs KUBECONFIG; others are left out."""
    monkeypatch.setenv("KUBECONFIG", "here")
    argv = ("sh", "-c", 'test "$KUBECONFIG" = here')
    for inherits, status in ((("KUBE*",), 0), ((), 1)):
        command = Command(argv=argv, inherits=inherits)
        assert hand_over(command, timeout=60, cancellation=Cancellation()) == status


def test_a_program_that_takes_too_long_is_stopped() -> None:
    """A TimeoutError is an OSError, and yet no error of the start."""
    with pytest.raises(TimeoutError, match=r"^it still ran after 0\.05 s$"):
        run("sleep", "60", timeout=0.05)


def test_a_program_that_is_not_there_is_named() -> None:
    """With what to do."""
    with pytest.raises(ReleaseError, match="no such program"):
        run("no-such-program-here")
