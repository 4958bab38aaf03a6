"""Output of a command, shown while the command runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from release.deploy.core.rollout import RolloutContext
from release.deploy.execution import live_output
from release.deploy.execution.live_output import LiveOutput
from release.errors import EngineError
from release.events import Event, Progress
from release.programs.cancellation import Cancellation
from release.secrets.redact import Mask, Redacted


def of(follow: live_output.Follow) -> tuple[LiveOutput, list[Event]]:
    said = list[Event]()
    mask = Mask([Redacted("canary\nsecret")])
    context = RolloutContext(emit=said.append, cancellation=Cancellation(), mask=mask)
    return LiveOutput(kind="up", context=context, follow=follow), said


def texts(said: list[Event]) -> list[str]:
    return [event.text for event in said if isinstance(event, Progress) and event.lasting]


def test_a_line_is_shown_before_the_command_ends() -> None:
    """Each once; the last lines that were read at the end add nothing."""
    shown, may_end = threading.Event(), threading.Event()

    def follow(_: Cancellation) -> Iterator[str]:
        yield "one"
        yield "two"
        shown.set()
        may_end.wait(10)
        yield "three"

    output, said = of(follow)
    with output.following():
        assert shown.wait(10)
        assert texts(said)[0] == "one"
        may_end.set()
        output.finish(("one", "two", "three"))
    assert texts(said) == ["one", "two", "three"]


def test_a_secret_over_two_lines_is_never_shown() -> None:
    """What may be its beginning waits for the next line."""
    output, said = of(lambda _: iter(["a", "canary", "secret", "b"]))
    with output.following():
        output.finish(("a", "***", "***", "b"))
    assert "canary" not in "".join(texts(said))
    assert "secret" not in "".join(texts(said))
    assert texts(said)[0] == "a"
    assert texts(said)[-1] == "b"


def test_what_could_not_be_followed_is_shown_at_the_end() -> None:
    """As when the node does not answer."""

    def follow(_: Cancellation) -> Iterator[str]:
        yield "one"
        raise EngineError("read the output", "no answer")

    output, said = of(follow)
    with output.following():
        output.finish(("one", "two"))
    assert texts(said) == ["one", "two"]
