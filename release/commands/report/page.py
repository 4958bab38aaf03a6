"""HTML of the report: one file without external resources."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from release import __version__
from release.commands.report.charts import bar_chart, count_by_week, stage_chart
from release.commands.report.data import ReportData
from release.commands.report.packing import pack_report
from release.commands.text.history import HISTORY
from release.commands.text.metrics import value_text
from release.ledger.metrics import Metric

_TEMPLATES: Final = Path(__file__).parent / "templates"


@cache
def _template_environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def render_page(data: ReportData) -> str:
    """Return the page as HTML with escaped texts; its policy allows only its own script."""
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    newest = data.releases[0] if data.releases else None
    return (
        _template_environment()
        .get_template("report.html.j2")
        .render(
            data=data,
            columns=HISTORY,
            version=__version__,
            script=Markup(script),  # noqa: S704 - our own file
            style=Markup(style),  # noqa: S704 - our own file
            policy=_content_security_policy(script, style),
            payload=Markup(_json_for_script(pack_report(data))),  # noqa: S704 - has no < in it
            groups=list(_metric_groups(data)),
            waterfall=_chart_markup(stage_chart(newest["g"], f"stages of {newest['v']}")) if newest else "",
            newest=newest,
        )
    )


def _chart_markup(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704 - numbers and escaped labels


def _content_security_policy(script: str, style: str) -> str:
    """Return the content security policy, which allows only this script and this style."""
    names = (b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style))
    own = (f"{kind}-src 'sha256-{name}'" for kind, name in zip(("script", "style"), names, strict=True))
    return "; ".join(("default-src 'none'", "base-uri 'none'", "form-action 'none'", *own))


def _json_for_script(value: Any) -> str:
    """Return JSON escaped for a script element (HTML, "Restrictions for contents of script elements")."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _metric_groups(data: ReportData) -> Iterator[dict[str, Any]]:
    """Yield the metrics of each environment with its chart, then those of the service."""
    span = data.metrics.span
    by_name: dict[str | None, list[Metric]] = {}
    for metric in data.metrics.metrics:
        by_name.setdefault(metric.labels.get("environment"), []).append(metric)
    for name, metrics in by_name.items():
        mine = [(moment, outcome) for moment, place, outcome in data.deployments if place == name]
        label = f"deployments in {name} by week"
        chart = (
            _chart_markup(bar_chart(count_by_week(mine, span.since, span.until), label))
            if name is not None
            else ""
        )
        yield {"name": name, "chart": chart, "rows": [_metric_row(each) for each in metrics]}


def _metric_row(metric: Metric) -> tuple[str, str, str]:
    others = [value for key, value in metric.labels.items() if key != "environment"]
    label = metric.name.replace("_", " ") + (f" ({', '.join(others)})" if others else "")
    if metric.value is None:
        return label, "not known", metric.note
    return label, value_text(metric), f"{metric.count} {metric.definition.counted}"
