"""Compact JSON for the script of the report: each text is stored once and referred to by number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from release.commands.report.data import ReportData


class TextTable:
    """List of distinct texts with their numbers."""

    def __init__(self) -> None:
        """Create an empty list."""
        self.all: list[str] = []
        self._numbers: dict[str, int] = {}

    def number_of(self, text: str) -> int:
        """Return the index of a text in the table of texts; append the text if the table lacks it."""
        if text not in self._numbers:
            self._numbers[text] = len(self.all)
            self.all.append(text)
        return self._numbers[text]


def pack_report(data: ReportData) -> dict[str, Any]:
    """Return texts, events and releases as lists in the order that `report.js` expects.

    An event is its second since 1970 and the numbers of its texts. A release is version, second, who, digest,
    commit, size, number of tests, gates, changed packages and changed base images.
    """
    texts = TextTable()
    events = [[_unix_seconds(row[0]), *map(texts.number_of, row[1:])] for row in data.events]
    releases = [
        [
            texts.number_of(each["v"]),
            _unix_seconds(each["t"]),
            texts.number_of(each["w"]),
            each["d"],
            each["c"],
            each["s"],
            each.get("n", -1),
            [[texts.number_of(name), begin, length] for name, begin, length in each["g"]],
            _pack_changes(each.get("p", ()), texts),
            _pack_changes(each.get("b", ()), texts),
        ]
        for each in data.releases
    ]
    return {"texts": texts.all, "events": events, "releases": releases}


def _unix_seconds(moment: str) -> int:
    """Return the seconds since 1970 of a time as "2026-11-20 12:00:00Z"; the zone may be missing."""
    return int(datetime.fromisoformat(moment.removesuffix("Z") + "+00:00").timestamp())


def _pack_changes(rows: Sequence[Sequence[str]], texts: TextTable) -> list[list[int]]:
    return [[texts.number_of(cell) for cell in row] for row in rows]
