"""What holds for every test: records are as their schemas say."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from release.records import Record
from tests import budget, schemas
from tests.soak import rows
from tests.terminal import NEUTRAL

for _name in NEUTRAL - {"CI"}:  # output is tested as nobody's in particular, wherever the tests run
    os.environ.pop(_name, None)

for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:  # as in a shell's background, and under `nohup`
        signal.signal(_number, _handler)

os.environ["TZ"] = "UTC"  # messages have the time zone of the machine
time.tzset()

_UNIT: Final = Path(__file__).parent / "unit"
_TWICE: Final = pytest.mark.flaky(reruns=1)
"""Tests on real engines share two processors: the second failure counts, the report lists the first."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the rows that only the soak plays, and allow tests on real engines a second attempt."""
    rows.choose(config, items)
    for item in () if rows.ALL else items:
        if not item.path.is_relative_to(_UNIT):
            item.add_marker(_TWICE)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the time of each folder after a long run."""
    budget.write(terminalreporter)


@pytest.fixture(scope="session", autouse=True)
def _records_are_as_documented() -> Iterator[None]:
    """Every record that this process makes or reads, checked at the one place where it becomes bytes."""
    to_bytes = Record.to_bytes
    seen: set[bytes] = set()

    def checked(record: Record[Any]) -> bytes:
        content = to_bytes(record)
        if content not in seen:
            schemas.check(json.loads(content))
            seen.add(content)
        return content

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Record, "to_bytes", checked)
        yield
