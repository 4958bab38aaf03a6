"""The rows of parametrised tests that `nox -s soak` alone plays, and the page that lists them.

Each change plays one row for each kind of fault; the soak plays all.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import pytest

PAGE: Final = Path(__file__).parents[2] / "docs/reference/soak.md"
ALL: Final = "RELEASE_SOAK" in os.environ
"""Whether all rows are played."""


SEED: Final = int(os.environ.get("RELEASE_SEED") or random.SystemRandom().randrange(10**6))
"""A run with the same seed draws the same samples."""

T = TypeVar("T")


def sample(of: Sequence[T], number: int) -> Sequence[T]:
    """Draw some of all, in their order; the soak takes all. The seed is printed."""
    print(f"RELEASE_SEED={SEED}")
    drawn = sorted(random.Random(SEED).sample(range(len(of)), len(of) if ALL else number))
    return [of[place] for place in drawn]


class Rows(NamedTuple):
    """Rows of one test that are left to the soak."""

    promise: str
    left: tuple[str, ...]
    """Their ids."""
    stays: str
    """What each change plays of the same promise."""


_LOCKFILES: Final = "tests/engine/chain/test_lockfiles.py"

TABLE: Final = {
    f"{_LOCKFILES}::test_a_file_of_uv_is_fresh_however_it_was_made": Rows(
        promise="a file that `uv pip compile` wrote is fresh, with whatever options it was made",
        left=(
            "universal",
            "universal, annotations in the line",
            "without header and annotations",
            "markers kept",
            "another Python",
        ),
        stays="without header, hashes, another platform, extras kept, a custom command",
    ),
    f"{_LOCKFILES}::test_a_file_of_pip_compile_is_fresh_however_it_was_made": Rows(
        promise="a file that pip-compile wrote is fresh, with whatever options it was made",
        left=(
            "without extras",
            "hashes",
            "unsafe packages",
            "without annotations",
            "annotations in the line",
            "without index options",
        ),
        stays="as it is, with extras, without header",
    ),
}
"""By test; `choose` compares the ids with those that pytest has found."""


class Sample(NamedTuple):
    """A part of many cases, drawn for every run."""

    promise: str
    every_run: str
    soak: str
    test: str


SAMPLES: Final = (
    Sample(
        promise="a lockfile of each kind is fresh, stale or not checked, as its own tool says",
        every_run="22 rows, at least one of each kind of change",
        soak="each kind with each change",
        test="test_tools.py",
    ),
    Sample(
        promise="a release that is killed and run again is one release",
        every_run="1 boundary of a stage, 1 random moment",
        soak="all boundaries, 200 random moments",
        test="test_kills.py",
    ),
    Sample(
        promise="many clones that release one commit at once make one release",
        every_run="2 clones",
        soak="10 clones",
        test="test_clones.py",
    ),
    Sample(
        promise="an operator who dies at any step behind a proxy costs no request",
        every_run="2 steps of one container, 1 of two",
        soak="all steps",
        test="test_deaths.py",
    ),
    Sample(
        promise="what an operator who dies left is finished or undone by the next one",
        every_run="2 of 4 steps before the new container runs, 2 of 4 after",
        soak="all steps",
        test="test_converge.py",
    ),
    Sample(
        promise="no request fails during deployments behind a proxy",
        every_run="nginx, HAProxy, Caddy",
        soak="five configurations, with more requests",
        test="test_load.py",
    ),
    Sample(
        promise="a deployment of several processes loses no work",
        every_run="three small processes that change, fail and go back",
        soak="the shop: Django, Celery, PostgreSQL and Redis, with orders that come in all the time",
        test="test_processes.py",
    ),
    Sample(
        promise="ignore files mean the same to the builder and to a release",
        every_run="24 generated files, 12 fixed ones",
        soak="600 generated files, all fixed ones",
        test="test_ignored.py",
    ),
)

_TEXT: Final = """\
# What the soak test runs

<!-- Written from tests/soak/rows.py by `nox -s docs`. -->

The soak test is the longest run of the tests, `nox -s soak`. A table of tests has one row for each case.
`nox -s tests` runs only one row for each kind of fault, so that a change is tested in minutes. The soak test
runs every row. It also has long runs: many writers on one ledger, hundreds of killed processes, engines that
die, a Swarm with faults. Every promise is tested in each run too: the tables below say how.

## Rows

| promise | rows of the soak test | rows of every run | test |
| --- | --- | --- | --- |
{rows}
The page [faults](faults.md) marks the rows that only the soak test runs.

## Samples

| promise | every run | soak test | test |
| --- | --- | --- | --- |
{samples}"""


def choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the rows of the soak. Raises UsageError: the table names a row that does not exist."""
    by_test: dict[str, list[pytest.Item]] = {}
    for item in items:
        by_test.setdefault(item.nodeid.partition("[")[0], []).append(item)
    left = [item for test in TABLE for item in _left(test, by_test.get(test, []))]
    if left and not ALL:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def _left(test: str, items: Sequence[pytest.Item]) -> list[pytest.Item]:
    rows = {_id_of(item): item for item in items}
    unknown = set(TABLE[test].left) - set(rows)
    if unknown and len(items) > 1:  # one alone was asked for by its name
        raise pytest.UsageError(f"tests/soak/rows.py: {test} has no rows {sorted(unknown)}")
    return [rows[name] for name in TABLE[test].left if name in rows and len(items) > 1]


def _id_of(item: pytest.Item) -> str:
    """Return the id of a row; a worker of pytest-xdist adds `@GROUP` to the ids of tests in a group."""
    return item.nodeid.partition("[")[2].rpartition("]")[0]


def page() -> str:
    """Return the page as Markdown."""
    rows = (
        _row(each.promise, ", ".join(each.left), each.stays, f"`{test.rpartition('/')[2]}`")
        for test, each in TABLE.items()
    )
    samples = (_row(each.promise, each.every_run, each.soak, f"`{each.test}`") for each in SAMPLES)
    return _TEXT.format(rows="".join(rows), samples="".join(samples))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"
