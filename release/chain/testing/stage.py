"""The gate `test`: run the tests in the image; pass only with proof that tests ran."""

from __future__ import annotations

import base64
import shlex
from typing import Any, Final

from release import private
from release.brief import SUMMARY, shortened
from release.chain.building.stage import BuiltImage, engine_facts
from release.chain.checked.identity import image_identity
from release.chain.companions import companion_settings, run_companions
from release.chain.reports import failed_tests
from release.chain.stage_cache import CachedResult, Reuse
from release.chain.stage_context import StageContext, evidence
from release.chain.testing import coverage
from release.chain.testing.image import begins_with, image_ahead, last, test_image
from release.chain.testing.known import known
from release.chain.testing.layer import layer_command, layer_dockerfile, layer_paths
from release.chain.testing.proof import found_none, no_tests, proof, with_report
from release.chain.testing.run import Ran, hint_of, run_tests, why_it_failed
from release.errors import GateFailed
from release.events import Found
from release.images.engine import StoredImage
from release.records import TestsRan
from release.values import Struct

__all__ = [
    "TEST_REUSE",
    "TestsPassed",
    "image_ahead",
    "layer_command",
    "layer_dockerfile",
    "layer_paths",
    "test",
    "with_report",
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
    ctx.reports.forget(ctx.reports.junit)
    with run_companions(ctx, "test") as private:
        with test_image(ctx, built) as image:
            begins_with(image, built.stored_image)
            ran = run_tests(ctx, image, private)
            ctx.aside.add(lambda: ctx.engine.untag(last(ctx)))
        if ran.report is not None:
            _lay_out(ctx, ran.report)
        _tell_slowest(ctx, ran)
        tests = _judged(ctx, ran)
    return TestsPassed(tests=tests, evidence=_seen(image, ran), summary=_summary(ran, tests))


def _judged(ctx: StageContext, ran: Ran) -> TestsRan:
    """Return the proof that the tests passed. Raises GateFailed."""
    config = ctx.plan.service.test
    if ran.seen.status == 0:
        return proof(config, ran.seen, lambda: known(ctx))
    if found_none(config, ran.seen):
        raise no_tests(config, ran.seen, known(ctx))
    _tell_failures(ctx, ran.report)
    raise GateFailed(
        "test",
        f"`{shlex.join(config.command)}` in the image ended with status {why_it_failed(ran)}",
        hint_of(ran, config, known(ctx)),
        ran.tail,
    )


def _seen(image: StoredImage, ran: Ran) -> bytes:
    """The evidence: the report, or the hash of the output."""
    output = {} if ran.report is not None else {"output_sha256": ran.output_sha256}
    return evidence("test", {"image": str(image.id), **output}) + (ran.report or "").encode()


def _summary(ran: Ran, tests: TestsRan) -> str:
    """The last line of the output, and what it lacks."""
    lines = [line.strip("= ") for line in ran.tail if line.strip("= ")]
    said = shortened(lines[-1] if lines else "", SUMMARY)
    if tests.evidence == "exit-status":
        return "; ".join(filter(None, (said, "passed by the exit status alone")))
    return said or f"{tests.count} tests"


def _inputs(ctx: StageContext) -> dict[str, Any]:
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


def _travels(ctx: StageContext) -> dict[str, Any]:
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


def _keep(ctx: StageContext, _made: TestsPassed) -> dict[str, Any]:
    junit = ctx.folder.path / "junit.xml"
    report = base64.b64encode(junit.read_bytes()).decode() if junit.exists() else None
    return {"junit": report, **coverage.kept(ctx)}


def _restore(ctx: StageContext, passed: CachedResult) -> TestsPassed | None:
    """The report is laid out for this run too, for whoever reads it there."""
    if passed.gate.tests is None:
        return None
    if passed.data["junit"] is not None:
        _lay_out(ctx, base64.b64decode(passed.data["junit"], validate=True).decode())
    coverage.restore(ctx, passed.data)
    return TestsPassed(evidence=passed.evidence, summary=passed.summary, tests=passed.gate.tests)


TEST_REUSE: Final = Reuse(inputs=_inputs, travels=_travels, keep=_keep, restore=_restore)


def _tell_failures(ctx: StageContext, report: str | None) -> None:
    context = ctx.plan.service.context
    if report and (findings := failed_tests(report.encode(), lambda path: _has_file(ctx, path), context)):
        ctx.emit(Found(name="test", findings=findings))


def _tell_slowest(ctx: StageContext, ran: Ran) -> None:
    """Name the slowest tests of a report, if they take long enough to matter."""
    told = ran.seen.report.slowest if ran.seen.report is not None else ()
    slow = [f"{name} {seconds:.1f} s" for seconds, name in told if seconds >= _SLOW_SECONDS]
    if slow:
        ctx.say("test", f"slowest tests: {', '.join(slow)}")


def _has_file(ctx: StageContext, path: str) -> bool:
    return ctx.source.read(ctx.plan.commit.id, path) is not None


def _lay_out(ctx: StageContext, report: str) -> None:
    private.write(ctx.folder.path / "junit.xml", report)
    ctx.reports.put(ctx.reports.junit, report)
