"""`[tool.release.companions.<name>]`: images by digest, and the gates that start them."""

from __future__ import annotations

import pytest

from tests.unit.config.written import MINIMAL, problems, service

DIGEST = "sha256:" + "1" * 64
PATH = "tool.release.companions.db"


def companion(keys: str) -> str:
    return f'[{PATH}]\nhealth = ["true"]\n{keys}\n'


@pytest.mark.parametrize("image", [DIGEST, f"postgres@{DIGEST}", f"registry.example:5000/pg:17@{DIGEST}"])
def test_an_image_is_named_by_its_digest(image: str) -> None:
    """Or by its id in the engine's store."""
    found = service(companion(f'image = "{image}"')).companions["db"]
    assert found.image == image
    assert found.gates == ("test", "smoke")


def test_a_tag_is_refused_with_the_line_to_write() -> None:
    """And with the command that shows the digest."""
    message = problems(MINIMAL + companion('image = "postgres:17"'))[f"{PATH}.image"]
    assert 'write image = "postgres:17@sha256:..."' in message
    assert "`docker buildx imagetools inspect postgres:17`" in message


def test_a_companion_has_a_health_command() -> None:
    """Without one the gate would begin before it is ready."""
    assert problems(f'{MINIMAL}[{PATH}]\nimage = "{DIGEST}"')[f"{PATH}.health"] == "this key is required"


def test_a_gate_starts_the_companions_that_name_it() -> None:
    """By default both do."""
    found = service(companion(f'image = "{DIGEST}"\ngates = ["test"]'))
    assert list(found.companions_of("test")) == ["db"]
    assert list(found.companions_of("smoke")) == []
    assert problems(MINIMAL + companion(f'image = "{DIGEST}"\ngates = []'))


def test_a_variable_has_one_value() -> None:
    """Not one in env and another in secrets."""
    keys = f'image = "{DIGEST}"\nenv = {{ A = "1" }}\nsecrets = {{ A = {{ from_env = "A" }} }}'
    assert problems(MINIMAL + companion(keys))[PATH] == "A is in env and in secrets: keep one"
