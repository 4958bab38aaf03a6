"""Pictures of the documentation are those that the code gives."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from release.chain.pipeline import STAGES
from tests import drawings

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", drawings.PICTURES)
def test_a_picture_is_the_one_that_the_code_gives(name: str) -> None:
    """`nox -s docs` was run after the last change."""
    assert (DOCS / name).read_text(encoding="utf-8") == drawings.PICTURES[name]()


def test_the_chain_shows_each_stage_and_what_it_waits_for() -> None:
    """One box for each stage; one arrow for each direct predecessor."""
    root = ElementTree.fromstring(drawings.chain())  # noqa: S314 - our own text
    words = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {stage.name for stage in STAGES} <= set(words)
    arrows = [each for each in root.iter("{http://www.w3.org/2000/svg}path") if each.get("marker-end")]
    assert len(arrows) == sum(len(drawings.direct(stage, STAGES)) for stage in STAGES)
