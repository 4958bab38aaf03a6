"""The configuration's reference page: it is what the parser does."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release.config import parse
from tests.reference import configuration
from tests.reference.configuration import ONE_SERVICE, SEVERAL_SERVICES

page = functools.cache(configuration.page)
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"
NAMED = re.compile(r"\.(environments|secrets|processes|companions|hooks|webhooks|groups)\.\w+")
PLACEHOLDERS = {
    "secrets": "VARIABLE",
    **dict.fromkeys(("environments", "processes", "companions", "hooks", "webhooks", "groups"), "name"),
}


def documented() -> set[str]:
    """The path of each key that has a row."""
    keys: set[str] = set()
    for section in re.split(r"^## ", page(), flags=re.MULTILINE)[1:]:
        heading = re.match(r"`\[(.+)\]`\n", section)
        if heading:
            keys |= {f"{heading[1]}.{key}" for key in re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)}
    return keys


def written(table: dict[str, Any], path: str) -> Iterator[str]:
    """The path of each key of a document, in the page's form."""
    for key, value in table.items():
        below = f"{path}.{key}"
        yield below
        if isinstance(value, dict):
            yield from written(value, below)


def in_the_pages_form(path: str) -> str:
    """Names of environments and variables become placeholders; a service's table is as the shared one."""
    shared = re.sub(r"^tool\.release\.services\.\w+", "tool.release", path)
    named = NAMED.sub(lambda m: f".{m[1]}.<{PLACEHOLDERS[m[1]]}>", shared)
    named = re.sub(r"\.swarm\.nodes\.[\w-]+", ".swarm.nodes.<node>", named)
    named = re.sub(r"\.audit\.waivers\.[\w-]+", ".audit.waivers.<id>", named)
    by_path = named.replace(".files./etc/api/settings.toml", '.files."<path>"')
    return by_path.replace(".build.secrets.<VARIABLE>", ".build.secrets.<id>")


def exemplified() -> set[str]:
    """Every key of the page's two examples."""
    documents = [tomllib.loads(text) for text in (ONE_SERVICE, SEVERAL_SERVICES)]
    paths = [path for document in documents for path in written(document["tool"]["release"], "tool.release")]
    return {in_the_pages_form(path) for path in paths}


def test_the_committed_page_is_what_the_parser_writes() -> None:
    """A change of the parser changes the page in the same commit."""
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: nox -s docs"


@pytest.mark.parametrize("example", [ONE_SERVICE, SEVERAL_SERVICES], ids=["one", "several"])
def test_an_example_of_the_page_is_accepted(example: str) -> None:
    """It can be copied; and it stands in the page as it is."""
    assert parse(tomllib.loads(example)).services
    assert f"```toml\n{example}```" in page()


@pytest.mark.parametrize("document", ["README.md", "docs/how-to/adopt.md"])
def test_the_smallest_table_of_a_document_is_accepted_alone(document: str) -> None:
    """A newcomer pastes the first table that names a service."""
    text = (PAGE.parents[2] / document).read_text(encoding="utf-8")
    table = tomllib.loads(re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0])
    (service,) = parse(table).services.values()
    assert service.environments
    assert (service.registry, service.build.target, service.test.target) == (None, None, None)
    assert not any(environment.secrets for environment in service.environments.values())


def test_every_documented_key_is_in_an_accepted_example() -> None:
    """So each key of the page is one that the parser takes."""
    assert documented() - exemplified() == set()


def test_every_key_of_a_table_is_documented() -> None:
    """The page has a row for each key of the examples that is not a table with a section of its own."""
    sections = {path.rpartition(".")[0] for path in documented()}
    leaves = {path for path in exemplified() if path.rpartition(".")[0] in sections}
    tables = {path for path in leaves if any(f"{section}.".startswith(f"{path}.") for section in sections)}
    assert leaves - tables - documented() == {"tool.release.services"}


def test_every_heading_of_the_page_is_there_once() -> None:
    """A table has one section."""
    headings = re.findall(r"^## .*$", page(), re.MULTILINE)
    assert sorted(headings) == sorted(set(headings))


def test_every_documented_key_has_a_meaning() -> None:
    """A key without a sentence would not help."""
    rows = [line.strip("|").split(" | ") for line in page().splitlines() if line.startswith("| `")]
    assert rows
    assert all(len(row[-1].strip()) > len("The.") for row in rows)


@pytest.mark.parametrize(
    "row",
    [
        '| `timeout` | a time, as "30s" (ms, s, m, h or d) | `"10m"` | After this time',
        '| `memory` | a size, as "256m" (b, k, m or g) | `"512m"` | Memory limit',
        "| `port` | whole number from 1 to 65535 | - | Port",
        "| `copy` | list: text | - | Files",
        "| `read_only` | true or false | `true` | Make",
    ],
)
def test_defaults_are_written_as_one_would_write_them(row: str) -> None:
    """In units, not in milliseconds and bytes; a key under the name that is written."""
    assert f"\n{row}" in page()
