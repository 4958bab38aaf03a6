"""Findings of audits, and their waivers."""

from __future__ import annotations

import json
from datetime import date

import pytest
from pydantic import ValidationError

from release.chain.auditing.findings import apply_audit_waivers, parse_audit_output
from release.chain.auditing.stage import to_requirements_file
from release.config import Audit, AuditWaiver

PIP_AUDIT = {
    "dependencies": [
        {
            "name": "Flask",
            "version": "0.5",
            "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.0"], "aliases": ["CVE-1"]}],
        },
        {"name": "six", "version": "1.17.0", "vulns": []},
        {"name": "own", "skip_reason": "it is not in the index"},
    ],
    "fixes": [],
}
OSV = {
    "results": [
        {
            "packages": [
                {"package": {"name": "flask", "version": "0.5"}, "vulnerabilities": [{"id": "PYSEC-1"}]}
            ]
        }
    ]
}
PLAIN = [{"id": "PYSEC-1", "package": "flask", "version": "0.5", "fixed": ["1.0"]}]
DAY = date(2026, 11, 30)


@pytest.mark.parametrize("document", [PIP_AUDIT, OSV, PLAIN])
def test_documents_of_several_tools_are_read(document: object) -> None:
    """pip-audit, OSV-Scanner, and a list that a team writes itself."""
    (found,) = parse_audit_output(json.dumps(document).encode()).vulnerabilities
    assert (found.id, found.package, found.version) == ("PYSEC-1", "flask", "0.5")


def test_a_package_that_was_not_looked_up_is_named() -> None:
    """With the reason of the tool."""
    assert parse_audit_output(json.dumps(PIP_AUDIT).encode()).skipped == ("own: it is not in the index",)


@pytest.mark.parametrize("content", [b"", b"no json", b"{}", b'"text"', b'{"dependencies": 1}', b"[1]"])
def test_another_shape_is_an_error(content: bytes) -> None:
    """It is never taken for a document without findings."""
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        parse_audit_output(content)


@pytest.mark.parametrize("name", ["PYSEC-1", "CVE-1"])
def test_a_waiver_counts_until_its_last_day(name: str) -> None:
    """By the id or another name of it; then the finding is open again, and says why."""
    found = parse_audit_output(json.dumps(PIP_AUDIT).encode()).vulnerabilities
    waivers = {name: AuditWaiver(reason="not reachable", until="2026-11-30")}
    assert apply_audit_waivers(found, waivers, DAY).waivers == {"PYSEC-1": "not reachable (until 2026-11-30)"}
    assert apply_audit_waivers(found, waivers, date(2026, 12, 1)).open == (
        "flask 0.5 has PYSEC-1; fixed in 1.0; its waiver ended on 2026-11-30",
    )


def test_a_waiver_needs_a_reason_and_a_day() -> None:
    """A waiver without an end is forgotten."""
    for wrong in ({"reason": "x" * 3}, {"until": "2026-12-31"}, {"reason": "why not", "until": "soon"}):
        with pytest.raises(ValidationError):
            AuditWaiver.model_validate(wrong)


def test_a_command_names_its_output() -> None:
    """What a tool prints is mixed with its warnings."""
    with pytest.raises(ValidationError, match="output"):
        Audit.model_validate({"command": ["pip-audit"]})


def test_the_packages_are_a_requirements_file() -> None:
    """Each once, whatever number of environments has it."""
    rows = [{"name": "six", "version": "1"}, {"name": "six", "version": "1"}, {"name": "b", "version": "2"}]
    assert to_requirements_file(json.dumps({"packages": rows}).encode()) == "b==2\nsix==1\n"
