"""A Dockerfile that reads the clock: no build is like another, and what is tested still is what ships."""

from __future__ import annotations

from tests.engine.chain.conftest import Make
from tests.engine.chain.test_release import released
from tests.engine.service import DOCKERFILE

CLOCK = DOCKERFILE.replace("USER 10001", "RUN date +%s.%N > /built\nUSER 10001")


def test_tests_run_on_the_released_image_where_no_two_builds_are_alike(make: Make) -> None:
    """Without the cache every build makes other layers; the test stage is put on those that ship."""
    service = make(files={"Dockerfile": CLOCK})
    released(service.nox("release", "--", "--no-cache"))
    (*_, newest) = sorted((service.folder / ".release/runs").iterdir())
    log = (newest / "test.log").read_text()
    assert "--build-context runtime=docker-image://" in log
    assert "[context runtime]" in log
