"""Asking a registry again: after which failures, how soon, and how often."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import requests
import urllib3

from release.images import faults
from release.images.guard import AnswerTooLarge, AnswerTooLate
from release.images.registry.refusal import error_codes
from release.images.registry.wire import Answer
from release.retry import RetryPolicy
from release.values import Struct

ATTEMPTS: Final = 5
TEMPORARY: Final = frozenset({429, 500, 502, 503, 504})
FAILURES: Final = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)
"""Exceptions of `wire.exchange`; requests lets some ValueErrors through that belong to addresses."""
_LONGEST_PAUSE: Final = 30.0
"""Seconds; a registry that asks for more is believed at once."""
_MOST_DIGITS: Final = 9
"""Of a number of seconds: thirty years are as good as any longer time."""


class Pace(Struct, frozen=True, kw_only=True):
    """Limits for the answers of a registry, and for repeated requests."""

    seconds: tuple[float, float]
    """To connect, and between two bytes."""
    patience: RetryPolicy
    answer: float
    """Seconds for one answer as a whole."""
    total: float
    """Seconds for one question: all attempts, redirects and tokens."""


CALM: Final = Pace(
    seconds=(5.0, 30.0),
    patience=RetryPolicy(attempts=ATTEMPTS, first=0.3, longest=5.0, timeout=120.0),
    answer=120.0,
    total=240.0,
)
"""For a release: what it would lose is more than some minutes."""
PRESSED: Final = Pace(
    seconds=(5.0, 10.0),
    patience=RetryPolicy(attempts=2, first=0.3, longest=2.0, timeout=10.0),
    answer=10.0,
    total=20.0,
)
"""For an operator who waits: a registry that stays silent is given up within 10 s."""


class Temporary(Exception):
    """An answer that may be another one in a moment."""

    def __init__(self, answer: Answer) -> None:
        """Keep the answer."""
        super().__init__(answer.status)
        self.answer = answer


def pause_before_retry(error: Exception) -> bool | float:
    """Return whether to ask again; a number of seconds where the registry names it (RFC 9110, 10.2.3)."""
    if isinstance(error, Temporary):
        error.answer.close()
        return retry_after(error.answer.headers.get("Retry-After")) or True
    if isinstance(error, requests.exceptions.SSLError) or any(
        faults.find_cause(error, kind) for kind in _FINAL
    ):
        return False
    return isinstance(error, _BROKEN)


_FINAL: Final = (AnswerTooLarge, AnswerTooLate)
"""The same would come again, and take as long."""
_BROKEN: Final = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.TimeoutError,
)


def retry_cause(error: Exception) -> str:
    """Return the cause of a new attempt, for people."""
    if isinstance(error, Temporary):
        return f"the registry answers {error.answer.status}"
    return faults.failure_text(error)


def retry_after(text: str | None) -> float | None:
    """Seconds from now (RFC 9110, 10.2.3: a number of them, or a date); None for anything else."""
    if text is None:
        return None
    if (seconds := _whole_seconds(text)) is not None:
        return seconds
    try:
        return max(_seconds_until(parsedate_to_datetime(text[:100])), 0.0)
    except (ValueError, TypeError, OverflowError, LookupError):
        return None


def _whole_seconds(text: str) -> float | None:
    """A number of seconds, thirty years at most; None for anything else."""
    if not (text.isascii() and text.isdigit()):
        return None
    return float(text) if len(text) <= _MOST_DIGITS else float("9" * _MOST_DIGITS)


def is_retry_useless(answer: Answer) -> bool:
    """Return if a repeated request is useless soon: it names a later time, or refuses for another reason.

    A used-up quota comes as 429 with the code DENIED, with a long Retry-After, or with nothing remaining in a
    long window (`RateLimit-Remaining: 0;w=21600`, as Docker Hub writes it: seconds).
    """
    return _wait(answer) > _LONGEST_PAUSE or "DENIED" in error_codes(answer.content)


def _wait(answer: Answer) -> float:
    return max(retry_after(answer.headers.get("Retry-After")) or 0.0, _window(answer))


def _window(answer: Answer) -> float:
    """Seconds of the rate limit's window, where nothing of it remains; else 0."""
    remaining, _, window = answer.headers.get("RateLimit-Remaining", "").partition(";w=")
    return (_whole_seconds(window) or 0.0) if remaining.strip() == "0" else 0.0


def wait_time_text(answer: Answer) -> str:
    """Return the time that the registry names, as " 30 s"; nothing if it names none, or a senseless one."""
    seconds = _wait(answer)
    if seconds < 1:
        return ""
    if seconds >= _SENSELESS:
        return " (the registry names more than a year)"
    return f" {seconds:.0f} s" if seconds < 120 else f" {seconds / 60:.0f} min"


_SENSELESS: Final = 365 * 86400.0


def _seconds_until(moment: datetime) -> float:
    """A date without a zone, or with the unknown one (-0000), is read as the GMT that it has to be."""
    known = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (known - datetime.now(UTC)).total_seconds()
