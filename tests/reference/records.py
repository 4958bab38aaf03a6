"""The JSON Schemas of records, written from their types."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from release.records import KINDS, SCHEMA, Envelope, Part


def pages() -> dict[str, str]:
    """Return the text of each schema by its path below docs/reference."""
    return {
        f"schemas/{kind}.json": json.dumps(record_schema(kind), indent=2, ensure_ascii=False) + "\n"
        for kind in sorted(KINDS)
    }


def record_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a record of this kind: envelope and body. Raises KeyError: no such kind.

    Keys that are not in it are allowed, as a later minor version may have them.
    """
    envelope, body = _without_null(_schema_of(Envelope)), _without_null(_schema_of(KINDS[kind]))
    place = envelope["properties"] | {
        "schema": {"type": "string", "pattern": rf"^{SCHEMA.partition('.')[0]}\.\d+$"},
        "kind": {"const": kind},
        "prev": _schema_of(Envelope)["properties"]["prev"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **body,
        "title": kind,
        "properties": place | body["properties"],
        "required": ["schema", *envelope["required"], *body.get("required", [])],
        "$defs": envelope["$defs"] | body.get("$defs", {}),
    }


class _WithoutTitles(GenerateJsonSchema):
    """A key's title would be its name once more."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def _schema_of(part: type[Part]) -> dict[str, Any]:
    return part.model_json_schema(by_alias=True, schema_generator=_WithoutTitles)


def _without_null(schema: Any) -> Any:
    """A key without a value is left out of a record, never null."""
    if isinstance(schema, list):
        return [_without_null(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    match schema:
        case {"anyOf": [given, {"type": "null"}], **more}:
            kept = {key: value for key, value in more.items() if key != "default" or value is not None}
            return _without_null(given | kept)
    return {key: _without_null(value) for key, value in schema.items()}
