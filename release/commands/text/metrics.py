"""Metrics as text, and in the text format of Prometheus. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from release.commands.text.parts import Row
from release.ledger.metrics import DEFINITIONS, Metric, Metrics
from release.text.control_characters import inert_line
from release.text.local_time import local_time

_SUFFIX: Final = {"per day": "per_day", "ratio": "ratio", "seconds": "seconds"}
_UNITS: Final = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def metric_tables(found: Metrics) -> Iterator[tuple[str, list[Row]]]:
    """Yield a titled table for each environment, then one for the service."""
    span = f"{local_time(found.span.since)} to {local_time(found.span.until)}"
    groups: dict[str | None, list[Metric]] = {}
    for metric in found.metrics:
        groups.setdefault(metric.labels.get("environment"), []).append(metric)
    for environment, metrics in groups.items():
        place = f" in {environment}" if environment is not None else ""
        yield (
            f"{found.service}{place}, {span}",
            [(_metric_label(each), _metric_value_text(each)) for each in metrics],
        )


def _metric_label(metric: Metric) -> str:
    """Return the label of a metric, as "stage duration (before, test)"."""
    others = [value for name, value in metric.labels.items() if name != "environment"]
    return metric.name.replace("_", " ") + (f" ({', '.join(others)})" if others else "")


def _metric_value_text(metric: Metric) -> str:
    if metric.value is None:
        return inert_line(f"not known: {metric.note}")
    return f"{value_text(metric)}  {metric.definition.counted}: {metric.count}"


def value_text(metric: Metric) -> str:
    """Return a known value with its unit, as "0.43 per day", "25.0 %" or "2 h 05 min"."""
    value = metric.value or 0.0
    match metric.definition.unit:
        case "ratio":
            return f"{value * 100:.1f} %"
        case "per day":
            return f"{value:.2f} per day"
        case _:
            return duration_text(value)


def duration_text(seconds: float) -> str:
    """Return a duration in its two largest units, as "1.2 s" or "2 h 05 min"."""
    for size, unit, small, small_unit in _UNITS:
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            return f"{whole} {unit} {rest // small:02d} {small_unit}"
    return f"{seconds:.1f} s"


def prometheus_text(found: Metrics) -> str:
    """Return the metrics in the text format 0.0.4 of Prometheus.

    A metric that is not known has a comment in the place of a sample. See "Exposition formats" in the
    documentation of Prometheus.
    """
    lines: list[str] = []
    for name, definition in DEFINITIONS.items():
        samples = [each for each in found.metrics if each.name == name]
        full = prometheus_name(name)
        lines += [f"# HELP {full} {_escape_help_text(definition.meaning)}", f"# TYPE {full} gauge"]
        lines += [_prometheus_sample(full, found.service, each) for each in samples]
    return "\n".join(lines) + "\n"


def prometheus_name(name: str) -> str:
    """Return the name that a metric has in Prometheus, with its unit at the end."""
    return f"release_{name.removesuffix('_rate')}_{_SUFFIX[DEFINITIONS[name].unit]}"


def _prometheus_sample(full: str, service: str, metric: Metric) -> str:
    labels = {"service": service, **metric.labels}
    inner = ",".join(f'{name}="{_quote_label_value(value)}"' for name, value in labels.items())
    if metric.value is None:
        return f"# {full}{{{inner}}} is not known: {inert_line(metric.note)}"
    return f"{full}{{{inner}}} {metric.value!r}"


def _escape_help_text(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quote_label_value(value: str) -> str:
    return _escape_help_text(value).replace('"', r"\"")
