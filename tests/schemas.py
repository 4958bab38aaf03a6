"""The committed JSON Schemas of records, to hold records against."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parents[1] / "docs" / "reference" / "schemas"


@cache
def validator(kind: str) -> Draft202012Validator:
    """Of one kind of record. Raises FileNotFoundError for a kind without a schema."""
    schema = json.loads((FOLDER / f"{kind}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def check(record: dict[str, Any]) -> None:
    """Raises jsonschema.ValidationError for a record that is not as its schema says."""
    validator(record["kind"]).validate(record)


def recorded(repository: Path, branch: str = "release-ledger") -> list[dict[str, Any]]:
    """All records on the ledger's branch of a git repository, read with git alone."""
    git = ("git", "-c", "safe.bareRepository=all", "-C", str(repository))
    listed = subprocess.run(
        (*git, "ls-tree", "-r", "--format=%(objectname)", f"refs/heads/{branch}", "records/"),
        capture_output=True,
        text=True,
        check=False,
    )
    blobs = subprocess.run(
        (*git, "cat-file", "--batch"), input=listed.stdout.encode(), capture_output=True, check=True
    )
    return [json.loads(line) for line in blobs.stdout.splitlines() if line.startswith(b"{")]
