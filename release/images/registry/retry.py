"""Rules for repeated requests to a registry: after which failures, how soon, and how often."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import requests
import urllib3

from release.images import connection_failures
from release.images.http_limits import AnswerTooLarge, AnswerTooLate
from release.images.registry.error_text import error_codes
from release.images.registry.http import Answer
from release.retry import RetryPolicy
from release.values import Struct

ATTEMPTS: Final = 5
TEMPORARY: Final = frozenset({429, 500, 502, 503, 504})
FAILURES: Final = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)
"""Exceptions that `wire.exchange` raises; requests passes some ValueErrors of addresses on."""
_LONGEST_PAUSE: Final = 30.0
"""Longest pause in seconds; if the registry asks for a longer one, the request is not repeated."""
_MOST_DIGITS: Final = 9
"""Largest number of digits of a number of seconds: about thirty years."""


class Pace(Struct, frozen=True, kw_only=True):
    """Limits for the answers of a registry, and for repeated requests."""

    seconds: tuple[float, float]
    """Limits in seconds to connect, and between two bytes."""
    patience: RetryPolicy
    answer: float
    """Limit in seconds for one whole answer."""
    total: float
    """Limit in seconds for one request with all attempts, redirects and tokens."""


CALM: Final = Pace(
    seconds=(5.0, 30.0),
    patience=RetryPolicy(attempts=ATTEMPTS, first=0.3, longest=5.0, timeout=120.0),
    answer=120.0,
    total=240.0,
)
"""Limits for a release, which would lose more time than some minutes."""
PRESSED: Final = Pace(
    seconds=(5.0, 10.0),
    patience=RetryPolicy(attempts=2, first=0.3, longest=2.0, timeout=10.0),
    answer=10.0,
    total=20.0,
)
"""Limits for an operator who waits: at most about 10 s for a silent registry."""


class Temporary(Exception):
    """Error for an answer with a temporary status, as 429 or 503."""

    def __init__(self, answer: Answer) -> None:
        """Keep the answer."""
        super().__init__(answer.status)
        self.answer = answer


def pause_before_retry(error: Exception) -> bool | float:
    """Return False to stop, True to try again, or the seconds that the registry asks for."""
    if isinstance(error, Temporary):
        error.answer.close()
        return retry_after(error.answer.headers.get("Retry-After")) or True
    if isinstance(error, requests.exceptions.SSLError) or any(
        connection_failures.find_cause(error, kind) for kind in _FINAL
    ):
        return False
    return isinstance(error, _BROKEN)


_FINAL: Final = (AnswerTooLarge, AnswerTooLate)
"""Exceptions after which a repeated request would fail in the same way."""
_BROKEN: Final = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.TimeoutError,
)


def retry_cause(error: Exception) -> str:
    """Return the cause of a new attempt as text."""
    if isinstance(error, Temporary):
        return f"the registry answers {error.answer.status}"
    return connection_failures.failure_text(error)


def retry_after(text: str | None) -> float | None:
    """Return the seconds in a Retry-After header (RFC 9110, 10.2.3); None if it cannot be read."""
    if text is None:
        return None
    if (seconds := _whole_seconds(text)) is not None:
        return seconds
    try:
        return max(_seconds_until(parsedate_to_datetime(text[:100])), 0.0)
    except (ValueError, TypeError, OverflowError, LookupError):
        return None


def _whole_seconds(text: str) -> float | None:
    """Return a number of seconds, thirty years at most; None for other text."""
    if not (text.isascii() and text.isdigit()):
        return None
    return float(text) if len(text) <= _MOST_DIGITS else float("9" * _MOST_DIGITS)


def is_retry_useless(answer: Answer) -> bool:
    """Return whether a retry cannot help soon: a long wait, or a refusal with the code DENIED.

    A used-up quota comes as 429 with the code DENIED, with a long Retry-After, or with nothing remaining in a
    long window (`RateLimit-Remaining: 0;w=21600`, as Docker Hub writes it: seconds).
    """
    return _wait(answer) > _LONGEST_PAUSE or "DENIED" in error_codes(answer.content)


def _wait(answer: Answer) -> float:
    return max(retry_after(answer.headers.get("Retry-After")) or 0.0, _window(answer))


def _window(answer: Answer) -> float:
    """Return the seconds of a rate limit's window if no request remains in it; else 0."""
    remaining, _, window = answer.headers.get("RateLimit-Remaining", "").partition(";w=")
    return (_whole_seconds(window) or 0.0) if remaining.strip() == "0" else 0.0


def wait_time_text(answer: Answer) -> str:
    """Return the wait time that the registry names, as " 30 s"; empty if it names none."""
    seconds = _wait(answer)
    if seconds < 1:
        return ""
    if seconds >= _SENSELESS:
        return " (the registry names more than a year)"
    return f" {seconds:.0f} s" if seconds < 120 else f" {seconds / 60:.0f} min"


_SENSELESS: Final = 365 * 86400.0


def _seconds_until(moment: datetime) -> float:
    """Return the seconds until a date; a date without a zone is in GMT."""
    known = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (known - datetime.now(UTC)).total_seconds()
