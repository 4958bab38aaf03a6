"""The gates of a release in words."""

from __future__ import annotations

from typing import Any

import pytest

from release.commands.text.gates import gate_text
from release.records import Gate, TestsRan


def gate(**tests: Any) -> Gate:
    known = {"name": "test", "status": "passed", "started": "2026-11-20T10:00:00.000Z", "duration_ms": 1200}
    told = TestsRan(argv=("pytest",), **tests) if tests else None
    return Gate.model_validate({**known, "evidence_sha256": "0" * 64, "tests": told})


@pytest.mark.parametrize(
    ("tests", "text"),
    [
        ({}, "test: passed in 1.2 s"),
        ({"evidence": "junit", "count": 1}, "test: passed in 1.2 s (1 test, by their JUnit report)"),
        (
            {"evidence": "output", "count": 12, "skipped": 2},
            "test: passed in 1.2 s (12 tests, 2 skipped, as the output states)",
        ),
        (
            {"evidence": "exit-status", "reason": "a script"},
            "test: passed in 1.2 s (by its exit status alone: a script)",
        ),
    ],
    ids=["older record", "junit", "output", "exit status"],
)
def test_a_gate_says_what_shows_that_tests_ran(tests: dict[str, Any], text: str) -> None:
    """A record of an older version has nothing to say of it."""
    assert gate_text(gate(**tests)) == text


def test_what_a_gate_let_pass_is_shown() -> None:
    """Findings that did not stop the release, and waivers with their reasons."""
    one = Gate(
        name="installed",
        status="passed",
        started="2026-11-20T12:00:00.000Z",
        duration_ms=1500,
        evidence_sha256="0" * 64,
        findings=("six 1 is installed and not locked",),
        waivers={"pip": "a tool"},
    )
    assert gate_text(one) == (
        "installed: passed in 1.5 s (six 1 is installed and not locked; pip is waived: a tool)"
    )


def test_a_reused_gate_names_its_run_and_the_key() -> None:
    """A gate that ran itself says nothing of it."""
    run = gate().model_copy(update={"run": "42"})
    assert gate_text(run) == "test: passed in 1.2 s (reused from run 42, of the same clone)"
    signed = run.model_copy(update={"signed_by": "SHA256:abc"})
    assert "(reused from run 42, signed by the key SHA256:abc)" in gate_text(signed)
