"""Times as people type them: what is read, what is refused, and what is said."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.errors import UsageError
from release.ledger import time_parsing
from release.ledger.time_parsing import Clock

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 1, 40, 30, tzinfo=UTC)


def text(words: str, zone: tzinfo = BERLIN, now: datetime = NOW) -> str:
    found = time_parsing.parse_time(words, Clock(now=now, zone=zone))
    assert found is not None
    return found.text.removesuffix(":00.000Z")


@pytest.mark.parametrize(
    ("words", "utc"),
    [
        ("2026-11-21 20:00", "2026-11-21T19:00"),
        ("2026-11-21T20:00", "2026-11-21T19:00"),
        ("  2026-11-21   20:00 ", "2026-11-21T19:00"),
        ("2026-11-21 7:05", "2026-11-21T06:05"),
        ("2026-11-21 20:00:05", "2026-11-21T19:00:05.000Z"),
        ("2026-11-21 20:00:05.25", "2026-11-21T19:00:05.250Z"),
        ("2026-07-21 20:00", "2026-07-21T18:00"),
        ("2026-11-21T20:00Z", "2026-11-21T20:00"),
        ("2026-11-21t20:00z", "2026-11-21T20:00"),
        ("2026-11-21 20:00 UTC", "2026-11-21T20:00"),
        ("2026-11-21T20:00:05+02:00", "2026-11-21T18:00:05.000Z"),
        ("2026-11-21 20:00 +0530", "2026-11-21T14:30"),
        ("2026-11-21 16:00-08:00", "2026-11-22T00:00"),
        ("2026-11-21 20:00 America/New_York", "2026-11-22T01:00"),
        ("02:00", "2026-11-22T01:00"),
        ("today 00:00", "2026-11-21T23:00"),
        ("yesterday 18:00", "2026-11-21T17:00"),
        ("Yesterday 18:00 UTC", "2026-11-21T18:00"),
        ("01:30 UTC", "2026-11-22T01:30"),
        ("20:00 America/New_York", "2026-11-22T01:00"),
        ("2h", "2026-11-21T23:40:30.000Z"),
        ("2h ago", "2026-11-21T23:40:30.000Z"),
        ("90m", "2026-11-22T00:10:30.000Z"),
        ("90min ago", "2026-11-22T00:10:30.000Z"),
        ("3d", "2026-11-19T01:40:30.000Z"),
        ("1d 12h", "2026-11-20T13:40:30.000Z"),
        ("1w", "2026-11-15T01:40:30.000Z"),
        ("30s", "2026-11-22T01:40"),
    ],
)
def test_a_time_is_read(words: str, utc: str) -> None:
    """In the local zone, or in the one that is named."""
    assert text(words) == utc


@pytest.mark.parametrize(
    "words",
    [
        "",
        "ago",
        "1.4.2",
        "v1.4",
        "-2",
        "previous",
        "yesterday",
        "8pm",
        "3",
        "3x",
        "12345d",
        "1234567",
        "20261121",
        "3f2a91c07be4",
        "sha256:20",
        "api/v1.4.2",
        "half past two",
        "2026-11-21 20:00 a/../../etc",
    ],
)
def test_what_has_not_the_shape_of_a_time_is_none(words: str) -> None:
    """It may be another kind of target."""
    assert time_parsing.parse_time(words, Clock(now=NOW, zone=BERLIN)) is None


@given(st.text(alphabet="0123456789abcdef", min_size=6, max_size=64))
def test_no_beginning_of_an_id_is_a_time(digits: str) -> None:
    """An id needs six digits; a time that is all hexadecimal has five at most, as 1234d."""
    assert time_parsing.parse_time(digits, Clock(now=NOW, zone=BERLIN)) is None


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("25:00", "no such date or time"),
        ("24:00", "no such date or time"),
        ("20:61", "no such date or time"),
        ("2026-02-30 20:00", "no such date or time"),
        ("2026-11-21 20:00:60", "no such date or time"),
        ("0001-01-01 00:00", "no such date or time"),
        ("2026-11-21 20:00 CET", "several time zones have the name"),
        ("2026-11-21 20:00 Europe/Atlantis", "several time zones have the name"),
        ("2026-11-21 20:00 +24:00", "no zone"),
        ("2026-11-21 20:00 +01:75", "no zone"),
        ("2026-11-21", "whole day"),
        ("20:00", "is in the future"),
        ("2031-01-01 00:00", "is in the future"),
    ],
)
def test_a_time_that_cannot_be_is_refused(words: str, reason: str) -> None:
    """With what is wrong; status 2."""
    with pytest.raises(UsageError, match=reason) as caught:
        time_parsing.parse_time(words, Clock(now=NOW, zone=BERLIN))
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_a_time_of_today_that_has_not_come_suggests_yesterday() -> None:
    """That is what somebody means at two in the morning."""
    with pytest.raises(UsageError) as caught:
        text("20:00")
    assert caught.value.hint == '"yesterday 20:00"?'


# clocks that are put forward and back

CHANGES = [
    ("Europe/Berlin", "2026-10-25 02:30", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"),
    ("America/New_York", "2026-11-01 01:30", "2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00"),
    ("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30"),
]
GAPS = [
    ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"),
    ("America/New_York", "2026-03-08 02:30", "2026-03-08T01:30:00-05:00", "2026-03-08T03:30:00-04:00"),
    ("Australia/Lord_Howe", "2025-10-05 02:15", "2025-10-05T01:45:00+10:30", "2025-10-05T02:45:00+11:00"),
]


@pytest.mark.parametrize(("zone", "words", "first", "second"), CHANGES)
def test_a_time_that_was_twice_is_refused_with_both(zone: str, words: str, first: str, second: str) -> None:
    """Each of the two can be typed as it is shown."""
    with pytest.raises(UsageError, match="put back, so this time occurred twice") as caught:
        text(words, ZoneInfo(zone))
    assert caught.value.hint == f"give the offset: {first} or {second}"
    assert text(first) < text(second)


@pytest.mark.parametrize(("zone", "words", "first", "second"), GAPS)
def test_a_time_that_never_was_is_refused(zone: str, words: str, first: str, second: str) -> None:
    """With what the clocks showed instead."""
    with pytest.raises(UsageError, match="put forward, so this time did not occur") as caught:
        text(words, ZoneInfo(zone))
    assert caught.value.hint == f"did you mean {first} or {second}?"


@pytest.mark.parametrize(
    ("words", "utc"),
    [
        ("2026-03-29 01:59", "2026-03-29T00:59"),
        ("2026-03-29 03:00", "2026-03-29T01:00"),
        ("2026-10-25 01:59", "2026-10-24T23:59"),
        ("2026-10-25 03:00", "2026-10-25T02:00"),
    ],
)
def test_beside_a_change_a_time_is_read_with_its_own_offset(words: str, utc: str) -> None:
    """Before and after; not with today's."""
    assert text(words) == utc


def test_a_day_ago_is_24_hours_ago_across_a_change() -> None:
    """Elapsed time, while yesterday at the same time is what the clock showed."""
    noon = datetime(2026, 10, 25, 11, 0, tzinfo=UTC)
    assert text("1d", now=noon) == "2026-10-24T11:00"
    assert text("yesterday 12:00", now=noon) == "2026-10-24T10:00"


def test_midnight_belongs_to_the_date_of_the_zone() -> None:
    """Where it is still yesterday, today is that day."""
    assert text("today 00:00", ZoneInfo("America/New_York")) == "2026-11-21T05:00"
    assert text("today 00:00", ZoneInfo("Pacific/Auckland")) == "2026-11-21T11:00"


READ = """
from datetime import UTC, datetime
from release.errors import UsageError
from release.ledger.time_parsing import Clock, parse_time
clock = Clock(now=datetime(2026, 11, 22, tzinfo=UTC))
for words in ("2026-03-29 02:30", "2026-10-25 02:30", "2026-07-01 12:00"):
    try:
        print(parse_time(words, clock).explanation)
    except UsageError as error:
        print(error.hint)
"""


@pytest.mark.parametrize(
    ("zone", "lines"),
    [
        (
            "Europe/Berlin",
            [
                "did you mean 2026-03-29T01:30:00+01:00 or 2026-03-29T03:30:00+02:00?",
                "give the offset: 2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00",
                '"2026-07-01 12:00" is read as 2026-07-01 12:00 CEST, which is 2026-07-01T10:00Z',
            ],
        ),
        (
            "EST5EDT,M3.2.0,M11.1.0",
            [
                '"2026-03-29 02:30" is read as 2026-03-29 02:30 EDT, which is 2026-03-29T06:30Z',
                '"2026-10-25 02:30" is read as 2026-10-25 02:30 EDT, which is 2026-10-25T06:30Z',
                '"2026-07-01 12:00" is read as 2026-07-01 12:00 EDT, which is 2026-07-01T16:00Z',
            ],
        ),
        (
            "UTC",
            [
                '"2026-03-29 02:30" is read as 2026-03-29 02:30 UTC, which is 2026-03-29T02:30Z',
                '"2026-10-25 02:30" is read as 2026-10-25 02:30 UTC, which is 2026-10-25T02:30Z',
                '"2026-07-01 12:00" is read as 2026-07-01 12:00 UTC, which is 2026-07-01T12:00Z',
            ],
        ),
    ],
)
def test_the_local_zone_is_the_machines(zone: str, lines: list[str]) -> None:
    """As `TZ` says, with its changes; and the answer says how the words were read."""
    environ = {**os.environ, "TZ": zone}
    done = subprocess.run(
        [sys.executable, "-c", READ], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == lines


@given(
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2026, 11, 1)),  # noqa: DTZ001
    st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Cairo"]
    ),
)
def test_a_time_that_is_read_shows_itself_on_the_zones_clock(shown: datetime, zone: str) -> None:
    """Or it is refused: nothing is moved silently."""
    words = f"{shown:%Y-%m-%d %H:%M}"
    try:
        found = time_parsing.parse_time(words, Clock(now=NOW, zone=ZoneInfo(zone)))
    except UsageError:
        both = {shown.replace(fold=fold, tzinfo=ZoneInfo(zone)).astimezone(UTC) for fold in (0, 1)}
        assert len(both) == 2
    else:
        assert found is not None
        assert f"{found.at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" == words


# since


def test_a_span_may_begin_with_a_day() -> None:
    """At its midnight."""
    clock = Clock(now=NOW, zone=BERLIN)
    assert time_parsing.parse_since("2026-11-20", clock).text == "2026-11-19T23:00:00.000Z"
    assert time_parsing.parse_since("2d", clock).text == "2026-11-20T01:40:30.000Z"


def test_a_span_that_begins_with_no_time_is_refused() -> None:
    """The forms are named."""
    with pytest.raises(UsageError, match="does not have the form of a time") as caught:
        time_parsing.parse_since("1.4.2", Clock(now=NOW, zone=BERLIN))
    assert "yesterday 18:00" in caught.value.hint
