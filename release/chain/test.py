"""The gate that runs the tests inside the image, and passes only where something shows that they ran."""

from __future__ import annotations

import base64
import shlex
from typing import Any, Final

from release import private
from release.brief import SUMMARY, shortened
from release.chain.build import BuiltImage, engine_facts
from release.chain.passes import Pass, Reuse
from release.chain.reports import failed_tests
from release.chain.shop import Shop, evidence
from release.chain.testimage import begins_with, image_ahead, last, test_image
from release.chain.testlayer import layer_command, layer_dockerfile, layer_paths
from release.chain.testproof import found_none, no_tests, proof, with_report
from release.chain.testrun import Ran, hint_of, run_tests, why_it_failed
from release.errors import GateFailed
from release.events import Found
from release.frozen import Struct
from release.images.engine import StoredImage
from release.records import TestsRan

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


class TestsPassed(Struct, frozen=True, kw_only=True):
    """The tests ran and passed in an image that begins with the released layers."""

    evidence: bytes
    summary: str
    tests: TestsRan | None = None


def test(shop: Shop) -> TestsPassed:
    """Run the configured command in the image.

    Raises:
        GateFailed: it failed, nothing shows that a test ran, or the layers are others.
    """
    built = shop.products.get(BuiltImage)
    shop.reports.forget(shop.reports.junit)
    with test_image(shop, built) as image:
        begins_with(image, built.stored)
        ran = run_tests(shop, image)
        shop.aside.do(lambda: shop.engine.untag(last(shop)))
    if ran.report is not None:
        _lay_out(shop, ran.report)
    tests = _judged(shop, ran)
    return TestsPassed(tests=tests, evidence=_seen(image, ran), summary=_summary(ran, tests))


def _judged(shop: Shop, ran: Ran) -> TestsRan:
    """Return what shows that the tests passed. Raises GateFailed."""
    config = shop.plan.service.test
    if ran.seen.status == 0:
        return proof(config, ran.seen)
    if found_none(config, ran.seen):
        raise no_tests(config, ran.seen)
    _tell_failures(shop, ran.report)
    raise GateFailed(
        "test",
        f"`{shlex.join(config.command)}` in the image ended with status {why_it_failed(ran)}",
        hint_of(ran, config),
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


def _inputs(shop: Shop) -> dict[str, Any]:
    """The image, the settings, and the files and arguments that a test stage or layer is made from."""
    plan, built = shop.plan, shop.products.get(BuiltImage)
    return {
        "image": str(built.stored.id),
        "config": str(built.config_digest),
        "settings": plan.service.test.model_dump(mode="json"),
        "files": shop.source.tree(plan.commit.id, plan.service.context),
        "build": [plan.service.build.model_dump(mode="json"), plan.build_args],
        "engine": engine_facts(shop),
    }


def _keep(shop: Shop, _made: TestsPassed) -> dict[str, Any]:
    junit = shop.folder.path / "junit.xml"
    return {"junit": base64.b64encode(junit.read_bytes()).decode() if junit.exists() else None}


def _restore(shop: Shop, passed: Pass) -> TestsPassed | None:
    """The report is laid out for this run too, for whoever reads it there."""
    if passed.gate.tests is None:
        return None
    if passed.data["junit"] is not None:
        _lay_out(shop, base64.b64decode(passed.data["junit"], validate=True).decode())
    return TestsPassed(evidence=passed.evidence, summary=passed.summary, tests=passed.gate.tests)


TEST_REUSE: Final = Reuse(inputs=_inputs, keep=_keep, restore=_restore)


def _tell_failures(shop: Shop, report: str | None) -> None:
    context = shop.plan.service.context
    if report and (findings := failed_tests(report.encode(), lambda path: _has_file(shop, path), context)):
        shop.emit(Found(name="test", findings=findings))


def _has_file(shop: Shop, path: str) -> bool:
    return shop.source.read(shop.plan.commit.id, path) is not None


def _lay_out(shop: Shop, report: str) -> None:
    private.write(shop.folder.path / "junit.xml", report)
    shop.reports.put(shop.reports.junit, report)
