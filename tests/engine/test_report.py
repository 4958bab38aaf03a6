"""The report in a real browser: Chromium without a window, from a file."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from release.commands.report.page import page
from tests.unit.commands.report.pages import EVIL, data

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def test_the_script_of_the_page_draws_lists_and_a_release(tmp_path: Path) -> None:
    """A thousand releases: rows, filters, the opened release of the address; texts of others stay text."""
    assert CHROMIUM is not None, "`./dev tests` installs Chromium"
    file = tmp_path / "report.html"
    file.write_text(page(data(1000)))
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}")
    done = subprocess.run(
        [CHROMIUM, *options, "--enable-logging=stderr", "--dump-dom", f"{file.as_uri()}#release=1.7.0"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    dom = done.stdout
    assert dom.count('aria-haspopup="dialog"') == 100
    assert "2000 events" in dom
    assert re.search(r"<dialog[^>]* open", dom)
    assert 'aria-label="stages of 1.7.0"' in dom
    assert "<img" not in dom
    assert EVIL.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in dom
    assert "CONSOLE" not in done.stderr
