"""Times as people type them: one strict grammar, and a sentence with its meaning. Nothing is guessed.

| form | means |
| --- | --- |
| `2026-11-21 20:00`, `2026-11-21T20:00:05` | that time of day in the local zone |
| the same with `Z`, `UTC`, `+02:00` or `Europe/Berlin` behind it | in that zone |
| `20:00`, `today 20:00`, `yesterday 18:00` | on today's or yesterday's date of the zone |
| `90m`, `2h`, `3d`, `1w`, `1d12h`, each also with `ago` | so much elapsed time before now |

A day is 24 hours of elapsed time, whatever the clocks did. A time of day that the zone's clocks skipped or
showed twice is refused. The error names both possible times.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from release.errors import UsageError
from release.values import Struct, field

FORMS: Final = '"2026-11-21 20:00", "20:00", "yesterday 18:00", 2h, or 2026-11-21T20:00+01:00'

_UNITS: Final = ("weeks", "days", "hours", "minutes", "seconds")
_ELAPSED: Final = re.compile(
    r"(?:(\d{1,4})w)? ?(?:(\d{1,4})d)? ?(?:(\d{1,4})h)? ?(?:(\d{1,4})m(?:in)?)? ?(?:(\d{1,4})s)?(?: ago)?"
)
_CLOCK: Final = re.compile(
    r"(?:(?P<date>\d{4}-\d{2}-\d{2})[T ]|(?P<word>today|yesterday) )?"
    r"(?P<time>\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)"
    r"(?P<zone> ?(?:[+-]\d{2}:?\d{2}|[A-Z][\w/+-]*))?",
    re.IGNORECASE,
)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_OFFSET: Final = re.compile(r"([+-])(\d{2}):?(\d{2})")


class Clock(Struct, frozen=True, kw_only=True):
    """Clock of the operator: the present time, and the zone (None: this machine's zone, as `TZ` says)."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    zone: tzinfo | None = None


class ParsedTime(Struct, frozen=True, kw_only=True):
    """Time, and a sentence that explains how the text was read."""

    at: datetime
    explanation: str

    @property
    def text(self) -> str:
        """Return the time as records write it: RFC 3339, UTC, milliseconds."""
        return self.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str, clock: Clock) -> ParsedTime | None:
    """Parse a time; None if the text does not have the form of a time.

    Raises:
        UsageError: the date, time or zone does not exist; the zone's clocks skipped the time or showed it
            twice; the time is in the future; or the text is a date alone.
    """
    words = " ".join(text.split())
    if _DATE.fullmatch(words):
        raise _refused(
            words,
            "the text names a whole day, but a time of day is needed",
            f'add the time of day: "{words} 20:00"',
        )
    elapsed = _ELAPSED.fullmatch(words)
    if elapsed is not None and any(elapsed.groups()):
        return _moment(words, clock.now - _duration(elapsed), clock.zone)
    match = _CLOCK.fullmatch(words)
    return _on_the_clock(words, match, clock) if match is not None else None


def parse_since(text: str, clock: Clock) -> ParsedTime:
    """Parse the beginning of a span as `parse_time` does; a date alone means its midnight.

    Raises:
        UsageError: as `parse_time`, or the text does not have the form of a time.
    """
    day = " ".join(text.split())
    moment = parse_time(f"{day} 00:00" if _DATE.fullmatch(day) else day, clock)
    if moment is None:
        raise _refused(text, "the text does not have the form of a time", f"use a date, {FORMS}")
    return moment


def _duration(match: re.Match[str]) -> timedelta:
    return timedelta(**{unit: int(digits or 0) for unit, digits in zip(_UNITS, match.groups(), strict=True)})


def _on_the_clock(words: str, match: re.Match[str], clock: Clock) -> ParsedTime:
    zone = _zone(words, match["zone"].strip()) if match["zone"] else clock.zone
    try:
        shown = _shown(match, clock.now.astimezone(zone))
        at = _placed(words, shown, zone)
    except (ValueError, OverflowError) as error:
        raise _refused(words, f"there is no such date or time of day: {error}", f"use {FORMS}") from error
    if at > clock.now:
        raise _refused(
            words,
            f"{_local(at, zone)} is in the future: it is {_local(clock.now, zone)}",
            f'"yesterday {match["time"]}"?' if match["date"] is None else "give a moment in the past",
        )
    return _moment(words, at, zone)


def _shown(match: re.Match[str], now: datetime) -> datetime:
    """Return the local date and time in the text, without a zone."""
    back = timedelta(days=1 if (match["word"] or "").lower() == "yesterday" else 0)
    day = datetime.fromisoformat(match["date"]).date() if match["date"] else now.date() - back
    hours, minutes, *seconds = match["time"].split(":")
    whole, _, part = (seconds or ["0"])[0].partition(".")
    return datetime.combine(day, time(int(hours), int(minutes), int(whole), int(part.ljust(3, "0")) * 1000))


def _zone(words: str, name: str) -> tzinfo:
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        if ahead >= timedelta(days=1) or int(offset[3]) > 59:
            raise _refused(words, f"there is no zone {name}", "write an offset as +02:00")
        return timezone(ahead if offset[1] == "+" else -ahead)
    if name.upper() in ("Z", "UTC"):
        return UTC
    try:
        if "/" in name:
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    # CST alone is three zones: short names are not taken
    raise _refused(
        words,
        f"several time zones have the name {name}",
        "use an offset or a full name: +01:00, Europe/Berlin",
    )


def _placed(words: str, shown: datetime, zone: tzinfo | None) -> datetime:
    """Return the only time at which the clocks showed this (PEP 495). Raise UsageError for gaps, folds."""
    first, second = (_utc(shown.replace(fold=fold), zone) for fold in (0, 1))
    if first == second:
        return first
    either = sorted((first, second))
    choice = " or ".join(_with_offset(at, zone) for at in either)
    if _utc_shows(first, zone) == shown:
        raise _refused(
            words, "the clocks were put back, so this time occurred twice", f"give the offset: {choice}"
        )
    raise _refused(
        words, "the clocks were put forward, so this time did not occur", f"did you mean {choice}?"
    )


def _utc(shown: datetime, zone: tzinfo | None) -> datetime:
    # without a zone, `astimezone` takes the machine's own, with its rules for that day
    return (shown if zone is None else shown.replace(tzinfo=zone)).astimezone(UTC)


def _utc_shows(at: datetime, zone: tzinfo | None) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def _with_offset(at: datetime, zone: tzinfo | None) -> str:
    return at.astimezone(zone).isoformat(timespec="auto")


def _local(at: datetime, zone: tzinfo | None) -> str:
    there = at.astimezone(zone)
    seconds = "" if there.second == 0 else f"{there:%S}".join((":", ""))
    return f"{there:%Y-%m-%d %H:%M}{seconds} {there.tzname()}"


def _moment(words: str, at: datetime, zone: tzinfo | None) -> ParsedTime:
    exact = at.astimezone(UTC)
    precision = "minutes" if exact.second == 0 and exact.microsecond == 0 else "seconds"
    utc = exact.replace(tzinfo=None).isoformat(timespec=precision)
    return ParsedTime(at=exact, explanation=f'"{words}" is read as {_local(at, zone)}, which is {utc}Z')


def _refused(words: str, found: str, hint: str) -> UsageError:
    return UsageError(f"read the time {words!r}", found, hint)
