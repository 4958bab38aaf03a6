"""The reference page of the configuration, written from the parser.

A key's type and default come from the parser's JSON Schema, its
meaning from the text below it in release/config or release/gatespec.py.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from release import config
from release.config import Service
from release.config.group import Group
from release.config.runsettings import RunSettings
from release.scalars import Duration, FileMode, Memory, Pause, duration_text, size_text

ONE_SERVICE: Final = Path(__file__).with_name("one_service.toml").read_text(encoding="utf-8")
"""Every key of one service but those that exclude another."""

SEVERAL_SERVICES: Final = Path(__file__).with_name("several_services.toml").read_text(encoding="utf-8")
"""What two services share, and what is one's own."""

_PAGE: Final = """\
# Configuration

<!-- Written from the parser by `nox -s docs`. After a change of the parser, write it again. -->

All settings are in `[tool.release]` of `pyproject.toml`, or in a file `release.toml` beside it. The file has
the same tables without `tool.release`: `[smoke]`, `[environments.production]`. Both at once are refused.
`release.toml` is left out of the build context: a change of it rebuilds nothing.

The configuration is checked before anything else happens. All problems are reported at once, each with the
path of its key. An unknown key is a problem too. A problem ends the command with exit code 2, and nothing was
changed.

A time is text with its unit, as `"30s"` (ms, s, m, h, d). A size is text with its unit, as `"256m"` (b, k, m,
g: each 1024 of the one before), or a whole number of bytes. Paths are relative to the repository's root, and
may not leave it. A dash means that nothing is set.

{tables}
## One service

With every key, but `install`, `copy` and `test.secrets`, which exclude `target`, and `evidence` and `reason`,
which exclude `report` and `count`:

```toml
{one}```

## Several services

Each service has its own table `[tool.release.services.<name>]`. All services share the keys outside of these
tables. A key of a service replaces the shared one, table by table. Commands then take `--service`, and git
tags carry the name: `api/v1.4.2`.

Services of a group are deployed together; they need the same `ledger`.

```toml
{several}```
"""

_LINKED: Final = (
    "Ledger",
    "Lock",
    "Lint",
    "DockerfileLint",
    "Build",
    "Secret",
    "Push",
    "Test",
    "Installed",
    "Audit",
    "AuditWaiver",
    "Limits",
    "Reuse",
    "Smoke",
    "SmokeRun",
    "Companion",
    "Migrations",
    "Retention",
    "Environment",
    "Process",
    "EnvironmentSecret",
    "Hook",
    "Webhook",
    "File",
    "HealthcheckSettings",
    "Proxy",
    "Swarm",
    "NodeEngine",
    "Kubernetes",
    "Chart",
)
"""The tables, in the order of the page; each has a section of its own."""


def page() -> str:
    """The page docs/reference/configuration.md, in Markdown."""
    schema = Service.model_json_schema(by_alias=True)
    group = Group.model_json_schema(by_alias=True)
    tables = [schema, *(schema["$defs"][name] for name in _LINKED), group]
    return _PAGE.format(
        tables="\n".join(map(_section, tables)),
        one=ONE_SERVICE,
        several=SEVERAL_SERVICES,
    )


def _section(table: dict[str, Any]) -> str:
    heading, _, sentence = table["description"].partition(": ")
    lines = [f"## {heading}", "", f"{sentence[0].upper()}{sentence[1:]}", ""]
    lines += ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*lines, *_rows(table)]) + "\n"


def _rows(table: dict[str, Any]) -> Iterator[str]:
    meanings = _meanings(table["title"])
    told = _TOLD_ELSEWHERE.get(table["title"], frozenset())
    for key, schema in table["properties"].items():
        if key not in told and not _is_section(schema):
            cells = [f"`{key}`", _value(schema), _default(schema, key, table), meanings[key]]
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


_TOLD_ELSEWHERE: Final = {"Process": frozenset(RunSettings.model_fields)}
"""Keys that the section of another table has, by the table that has them too."""


def _is_section(schema: dict[str, Any]) -> bool:
    """Return whether the key is a table whose keys are in a section of their own."""
    if "description" in schema:  # a table that has its section elsewhere
        return False
    below = [schema, *schema.get("patternProperties", {}).values(), *schema.get("anyOf", [])]
    return any(each.get("$ref", "").rpartition("/")[2] in _LINKED for each in below)


def _value(schema: dict[str, Any]) -> str:
    """Return what may be written for a key, in words."""
    match schema:
        case {"description": words}:
            return str(words)
        case {"anyOf": [given, {"type": "null"}]}:
            return _value(given)
        case {"enum": values}:
            return ", ".join(f"`{json.dumps(value)}`" for value in values)
        case {"const": value}:
            return f"`{json.dumps(value)}`"
        case {"type": "array", "items": item}:
            return f"list: {_value(item)}"
        case {"type": "object"}:
            return "table: text by name"
        case {"type": "integer", "minimum": low, **more}:
            return f"whole number from {low}" + (f" to {more['maximum']}" if "maximum" in more else "")
        case {"type": "boolean"}:
            return "true or false"
        case _:
            return "text"


def _default(schema: dict[str, Any], key: str, table: dict[str, Any]) -> str:
    if key in table.get("required", ()):
        return _ELSEWHERE.get(key, "required")
    value = schema.get("default")
    if value is None or value == []:
        return "-"
    given = schema if "description" in schema else schema.get("anyOf", [schema])[0]
    if given.get("description") in _UNITS:
        value = _UNITS[given["description"]](value)
    return f"`{json.dumps(value)}`"


_ELSEWHERE: Final = {"service": "`project.name`"}
"""Defaults that the parser takes from outside of `[tool.release]`."""

_UNITS: Final = {
    TypeAdapter(Duration).json_schema()["description"]: duration_text,
    TypeAdapter(Pause).json_schema()["description"]: duration_text,
    TypeAdapter(Memory).json_schema()["description"]: size_text,
    TypeAdapter(FileMode).json_schema()["description"]: "{:04o}".format,
}
"""How a number is written as text, by the words for its type."""


def _meanings(title: str) -> dict[str, str]:
    """The text below each key of a class in `release.config`, and of its bases."""
    folder = Path(config.__file__).parent
    tables = {
        node.name: node
        for module in (*folder.glob("*.py"), folder.with_name("gatespec.py"))
        for node in ast.parse(module.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    table = tables[title]
    inherited = [ast.unparse(base) for base in table.bases if ast.unparse(base) in tables]
    return {key: text for base in inherited for key, text in _meanings(base).items()} | {
        ast.unparse(field.target).removesuffix("_"): " ".join(ast.literal_eval(text.value).split())
        for field, text in zip(table.body, table.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }
