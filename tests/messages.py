"""The strings of the package that a person may read. `python -m tests.messages` lists them."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "release"


def strings(module: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each string that is no docstring. A value in an f-string is `{}`."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            skipped.update(node.values)
            yield node.lineno, "".join(map(_part, node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def _part(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else "{}"


@functools.cache
def sentences() -> tuple[tuple[str, str], ...]:
    """Return place and text of each string with a blank in it: keys, names and patterns have none."""
    return tuple(
        (f"{module.relative_to(PACKAGE.parent)}:{line}", text)
        for module in sorted(PACKAGE.rglob("*.py"))
        for line, text in strings(module)
        if " " in text.strip()
    )


if __name__ == "__main__":
    for place, text in sentences():
        if place.startswith(tuple(sys.argv[1:]) or ""):
            print(f"{place}\t{text!r}")  # one line each
