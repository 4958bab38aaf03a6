"""The image that the tests run in, and the check that it starts with the released layers.

Most runtime images carry no pytest: the tests then run in a `test` stage of the Dockerfile, or in a
throw-away layer on the released image, and the layers are checked to begin with exactly the released ones.
Where the image has all it needs, they run in the image itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager

from release.chain import stage_cache, stale_runs
from release.chain.building.labels import refuse_reserved_labels
from release.chain.building.selection import prepare_build_context
from release.chain.building.stage import BUILD_REUSE, BuiltImage, run_build
from release.chain.checked.taking import is_gate_in_check_result
from release.chain.stage_context import StageContext
from release.chain.testing.layer import build_test_layer
from release.errors import GateFailed
from release.images.engine import StoredImage
from release.reference import Reference, Repository
from release.values import Struct


@contextmanager
def test_image(ctx: StageContext, built: BuiltImage) -> Iterator[StoredImage]:
    """Yield the image for the tests; an image made for them gets the name `last` afterwards."""
    config = ctx.plan.service.test
    name = _test_image_name(ctx)
    if config.target is not None:
        _create_stage_image(ctx, built, config.target, name)
    elif config.has_layer:
        build_test_layer(ctx, built, name)
    else:
        yield built.stored_image
        return
    try:
        image = ctx.engine.inspect(name)
        if image is None:
            raise GateFailed(
                "test",
                f"the engine does not have the image {name} after its build",
                "run it again; another program may remove images there, as `docker image prune`",
            )
        refuse_reserved_labels("test", image, ctx.labels("test"))
        yield image
    finally:
        ctx.background.add(lambda: _rename_to_last(ctx, name))


def _rename_to_last(ctx: StageContext, name: Reference) -> None:
    """Rename the test image from the run's name to `last`.

    Removing an image's only name takes containerd half a second. The rename postpones the removal to the next
    tests, which do not wait for it.
    """
    image = ctx.engine.inspect(name)
    if (
        image is not None and ctx.engine.inspect(last_test_image(ctx)) is None
    ):  # else one of another clone's run
        ctx.engine.tag(image.id, last_test_image(ctx))
    ctx.engine.untag(name)


def last_test_image(ctx: StageContext) -> Reference:
    """Return the name of the image of the last tests, one per service and engine."""
    return _test_image_name(ctx).repository.tagged(stale_runs.LAST)


def _test_image_name(ctx: StageContext) -> Reference:
    """Return the name of the test image while the tests run."""
    return Repository(stale_runs.tests_repository(ctx.plan.service.service)).tagged(ctx.run_folder.id)


class EarlyBuild(Struct, frozen=True, kw_only=True):
    """The test stage's image, built at the same time as the released image."""

    future: Future[None]


@contextmanager
def build_test_image_early(ctx: StageContext, pool: Executor) -> Iterator[None]:
    """Build the test stage's image early, in the background, while the block runs.

    BuildKit does once what two builds at the same time have in common, so that the tests need not wait for
    what is theirs alone. Without a cache nothing is in common, and nothing is built ahead.
    """
    config, plan = ctx.plan.service.test, ctx.plan
    if config.target is None or plan.no_cache:
        yield
        return
    future = pool.submit(_build_stage_early, ctx, config.target)
    ctx.products.add(EarlyBuild(future=future))
    try:
        yield
    finally:
        wait([future])
        ctx.background.add(lambda: ctx.engine.untag(_test_image_name(ctx)))


def _create_stage_image(ctx: StageContext, built: BuiltImage, target: str, name: Reference) -> None:
    """Build the test stage, unless the early build starts with the released image.

    Two builds of one Dockerfile may come to other layers where it reads the clock and BuildKit's cache does
    not bring them together. The one here takes the released image for the stage that this was built from.
    """
    ahead = ctx.products.find(EarlyBuild)
    if ahead is not None:
        ahead.future.result()
    image = ctx.engine.inspect(name)
    other = _describe_missing_layers(image, built.stored_image) if image is not None else ""
    if other:
        ctx.report_progress("test", f"{other}: building the test stage again, FROM the released image")
        ctx.engine.untag(name)
    if image is None or other:
        base = ctx.plan.service.build.target
        _build_test_stage(ctx, target, {base: built.reference} if base is not None else {})


def _build_stage_early(ctx: StageContext, target: str) -> None:
    """Build the test stage early, unless the image or the gate comes from an earlier run or check."""
    if not stage_cache.has_cached_result(ctx, "build", BUILD_REUSE) and not is_gate_in_check_result(
        ctx, "test"
    ):
        _build_test_stage(ctx, target)


def _build_test_stage(ctx: StageContext, target: str, stages: Mapping[str, Reference] | None = None) -> None:
    run_build(
        ctx,
        "test",
        target,
        _test_image_name(ctx),
        prepare_build_context(ctx),
        labels=ctx.labels("test"),
        stages=stages,
    )


def refuse_other_layers(image: StoredImage, released: StoredImage) -> None:
    """Refuse a test image that does not start with the released layers. Raises GateFailed."""
    if other := _describe_missing_layers(image, released):
        raise GateFailed(
            "test",
            f"{other}, so the tests would not test what is released",
            "write the test stage as FROM the released stage, and name that stage in `build.target`",
        )


def _describe_missing_layers(image: StoredImage, released: StoredImage) -> str:
    """Return in words which released layers the test image lacks; empty if none."""
    pairs = itertools.zip_longest(released.diff_ids, image.diff_ids[: len(released.diff_ids)])
    other = [
        f"layer {number} of {len(released.diff_ids)} is {found or 'missing'}, not {expected}"
        for number, (expected, found) in enumerate(pairs, start=1)
        if expected != found
    ]
    return (
        f"the tests' image does not begin with the layers of the released image: {'; '.join(other)}"
        if other
        else ""
    )
