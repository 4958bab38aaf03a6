"""Data for reports without a ledger: many releases, and texts that try to be markup."""

from __future__ import annotations

from typing import Any

from release.commands.report.data import ReportData, ReportEnvironment
from release.ledger.metrics import Metric, Metrics, Span
from tests.unit.ledger.samples import digits

EVIL = '</script><img src=x onerror="alert(1)">&amp;'
SPAN = Span(since="2026-09-01T00:00:00.000Z", until="2026-11-30T00:00:00.000Z")
GATES = ("lock", "lint", "build", "test", "smoke", "push", "installed")


def moment(number: int) -> str:
    return f"2026-11-{1 + number // 1000:02d} {number // 60 % 24:02d}:{number % 60:02d}:00Z"


def release(number: int, words: str = EVIL) -> dict[str, Any]:
    return {
        "v": f"1.{number}.0",
        "t": moment(number).removesuffix("Z"),
        "w": "Ada",
        "d": digits(str(number)),
        "c": digits(str(number), 12),
        "s": 55_000_000 + number,
        "g": [[name, place * 900, 2000 + number] for place, name in enumerate(GATES)],
        "n": number,
        "p": [["fastapi", f"0.{number}.0", f"0.{number + 1}.0"], [words, f"{number - 1}.0", f"{number}.0"]],
    }


def data(releases: int, words: str = EVIL) -> ReportData:
    """Return data with so many releases, each deployed to two environments; `words` are those of others."""
    events = [
        (moment(number), f"1.{number}.0", "deploy", place, "healthy", "Ada", f"{words} for {number % 50}")
        for number in reversed(range(releases))
        for place in ("staging", "production")
    ]
    place = ReportEnvironment(
        name="production",
        version="1.9.0",
        digest=f"sha256:{digits('x')}",
        since=SPAN.until,
        who=words,
        back="",
        back_note=words,
        frozen="",
    )
    metric = Metric(name="deployment_frequency", value=0.5, count=3, labels={"environment": "production"})
    return ReportData(
        service="api",
        looked_at=SPAN.until,
        ledger="0123456789ab",
        places=(place,),
        events=tuple(events),
        more_events=False,
        releases=tuple(release(number, words) for number in reversed(range(releases))),
        more_releases=False,
        metrics=Metrics(service="api", span=SPAN, metrics=(metric, Metric(name="lock_age", note="no lock"))),
        deployments=(("2026-09-02T00:00:00.000Z", "production", "failed"),),
    )
