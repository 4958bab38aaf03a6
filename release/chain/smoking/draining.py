"""A request that is under way when the stop signal is sent: a service must finish it before it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from release.chain.smoking.questions import SmokeQuestions
from release.errors import GateFailed
from release.network.probe import Answer, ask

_AHEAD_SECONDS: Final = 0.5
"""Seconds from the request to the stop signal, so that the service has begun with it."""
_ANSWER_SECONDS: Final = 10.0

HINT: Final = (
    "on its stop signal the service must accept no more requests, finish those that it has, and then end: "
    "gunicorn, uvicorn and hypercorn do so; a signal handler of your own must not exit at once"
)


@contextmanager
def request_under_way(questions: SmokeQuestions) -> Iterator[None]:
    """Send the request of `smoke.slow_path`, then run the block, which stops the container.

    Raises:
        GateFailed: the answer came before the block began, or it did not come, or it is a wrong one.
    """
    settings = questions.run.settings
    probe = settings.probe
    if settings.slow_path is None or probe is None:
        yield
        return
    slow = probe.model_copy(update={"path": settings.slow_path})
    host, port = questions.address(probe.port)
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(ask(slow, host, port)), daemon=True)
    thread.start()
    thread.join(_AHEAD_SECONDS)
    asked = f"GET {settings.slow_path}"
    if answers:
        raise GateFailed(
            "smoke",
            f"{asked} was answered before the stop signal: {answers[0].whole}",
            "let `smoke.slow_path` name a path that takes one to four seconds",
        )
    yield
    thread.join(_ANSWER_SECONDS)
    if not answers or not answers[0].satisfies(slow):
        found = answers[0].whole if answers else "no answer"
        raise GateFailed("smoke", f"{asked} was under way at the stop signal and gave {found}", HINT)
