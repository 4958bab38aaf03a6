"""What the pages show of the examples is what stands in their files, which the tests run."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for path in (ROOT / "examples/proxies").iterdir() if path.name != "Dockerfile")


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_the_page_shows_every_proxy_s_configuration_as_it_is(file: Path) -> None:
    """Word for word, below its name."""
    page = (ROOT / "docs/how-to/behind-a-proxy.md").read_text(encoding="utf-8")
    assert f"`{file.name}`" in page
    assert f"\n{file.read_text(encoding='utf-8')}```\n" in page
