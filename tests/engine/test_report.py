"""The report in a real browser: Chromium without a window, from a file, with real clicks and keys."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from release.commands.report.page import render_page
from tests.unit.commands.report.pages import EVIL, data

OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's Chromium."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program is not None, "`./dev tests` installs Chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(OPTIONS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report with a thousand releases and two thousand events."""
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(render_page(data(1000)), encoding="utf-8")
    return file.as_uri()


@pytest.fixture
def reader(browser: Browser, address: str) -> Iterator[Page]:
    """The opened page. In the end nothing was asked from outside, and the console has no errors."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    asked, errors = list[str](), list[str]()
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(address)
    yield opened
    opened.close()
    assert errors == []
    assert {url.partition("#")[0] for url in asked} == {address}


def test_filters_and_the_search_leave_what_was_asked_for(reader: Page) -> None:
    """The count says how many; the list grows by a button that leaves the focus on the first new row."""
    rows = reader.locator("#events tr")
    assert (rows.count(), reader.locator("#count").inner_text()) == (50, "2000 events")
    reader.select_option("#in", "production")
    assert reader.locator("#count").inner_text().startswith("1000")
    reader.fill("#search", "1.777.0")
    assert (rows.count(), rows.first.locator("td").nth(1).inner_text()) == (1, "1.777.0")
    reader.fill("#search", "")
    reader.click("#more-events")
    assert rows.count() == 100
    assert reader.evaluate("document.activeElement.closest('tr').rowIndex") == 51


def test_a_release_opens_by_click_by_key_and_by_its_address(reader: Page, address: str) -> None:
    """The address names the open release; Escape closes it. Texts of others stay text."""
    detail = reader.locator("#detail")
    reader.click("#list button >> nth=2")
    assert detail.locator("h2").inner_text() == "1.997.0"
    assert reader.url == f"{address}#release=1.997.0"
    assert EVIL in detail.inner_text()
    reader.keyboard.press("Escape")
    assert not detail.is_visible()
    reader.locator("#list button").first.focus()
    reader.keyboard.press("Enter")
    assert detail.locator("h2").inner_text() == "1.999.0"
    reader.goto("about:blank")
    reader.goto(f"{address}#release=1.7.0")
    assert detail.locator("svg").get_attribute("aria-label") == "stages of 1.7.0"
    assert reader.locator("img").count() == 0


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (800, "dark"), (1400, "light")])
def test_no_check_of_accessibility_fails(reader: Page, width: int, scheme: str) -> None:
    """By axe-core, with the page and an open release, and nothing is wider than the window."""
    reader.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    reader.set_viewport_size({"width": width, "height": 900})
    for part in ("body", "#detail"):
        assert [each["id"] for each in Axe().run(reader, part).response["violations"]] == []
        assert reader.evaluate("document.documentElement.scrollWidth") <= width
        reader.evaluate("document.querySelector('#list button').click()")


def test_everything_is_on_paper(reader: Page) -> None:
    """Before it prints, the page shows every row."""
    reader.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert (reader.locator("#events tr").count(), reader.locator("#list tr").count()) == (2000, 1000)
