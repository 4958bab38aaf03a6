"""Charts of the report as SVG; the page's style sets the colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Final

_WIDTH: Final = 720
_HEIGHT: Final = 150
_ROW: Final = 22
_OUTCOMES: Final = ("healthy", "rollback", "failed")


def count_by_week(
    deployments: Sequence[tuple[str, str]], since: str, until: str
) -> list[tuple[str, Mapping[str, int]]]:
    """Count outcomes by week. Return each week's first day with its numbers, the oldest first.

    Args:
        deployments: moment and outcome.
        since: the beginning of the span.
        until: its end.
    """
    begin, end = (datetime.fromisoformat(each) for each in (since, until))
    number = min(max(1, -(-(end - begin).days // 7)), 60)
    counts = [dict.fromkeys(_OUTCOMES, 0) for _ in range(number)]
    for moment, outcome in deployments:
        place = (datetime.fromisoformat(moment) - begin).days // 7
        counts[min(max(place, 0), number - 1)][outcome] += 1
    days = [(begin + timedelta(days=7 * each)).date().isoformat() for each in range(number)]
    return list(zip(days, counts, strict=True))


def bar_chart(rows: Sequence[tuple[str, Mapping[str, int]]], name: str) -> str:
    """Return a stacked bar chart as SVG; the title of each bar has its numbers."""
    most = max((sum(counts.values()) for _, counts in rows), default=0) or 1
    step = _WIDTH / max(len(rows), 1)
    parts: list[str] = []
    for place, (day, counts) in enumerate(rows):
        floor = float(_HEIGHT)
        told = ", ".join(f"{counts[each]} {each}" for each in _OUTCOMES)
        parts.append(f"<g><title>week of {day}: {told}</title>")
        for outcome in _OUTCOMES:
            height = counts[outcome] / most * (_HEIGHT - 10)
            floor -= height
            if height:
                parts.append(_svg_rectangle(place * step + 1, floor, step - 2, height, outcome))
        parts.append("</g>")
    label = escape(name, quote=True)
    axis = f'<line class="axis" x1="0" y1="{_HEIGHT}" x2="{_WIDTH}" y2="{_HEIGHT}"/>'
    ends = (
        _svg_text(0, _HEIGHT + 14, rows[0][0]) + _svg_text(_WIDTH, _HEIGHT + 14, rows[-1][0], "end")
        if rows
        else ""
    )
    peak = _svg_text(0, 10, f"{most} in a week")
    return _svg_element(label, _HEIGHT + 20, "".join([axis, *parts, peak, ends]))


def stage_chart(gates: Sequence[Sequence[object]], name: str) -> str:
    """Return a timeline of the release's stages as SVG.

    Args:
        gates: name, milliseconds from the first start, and duration in milliseconds.
        name: accessible name of the chart.
    """
    rows = [(str(gate), int(str(begin)), int(str(length))) for gate, begin, length in gates]
    whole = max((begin + length for _, begin, length in rows), default=0) or 1
    parts: list[str] = []
    for place, (gate, begin, length) in enumerate(rows):
        top = place * _ROW
        left = 110 + begin / whole * (_WIDTH - 180)
        width = max(2.0, length / whole * (_WIDTH - 180))
        parts.append(_svg_text(0, top + 14, gate))
        parts.append(_svg_rectangle(left, top + 4, width, 12, "stage"))
        parts.append(_svg_text(left + width + 4, top + 14, f"{length / 1000:.1f} s"))
    return _svg_element(escape(name, quote=True), len(rows) * _ROW + 4, "".join(parts))


def _svg_element(label: str, height: int, inner: str) -> str:
    box = f"0 0 {_WIDTH} {height}"
    return (
        f'<svg role="img" aria-label="{label}" viewBox="{box}" preserveAspectRatio="xMinYMin">{inner}</svg>'
    )


def _svg_rectangle(left: float, top: float, width: float, height: float, kind: str) -> str:
    size = f'width="{max(width, 0.5):.1f}" height="{height:.1f}"'
    return f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" {size}/>'


def _svg_text(left: float, top: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{left:.1f}" y="{top:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
