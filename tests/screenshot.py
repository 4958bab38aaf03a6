"""A picture of the report: real deployments of a service, `invoke report`, and Chromium without a window.

nox -s screenshot        writes docs/report.webp
"""

from __future__ import annotations

import base64
import shutil
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, sync_playwright

from release.images.engine import Engine
from tests.engine.deploy.world import World

PICTURE: Final = Path(__file__).parents[1] / "docs/report.webp"
LARGEST: Final = 150_000
"""Bytes of the picture."""
OPTIONS: Final = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
_QUALITY: Final = 70


def main() -> None:
    """Deploy, write the report, and take its picture."""
    with tempfile.TemporaryDirectory() as folder, Engine.connect() as engine:
        world = World(root=Path(folder) / "greeter", engine=engine, service="greeter-report")
        try:
            page = report(world)
            PICTURE.write_bytes(taken(page))
        finally:
            world.clean()


def report(world: World) -> Path:
    """Return the report of a service with deployments, a failed one, a rollback and a freeze."""
    for version in ("1.3.0", "1.3.1", "1.4.0"):
        world.release(version)
    world.release("1.5.0", mode="sick")
    world.configure(health_timeout='"5s"')
    for words in (
        ("deploy", "--to", "1.3.0", "--message", "the first one"),
        ("deploy", "--to", "1.3.1"),
        ("deploy", "--to", "1.4.0", "--message", "faster greetings"),
        ("deploy", "--to", "1.5.0"),
        ("rollback", "--message", "some greetings were empty"),
    ):
        world.invoke(*words, "--yes")
    page = world.root / "report.html"
    done = world.invoke("report", "--output", str(page))
    assert done.status == 0, done.err
    return page


def taken(page: Path) -> bytes:
    """Return a picture of the whole page in WebP, by Chromium itself."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program is not None, "`./dev tests` installs Chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(OPTIONS))
        reader = browser.new_page(viewport={"width": 1100, "height": 1000})
        reader.goto(page.as_uri())
        picture = captured(reader)
        browser.close()
    assert len(picture) <= LARGEST, f"{len(picture)} bytes"
    return picture


def captured(reader: Page) -> bytes:
    """Return what the window shows (Chrome DevTools Protocol, "Page.captureScreenshot")."""
    devtools = reader.context.new_cdp_session(reader)
    made = devtools.send("Page.captureScreenshot", {"format": "webp", "quality": _QUALITY})
    return base64.b64decode(made["data"])


if __name__ == "__main__":
    main()
