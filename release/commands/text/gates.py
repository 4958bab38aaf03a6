"""Gates of a release as text, for `invoke show`."""

from __future__ import annotations

from release.records import Gate, SmokeMeasurements, TestsRan


def gate_text(gate: Gate) -> str:
    """Return a gate as a line; the gate of the tests with their number and proof."""
    line = f"{gate.name}: {gate.status} in {gate.duration_ms / 1000:.1f} s"
    notes = [reuse_text(gate)] if gate.run is not None else []
    notes += [measured_text(gate.measured)] if gate.measured is not None else []
    notes += [tests_text(gate.tests)] if gate.tests is not None else []
    notes += gate.findings or ()
    notes += [f"{name} is waived: {reason}" for name, reason in sorted((gate.waivers or {}).items())]
    return f"{line} ({'; '.join(notes)})" if notes else line


def reuse_text(gate: Gate) -> str:
    """Return the earlier run that passed the gate, as "reused from run 42, signed by the key SHA256:..."."""
    key = f"signed by the key {gate.signed_by}" if gate.signed_by is not None else "of the same clone"
    return f"reused from run {gate.run}, {key}"


def measured_text(measured: SmokeMeasurements) -> str:
    """Return the measurements of a smoke run, as "ready after 0.4 s, 43.1 MB of memory, image 55.0 MB"."""
    parts = [f"ready after {measured.ready_ms / 1000:.1f} s"] if measured.ready_ms is not None else []
    peak = measured.peak_memory
    parts += [f"{peak / 1e6:.1f} MB of memory"] if peak is not None else []
    return ", ".join([*parts, f"image {measured.image_size / 1e6:.1f} MB"])


def tests_text(tests: TestsRan) -> str:
    """Return the number and proof of the tests, as "12 tests, 1 skipped, by their JUnit report"."""
    if tests.evidence == "exit-status":
        return f"by its exit status alone: {tests.reason}"
    count = "1 test" if tests.count == 1 else f"{tests.count} tests"
    skipped = f", {tests.skipped} skipped" if tests.skipped else ""
    source = "by their JUnit report" if tests.evidence == "junit" else "as the output states"
    return f"{count}{skipped}, {source}"
