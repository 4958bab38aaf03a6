"""The table "attack, refused by", written from the tests that carry `@pytest.mark.attack`.

`nox -s docs` writes docs/reference/attacks.md; a unit test compares the file with the marks.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent

HEAD = """# Attacks and what refuses them

Each row is a test that makes the attack and checks the refusal. `nox -s docs` writes this page from the
marks of the tests. [The trust model](../explanation/trust.md) says who can do what with which rights.

| attack | refused by | test |
| --- | --- | --- |
"""


class Attack(NamedTuple):
    """One marked test: the attack, the refusal, the file and the test's name."""

    attack: str
    refusal: str
    file: str
    test: str


def attacks() -> list[Attack]:
    """Return all marked tests, by file. Raises ValueError: a mark is not two texts."""
    files = sorted(path for folder in ("unit", "engine", "lab") for path in (TESTS / folder).rglob("*.py"))
    return [found for file in files for found in _of_file(file)]


def _of_file(file: Path) -> Iterator[Attack]:
    name = file.relative_to(TESTS.parent).as_posix()
    source = file.read_text(encoding="utf-8")
    if "mark.attack" not in source:
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.attack":
                    words = [ast.literal_eval(argument) for argument in decorator.args]
                    if len(words) != 2 or not all(isinstance(word, str) and word for word in words):
                        raise ValueError(f"{name}: {node.name}: the mark needs two texts: attack, refusal")
                    yield Attack(words[0], words[1], name, node.name)


def page() -> str:
    """Return the whole page as Markdown."""
    rows = (
        f"| {_cell(each.attack)} | {_cell(each.refusal)} | `{each.file}`: `{each.test}` |"
        for each in attacks()
    )
    return HEAD + "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
