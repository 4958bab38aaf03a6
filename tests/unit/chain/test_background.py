"""What no stage waits for is done all the same, in order, before the run ends."""

from __future__ import annotations

import threading

import pytest

from release.chain.background import BackgroundTasks
from release.errors import EngineError
from release.events import Event, Warned


def test_nobody_waits_for_it_until_the_end() -> None:
    """What was given is done in its order, while the giver goes on."""
    aside, may_go_on, done = BackgroundTasks(), threading.Event(), list[str]()
    aside.add(may_go_on.wait)
    aside.add(lambda: done.append("first"))
    aside.add(lambda: done.append("second"))
    assert done == []
    may_go_on.set()
    aside.finish(list[Event]().append)
    assert done == ["first", "second"]


@pytest.mark.parametrize(
    "trouble",
    [
        EngineError("remove the container 0123", "the device is busy"),
        PermissionError("remove the container 0123"),
    ],
)
def test_trouble_is_told_and_the_rest_is_done(trouble: Exception) -> None:
    """A release does not fail because an engine keeps a container, or a disk a file."""

    def refuse() -> None:
        raise trouble

    aside, done, told = BackgroundTasks(), list[str](), list[Event]()
    aside.add(refuse)
    aside.add(lambda: done.append("the rest"))
    aside.finish(told.append)
    assert done == ["the rest"]
    (warned,) = told
    assert isinstance(warned, Warned)
    assert "remove the container 0123" in warned.text


def test_an_error_of_ours_is_no_secret() -> None:
    """What is not a release's trouble is a fault in this library."""
    aside = BackgroundTasks()
    aside.add([].pop)
    with pytest.raises(IndexError):
        aside.finish(list[Event]().append)
