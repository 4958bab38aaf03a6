"""The page of the report: one file, with nothing of others in it that is markup."""

from __future__ import annotations

import itertools
import json
import re
from html.parser import HTMLParser

from release.commands.report.charts import bar_chart, count_by_week, stage_chart
from release.commands.report.page import render_page
from tests.unit.commands.report.pages import EVIL, data


class Elements(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def elements(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(text)
    return parser.found


def test_a_thousand_releases_stay_below_500_kb() -> None:
    """With two deployments, seven gates and two changed packages each."""
    assert len(render_page(data(1000)).encode()) < 500_000


def test_texts_of_others_are_no_markup() -> None:
    """Neither in the page nor in the data of its script."""
    text = render_page(data(3))
    found = elements(text)
    assert [tag for tag, _ in found if tag == "img"] == []
    assert [tag for tag, _ in found].count("script") == 2
    assert not any(name.startswith("on") for _, attributes in found for name in attributes)
    payload = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert payload is not None
    assert EVIL in json.loads(payload[1])["texts"]


def test_the_page_asks_for_nothing_from_outside() -> None:
    """No address but those of names; its policy allows one script and one style."""
    text = render_page(data(3))
    found = elements(text)
    assert not any(name in attributes for _, attributes in found for name in ("src", "srcset", "action"))
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in found)
    assert set(re.findall(r"https?://[^\"' )]+", text)) <= {"http://www.w3.org/2000/svg"}
    policy = next(each["content"] for tag, each in found if tag == "meta" and "http-equiv" in each)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert policy.count("sha256-") == 2


def test_everything_that_is_used_has_a_name() -> None:
    """Controls have labels or texts, regions and charts have names, headings do not skip a level."""
    text = render_page(data(3))
    found = elements(text)
    for tag, attributes in found:
        if (
            tag in ("section", "article", "dialog", "nav", "form", "svg")
            or attributes.get("role") == "region"
        ):
            assert {"aria-label", "aria-labelledby", "method"} & attributes.keys(), (tag, attributes)
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {each.get("aria-labelledby") for _, each in found} - {None}
    assert named <= set(ids)
    levels = [int(tag[1]) for tag, _ in found if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert 'lang="en"' in text


def test_an_empty_ledger_gives_a_page_too() -> None:
    """It says that nothing was released."""
    assert "Nothing was released yet" in render_page(data(0))


def test_weeks_are_counted_from_the_beginning_of_the_span() -> None:
    """A moment outside of it is in the first or last week."""
    rows = count_by_week(
        [("2026-11-08T00:00:00.000Z", "failed"), ("2026-11-01T00:00:00.000Z", "healthy")],
        "2026-11-01T00:00:00.000Z",
        "2026-11-15T00:00:00.000Z",
    )
    assert [(day, counts["healthy"], counts["failed"]) for day, counts in rows] == [
        ("2026-11-01", 1, 0),
        ("2026-11-08", 0, 1),
    ]
    assert "week of 2026-11-08: 0 healthy, 0 rollback, 1 failed" in bar_chart(rows, 'a "name"')
    assert "a &quot;name&quot;" in bar_chart(rows, 'a "name"')


def test_the_waterfall_places_stages_by_their_starts() -> None:
    """A stage that begins later begins further right."""
    svg = stage_chart([["lock", 0, 1000], ["<test>", 1000, 1000]], "stages")
    lefts = [float(left) for left in re.findall(r'<rect class="stage" x="([0-9.]+)"', svg)]
    assert lefts[0] < lefts[1]
    assert "&lt;test&gt;" in svg
