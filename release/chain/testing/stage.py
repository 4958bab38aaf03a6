"""The gate `test`: run the tests in the image; pass only with proof that tests ran."""

from __future__ import annotations

import base64
import shlex
from typing import Any, Final

from release.chain.building.stage import BuiltImage, engine_facts
from release.chain.checked.identity import image_identity
from release.chain.companions import companion_settings, run_companions
from release.chain.reports import findings_from_junit
from release.chain.stage_cache import CachedResult, ReusePolicy
from release.chain.stage_context import StageContext, evidence_bytes
from release.chain.testing import coverage
from release.chain.testing.image import (
    build_test_image_early,
    last_test_image,
    refuse_other_layers,
    test_image,
)
from release.chain.testing.known import find_committed_tests
from release.chain.testing.layer import dockerfile_of_test_layer, layer_build_command, paths_to_copy
from release.chain.testing.proof import (
    add_report_options,
    has_found_no_tests,
    no_tests_error,
    prove_tests_ran,
)
from release.chain.testing.run import FinishedTestRun, describe_exit_status, hint_for_failed_tests, run_tests
from release.errors import GateFailed
from release.events import Found
from release.files import private
from release.images.engine import StoredImage
from release.records import TestsRan
from release.text.shortening import SUMMARY, shortened
from release.values import Struct

__all__ = [
    "TEST_REUSE",
    "TestsPassed",
    "add_report_options",
    "build_test_image_early",
    "dockerfile_of_test_layer",
    "layer_build_command",
    "paths_to_copy",
    "test",
]

_SLOW_SECONDS: Final = 0.5
"""Seconds from which a test is reported as slow."""


class TestsPassed(Struct, frozen=True, kw_only=True):
    """Result of the gate: tests ran and passed in an image that starts with the released layers."""

    evidence: bytes
    summary: str
    tests: TestsRan | None = None


def test(ctx: StageContext) -> TestsPassed:
    """Run the configured command in the image.

    Raises:
        GateFailed: the tests failed, no proof that tests ran, or other layers than the released ones.
    """
    built = ctx.products.get(BuiltImage)
    ctx.reports.remove(ctx.reports.junit_path)
    with run_companions(ctx, "test") as private:
        with test_image(ctx, built) as image:
            refuse_other_layers(image, built.stored_image)
            ran = run_tests(ctx, image, private)
            ctx.background.add(lambda: ctx.engine.untag(last_test_image(ctx)))
        if ran.report is not None:
            _write_report(ctx, ran.report)
        _report_slowest_tests(ctx, ran)
        tests = _prove_passed(ctx, ran)
    return TestsPassed(tests=tests, evidence=_test_evidence(image, ran), summary=_summarize_tests(ran, tests))


def _prove_passed(ctx: StageContext, ran: FinishedTestRun) -> TestsRan:
    """Return the proof that the tests passed. Raises GateFailed."""
    config = ctx.plan.service.test
    if ran.seen.status == 0:
        return prove_tests_ran(config, ran.seen, lambda: find_committed_tests(ctx))
    if has_found_no_tests(config, ran.seen):
        raise no_tests_error(config, ran.seen, find_committed_tests(ctx))
    _report_failures(ctx, ran.report)
    raise GateFailed(
        "test",
        f"`{shlex.join(config.command)}` in the image ended with status {describe_exit_status(ran)}",
        hint_for_failed_tests(ran, config, find_committed_tests(ctx)),
        ran.tail,
    )


def _test_evidence(image: StoredImage, ran: FinishedTestRun) -> bytes:
    """The evidence: the report, or the hash of the output."""
    output = {} if ran.report is not None else {"output_sha256": ran.output_sha256}
    return evidence_bytes("test", {"image": str(image.id), **output}) + (ran.report or "").encode()


def _summarize_tests(ran: FinishedTestRun, tests: TestsRan) -> str:
    """The last line of the output, and what it lacks."""
    lines = [line.strip("= ") for line in ran.tail if line.strip("= ")]
    said = shortened(lines[-1] if lines else "", SUMMARY)
    if tests.evidence == "exit-status":
        return "; ".join(filter(None, (said, "passed by the exit status alone")))
    return said or f"{tests.count} tests"


def _test_inputs(ctx: StageContext) -> dict[str, Any]:
    """The image, the settings, and the files and arguments that a test stage or layer is made from."""
    plan, built = ctx.plan, ctx.products.get(BuiltImage)
    return {
        "image": str(built.stored_image.id),
        "config": str(built.config_digest),
        "settings": plan.service.test.model_dump(mode="json"),
        "files": ctx.source.tree(plan.commit.id, plan.service.context),
        "build": [plan.service.build.model_dump(mode="json"), plan.build_args],
        "engine": engine_facts(ctx),
        "companions": companion_settings(ctx, "test"),
    }


def _portable_inputs(ctx: StageContext) -> dict[str, Any]:
    """The same, with the image by its content, and of the engine only its platform."""
    plan, built = ctx.plan, ctx.products.get(BuiltImage)
    return {
        "image": image_identity(ctx, built.stored_image),
        "settings": plan.service.test.model_dump(mode="json"),
        "files": ctx.source.tree(plan.commit.id, plan.service.context),
        "build": plan.service.build.model_dump(mode="json"),
        "platform": ctx.engine.info.platform,
        "companions": companion_settings(ctx, "test"),
    }


def _to_cache_data(ctx: StageContext, _made: TestsPassed) -> dict[str, Any]:
    junit = ctx.run_folder.path / "junit.xml"
    report = base64.b64encode(junit.read_bytes()).decode() if junit.exists() else None
    return {"junit": report, **coverage.coverage_to_data(ctx)}


def _restore_from_cache(ctx: StageContext, passed: CachedResult) -> TestsPassed | None:
    """The report is laid out for this run too, for whoever reads it there."""
    if passed.gate.tests is None:
        return None
    if passed.data["junit"] is not None:
        _write_report(ctx, base64.b64decode(passed.data["junit"], validate=True).decode())
    coverage.restore_coverage(ctx, passed.data)
    return TestsPassed(evidence=passed.evidence, summary=passed.summary, tests=passed.gate.tests)


TEST_REUSE: Final = ReusePolicy(
    inputs=_test_inputs, portable_inputs=_portable_inputs, to_data=_to_cache_data, restore=_restore_from_cache
)


def _report_failures(ctx: StageContext, report: str | None) -> None:
    context = ctx.plan.service.context
    if report and (
        findings := findings_from_junit(report.encode(), lambda path: _is_committed_file(ctx, path), context)
    ):
        ctx.emit(Found(name="test", findings=findings))


def _report_slowest_tests(ctx: StageContext, ran: FinishedTestRun) -> None:
    """Name the slowest tests of a report, if they take long enough to matter."""
    told = ran.seen.report.slowest if ran.seen.report is not None else ()
    slow = [f"{name} {seconds:.1f} s" for seconds, name in told if seconds >= _SLOW_SECONDS]
    if slow:
        ctx.report_progress("test", f"slowest tests: {', '.join(slow)}")


def _is_committed_file(ctx: StageContext, path: str) -> bool:
    return ctx.source.read(ctx.plan.commit.id, path) is not None


def _write_report(ctx: StageContext, report: str) -> None:
    private.write(ctx.run_folder.path / "junit.xml", report)
    ctx.reports.write(ctx.reports.junit_path, report)
