"""Which images a Dockerfile names, and where a mirror has them."""

from __future__ import annotations

import pytest

from release.chain.building.mirror import base_images_of, name_in_dockerfile, resolve_in_mirrors
from release.reference import Digest, Reference

DIGEST = Digest.of(b"base")
PYTHON = "docker.io/library/python:3.13-slim"


@pytest.mark.parametrize(
    ("dockerfile", "expected"),
    [
        ("FROM python:3.13-slim", [PYTHON]),
        ("from python:3.13-slim as base\nFROM BASE AS x\nFROM scratch", [PYTHON]),
        ("FROM --platform=linux/amd64 python", ["docker.io/library/python:latest"]),
        (f"FROM python@{DIGEST}", [f"docker.io/library/python@{DIGEST}"]),
        ("ARG V=3.13\nARG TAG\nFROM python:${V}-$TAG", [PYTHON]),
        ("ARG IMAGE=python:3.13-slim\nFROM $IMAGE AS a\nFROM ghcr.io/acme/x:1", [PYTHON, "ghcr.io/acme/x:1"]),
        ("FROM python:3.13-slim\nARG IMAGE=other\nCOPY a b\n", [PYTHON]),
        (
            "FROM scratch AS a\nCOPY --from=ghcr.io/astral/uv:0.13 /uv /uv\nCOPY --from=a /x /x",
            ["ghcr.io/astral/uv:0.13"],
        ),
        ("FROM python:3.13-slim\nCOPY --link --from=0 /x /x", [PYTHON]),
        ("FROM ${UNKNOWN:-python}", []),
        ("# FROM comment\nRUN echo FROM python", []),
    ],
)
def test_the_images_that_a_dockerfile_names(dockerfile: str, expected: list[str]) -> None:
    """With host, path and tag as they are meant; stages, scratch and what cannot be known are none."""
    assert [str(image) for image in base_images_of(dockerfile, {"TAG": "slim"})] == expected


def test_an_image_of_another_registry_has_no_mirror() -> None:
    """Nothing is asked then."""
    image = Reference.parse("ghcr.io/acme/x:1")
    assert resolve_in_mirrors((image,), {"docker.io": "mirror.example/hub"}, {}, print) == {}


def test_a_mirror_that_does_not_answer_is_passed_over() -> None:
    """It is told, and the image comes from where the Dockerfile says."""
    told: list[str] = []
    image = Reference.parse(PYTHON)
    assert resolve_in_mirrors((image,), {"docker.io": "127.0.0.1:1/hub"}, {}, told.append) == {}
    assert "the mirror does not answer" in told[-1]


def test_what_came_from_a_mirror_is_called_by_its_own_name() -> None:
    """As the Dockerfile calls it; other names stay."""
    mirrors = {"docker.io": "mirror.example/hub"}
    assert name_in_dockerfile("mirror.example/hub/library/python:3.13-slim", mirrors) == PYTHON
    assert name_in_dockerfile("mirror.example/hubble/x:1", mirrors) == "mirror.example/hubble/x:1"
