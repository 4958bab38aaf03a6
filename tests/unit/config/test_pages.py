"""The tables that pages show for smoke runs and companions are accepted as they stand there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from release.config import parse

HOW_TO = Path(__file__).parents[3] / "docs/how-to"
TABLES = [
    pytest.param(table, id=f"{page}-{number}")
    for page in (
        "release-a-worker.md",
        "several-processes.md",
        "several-services.md",
        "tests-with-a-database.md",
        "smoke.md",
    )
    for number, table in enumerate(
        re.findall(r"^```toml\n(.*?)^```", (HOW_TO / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    )
]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_a_page_is_accepted(table: str) -> None:
    """With a name and a question, where the page leaves them out."""
    release = tomllib.loads(table)["tool"]["release"]
    if "services" not in release:
        release.setdefault("service", "api")
    smoke = release.setdefault("smoke", {"port": 8000})
    if not {"port", "tcp", "check", "stays_up", "processes"} & smoke.keys():
        smoke["port"] = 8000
    assert parse({"tool": {"release": release}}).services


def test_the_pages_have_tables() -> None:
    """Else nothing was tried."""
    assert len(TABLES) > 4
