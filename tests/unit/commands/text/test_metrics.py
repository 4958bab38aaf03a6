"""Metrics as text: for people, and for Prometheus."""

from __future__ import annotations

import re

import pytest

from release.commands.text.metrics import duration_text, metric_tables, prometheus_text
from release.ledger.metrics import Metric, Metrics, Span

SPAN = Span(since="2026-10-01T00:00:00.000Z", until="2026-10-11T00:00:00.000Z")
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL},?)*)\}})? ([-+0-9.eE]+|NaN|[-+]Inf)(?: -?\d+)?")

Sample = tuple[str, frozenset[tuple[str, str]]]


def parsed(text: str) -> dict[Sample, float]:
    """Samples of a text in the format 0.0.4. Each family is there once, after its HELP and its TYPE."""
    assert text.endswith("\n")
    samples: dict[Sample, float] = {}
    helped: list[str] = []
    typed: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped.append(line.split(" ", 3)[2])
        elif line.startswith("# TYPE "):
            name, kind = line.split(" ")[2:]
            assert (name, kind) == (helped[-1], "gauge")
            typed.append(name)
        elif not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            assert match[1] == typed[-1]
            key = match[1], frozenset(labels(match[2] or ""))
            assert key not in samples
            samples[key] = float(match[3])
    assert helped == typed
    assert len(set(typed)) == len(typed)
    return samples


def labels(text: str) -> list[tuple[str, str]]:
    """Names and values of labels, without escapes."""
    found = [each.partition("=") for each in re.findall(LABEL, text)]
    escapes = {"n": "\n", '"': '"', "\\": "\\"}
    return [(name, re.sub(r"\\(.)", lambda m: escapes[m[1]], value[1:-1])) for name, _, value in found]


def metrics(*every: Metric) -> Metrics:
    return Metrics(service="api", span=SPAN, metrics=every)


def test_prometheus_reads_every_known_metric() -> None:
    """A name with the unit at its end, the labels, and the value as it is."""
    place = {"environment": "production"}
    text = prometheus_text(
        metrics(
            Metric(name="lead_time", value=0.1 + 0.2, count=3, labels=place),
            Metric(name="change_fail_rate", value=0.0, count=3, labels=place),
            Metric(name="deployment_frequency", value=1e-7, count=3, labels=place),
            Metric(name="stage_duration", value=1e22, count=3, labels={"stage": "test", "period": "after"}),
        )
    )
    there = frozenset({("service", "api"), ("environment", "production")})
    stage = frozenset({("service", "api"), ("stage", "test"), ("period", "after")})
    assert parsed(text) == {
        ("release_lead_time_seconds", there): 0.1 + 0.2,
        ("release_change_fail_ratio", there): 0.0,
        ("release_deployment_frequency_per_day", there): 1e-7,
        ("release_stage_duration_seconds", stage): 1e22,
    }


def test_prometheus_gets_no_sample_of_what_is_not_known() -> None:
    """A comment gives the reason."""
    text = prometheus_text(metrics(Metric(name="lead_time", note="nothing was deployed")))
    assert parsed(text) == {}
    assert '# release_lead_time_seconds{service="api"} is not known: nothing was deployed' in text


def test_a_label_of_others_stays_one_label() -> None:
    """Quotes, backslashes and line ends are escaped, so that it adds no sample."""
    nasty = 'a"} 1\nrelease_lead_time_seconds 2 \\'
    text = prometheus_text(
        metrics(Metric(name="reproducibility_rate", value=1.0, count=1, labels={"where": nasty}))
    )
    (name, found) = next(iter(parsed(text)))
    assert (name, dict(found)) == ("release_reproducibility_ratio", {"service": "api", "where": nasty})


def test_people_read_a_table_for_each_environment_and_one_for_the_service() -> None:
    """With the number of observations, or why a value is not known."""
    found = metrics(
        Metric(name="lead_time", value=7500.0, count=2, labels={"environment": "production"}),
        Metric(name="lead_time", note="nothing was deployed", labels={"environment": "staging"}),
        Metric(name="stage_duration", value=1.5, count=2, labels={"period": "after", "stage": "test"}),
    )
    span = "2026-10-01 00:00:00 UTC to 2026-10-11 00:00:00 UTC"
    assert list(metric_tables(found)) == [
        (f"api in production, {span}", [("lead time", "2 h 05 min  releases: 2")]),
        (f"api in staging, {span}", [("lead time", "not known: nothing was deployed")]),
        (f"api, {span}", [("stage duration (after, test)", "1.5 s  releases: 2")]),
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (60, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (86_399, "23 h 59 min"),
        (183_300, "2 d 02 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    """Below a minute, tenths of a second."""
    assert duration_text(seconds) == text
