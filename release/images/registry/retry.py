"""Asking a registry again: after which failures, how soon, and how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import requests
import urllib3

from release.frozen import Struct
from release.images import faults
from release.patience import Patience

ATTEMPTS: Final = 5
TEMPORARY: Final = frozenset({429, 500, 502, 503, 504})
FAILURES: Final = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
_LONGEST_PAUSE: Final = 30.0
"""Seconds; a registry that asks for more is believed at once."""
_LONGEST_QUOTE: Final = 500
"""Characters of a registry's own words in a message."""


class Pace(Struct, frozen=True, kw_only=True):
    """How long a registry is waited for, and how often it is asked again."""

    seconds: tuple[float, float]
    """To connect, and between two bytes."""
    patience: Patience


CALM: Final = Pace(
    seconds=(5.0, 30.0), patience=Patience(attempts=ATTEMPTS, first=0.3, longest=5.0, timeout=120.0)
)
"""For a release: what it would lose is more than some minutes."""
PRESSED: Final = Pace(
    seconds=(5.0, 10.0), patience=Patience(attempts=2, first=0.3, longest=2.0, timeout=10.0)
)
"""For an operator who waits: a registry that stays silent is given up within 10 s."""


class Temporary(Exception):
    """An answer that may be another one in a moment."""

    def __init__(self, response: requests.Response) -> None:
        """Keep the response."""
        super().__init__(response.status_code)
        self.response = response


def pause(error: Exception) -> bool | float:
    """Whether to ask again; a number of seconds where the registry names it (RFC 9110, 10.2.3)."""
    if isinstance(error, Temporary):
        error.response.close()
        return retry_after(error.response.headers.get("Retry-After")) or True
    if isinstance(error, requests.exceptions.SSLError):
        return False
    return isinstance(error, _BROKEN)


_BROKEN: Final = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.TimeoutError,
)


def what_happened(error: Exception) -> str:
    """Return the cause of a new attempt, for people."""
    if isinstance(error, Temporary):
        return f"the registry answers {error.response.status_code}"
    return faults.words(error)


def retry_after(text: str | None) -> float | None:
    """Seconds from now (RFC 9110, 10.2.3: a number of them, or a date); None for anything else."""
    if text is None:
        return None
    try:
        seconds = float(text) if text.isdigit() else _seconds_until(parsedate_to_datetime(text))
    except ValueError:
        return None
    return max(seconds, 0.0)


def asks_for_more_patience(response: requests.Response) -> bool:
    """Whether asking again soon is useless: it names a later time, or refuses for another reason than haste.

    A used-up quota comes as 429 with the code DENIED, with a long Retry-After, or with nothing remaining in a
    long window (`RateLimit-Remaining: 0;w=21600`, as Docker Hub writes it: seconds).
    """
    wait = max(retry_after(response.headers.get("Retry-After")) or 0.0, _window(response))
    return wait > _LONGEST_PAUSE or "DENIED" in _codes(response)


def _window(response: requests.Response) -> float:
    """Seconds of the rate limit's window, where nothing of it remains; else 0."""
    remaining, _, window = response.headers.get("RateLimit-Remaining", "").partition(";w=")
    return float(window) if remaining.strip() == "0" and window.isdigit() else 0.0


def for_how_long(response: requests.Response) -> str:
    """Return the time that the registry names, as " 30 s"; nothing if it names none."""
    seconds = max(retry_after(response.headers.get("Retry-After")) or 0.0, _window(response))
    if seconds < 1:
        return ""
    return f" {seconds:.0f} s" if seconds < 120 else f" {seconds / 60:.0f} min"


def _seconds_until(moment: datetime) -> float:
    """A date without a zone, or with the unknown one (-0000), is read as the GMT that it has to be."""
    known = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (known - datetime.now(UTC)).total_seconds()


def _errors(response: requests.Response) -> Sequence[Mapping[str, Any]]:
    """The errors in a body (OCI Distribution, "Error Codes"), if it holds any."""
    try:
        errors = response.json()["errors"]
    except (ValueError, LookupError, TypeError, requests.RequestException):
        return ()
    return [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else ()


def _codes(response: requests.Response) -> frozenset[str]:
    return frozenset(str(error.get("code", "")) for error in _errors(response))


def said(response: requests.Response) -> str:
    """The codes and messages of an error, for people."""
    said = (f": {error.get('code', '')} {error.get('message', '')}".rstrip() for error in _errors(response))
    return "".join(said)[:_LONGEST_QUOTE]
