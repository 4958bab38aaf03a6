"""The worked example of the documentation, computed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from release.commands.text.metrics import metric_tables, prometheus_text, value_text
from release.console.layout import field_lines
from release.ledger import query
from release.ledger.metrics import DEFINITIONS, Metrics
from tests.unit.ledger.metrics.scripted import at, find, value
from tests.unit.ledger.metrics.worked import PAGE, SINCE, UNTIL, example, table
from tests.unit.repository import ENVIRONMENT, Repository


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Metrics]:
    """The metrics of the example, whose ledger is written once."""
    with pytest.MonkeyPatch.context() as patch:
        for name, text in ENVIRONMENT.items():
            patch.setenv(name, text)
        here = Repository.init(tmp_path_factory.mktemp("example"))
        yield example(here).measured(SINCE, UNTIL)


def test_the_metrics_equal_values_that_were_computed_by_hand(found: Metrics) -> None:
    """Over failures, a rollback, a hotfix, and clocks that were put back."""
    days = 73 / 24
    assert value(found, "deployment_frequency") == pytest.approx(4 / days)
    assert value(found, "lead_time") == (83 + 123) / 2 * 60
    assert value(found, "change_fail_rate") == 2 / 5
    assert value(found, "failed_deployment_recovery_time") == (80 + 4) / 2 * 60
    assert value(found, "rework_rate") == 2 / 5
    assert value(found, "dependency_recovery_time") == 80 * 60
    assert value(found, "rollback_frequency") == pytest.approx(1 / days)
    assert value(found, "lock_age") == (2 * 24 + 2) * 3600 + 55 * 60
    assert value(found, "chain_duration", period="after") == (90 + 100) / 2
    assert value(found, "chain_duration", period="before") == 120
    assert value(found, "stage_duration", period="after", stage="build") == (30 + 40) / 2
    assert value(found, "stage_duration", period="after", stage="test") == (30 + 32) / 2
    assert value(found, "stage_duration", period="before", stage="build") == 60
    assert find(found, "reproducibility_rate").value == pytest.approx(2 / 3)
    assert value(found, "reproducibility_rate", where="github") == 1
    assert value(found, "reproducibility_rate", where="machine") == 0
    assert find(found, "emergency_pin_frequency").value is None


def test_midnight_in_berlin_begins_the_span_of_the_example() -> None:
    """Three days by the calendar are 73 hours when the clocks are put back."""
    clock = query.Clock(now=datetime(2026, 10, 26, 23, tzinfo=UTC), zone=ZoneInfo("Europe/Berlin"))
    assert query.parse_since("2026-10-24", clock).text == at(SINCE)


def test_the_page_shows_what_the_command_prints(found: Metrics) -> None:
    """Both formats, line by line."""
    lines = [line for title, rows in metric_tables(found) for line in (title, *field_lines(rows))]
    blocks = re.findall(r"^```text\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks == ["\n".join(lines) + "\n", prometheus_text(found)]


def test_the_page_computes_each_value_that_it_explains(found: Metrics) -> None:
    """The third column is the value of the metric, in production or of the service."""
    rows = table("metric | computed")
    assert {row[0].strip("`") for row in rows} == set(DEFINITIONS) - {
        "emergency_pin_frequency",
        "stage_duration",
    }
    for name, _, shown in rows:
        labels = [{"environment": "production"}, {"period": "after"}, {}]
        metrics = [each for each in found.metrics if each.name == name.strip("`") and each.labels in labels]
        assert value_text(metrics[0]) == shown, name


def test_the_page_defines_every_metric_and_its_records() -> None:
    """In the order of the table of definitions."""
    rows = table("metric | definition")
    shown = {name.strip("`"): tuple(re.findall(r"`(\w+)`", records)) for name, _, records in rows}
    assert shown == {name: each.records for name, each in DEFINITIONS.items()}
    assert list(shown) == list(DEFINITIONS)


def test_json_names_unit_records_and_number_of_observations(found: Metrics) -> None:
    """With the labels beside them."""
    (row,) = [row for row in found.to_json()["metrics"] if row["name"] == "change_fail_rate"]
    assert row == {
        "name": "change_fail_rate",
        "environment": "production",
        "value": 0.4,
        "unit": "ratio",
        "count": 5,
        "counted": "deployments",
        "records": ["deployment"],
        "note": "",
    }
