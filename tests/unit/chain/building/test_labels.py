"""Labels that a build may not set."""

from __future__ import annotations

import pytest

from release.chain.building.labels import refuse_reserved_labels
from release.errors import GateFailed
from release.images.engine import StoredImage
from release.reference import Digest


def image(*labels: str) -> StoredImage:
    return StoredImage(
        id=Digest.of(b""),
        diff_ids=(),
        references=(),
        user="",
        labels=dict.fromkeys(labels, "x"),
        size=1,
        has_healthcheck=False,
    )


def test_labels_of_others_are_allowed() -> None:
    """Also names that only look alike, and those that this library has set."""
    refuse_reserved_labels("build", image("org.example.release.service", "releases.x", "release"), ())
    refuse_reserved_labels("test", image("release.run", "maintainer"), {"release.run"})


def test_reserved_labels_are_refused_by_name() -> None:
    """All of them at once."""
    with pytest.raises(GateFailed, match=r"reserved: Release\.X, release\.role, release\.service"):
        refuse_reserved_labels(
            "test", image("release.service", "release.run", "release.role", "Release.X"), ["release.run"]
        )
