"""Text that tries to command whoever shows it, and a judge that knows nothing of how it is made inert."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from hypothesis import strategies as st

from tests import runner

FRAGMENTS: Final = (
    "::set-output name=version::6.6.6",
    "::add-mask::a",
    "::error file=x.py::forged",
    "::stop-commands::t",
    "::",
    ":",
    "##[error]forged",
    "##",
    "#",
    "[group]",
    "##vso[task.setvariable variable=x]y",
    "##teamcity[buildStop]",
    "\x1b[0Ksection_start:1:release_test_1[collapsed=true]\r\x1b[0K",
    "section_end:1:release_test_1\r\x1b[0K",
    "\x1b[2J",
    "\x1b[",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil.example\x1b\\link",
    "\x1bP1$r\x1b\\",
    "\x1b(",
    "\x1bc",
    "\x1b",
    "\x9b31m",
    "\x85",
    "\x00",
    "\x07",
    "\x08",
    "\x7f",
    "\r",
    "\n",
    "\r\n",
    "\x0b",
    "\x0c",
    "\x1c",
    "\u2028",
    "\u2029",
    "\u202e",
    "\u2066",
    "\u200f",
    "\u061c",
    "\u200b",
    "\u200c",
    "\u200d",
    "\ufeff",
    "\u2060",
    "\u00ad",
    "\u3164",
    "\ufe0f",
    "\U000e0041",
    "\ud800",
    "\udfff",
    "   ",
    "\t",
    "\u00a0",
    "\u3000",
    "✓ test  1.0 s",
    "| a | `b` | [c](http://evil.example) | <img src=x onerror=y> |",
    "```",
    "</details><script>alert(1)</script>",
    '"}',
    "ü漢🚀",
)

hostile = st.lists(
    st.one_of(st.sampled_from(FRAGMENTS), st.text(st.characters(), max_size=3)), min_size=1, max_size=9
).map("".join)
"""Text of anybody, lone surrogates too."""

INTACT: Final = (
    "Grüße, naïve café, Ångström",
    "e\u0301 as two characters",
    "日本語のコミット 漢字",
    "한국어",
    "עברית",
    "العربية",
    "می\u200cخواهم",  # noqa: RUF001
    "क\u094d\u200dष",
    "🚀 ✨ feat: x",
    "👩\u200d💻 👨\u200d👩\u200d👧 🏳\ufe0f\u200d🌈 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "std::vector<int> a::b, foo ## bar, # 12, C# [x]",
    "two\nlines\tand a tab",
    "http://example.org/a?b=c#d",
)
"""Text that stays as it is."""

_UNSEEN: Final = frozenset("\u034f\u115f\u1160\u3164\uffa0\u17b4\u17b5")
_LEGITIMATE: Final = re.compile(
    "(?<=[\u203c-\u3299\ufe0f\U0001f000-\U0001faff])\u200d(?=[\u203c-\u3299\U0001f000-\U0001faff])"
    "|(?<=[\u0620-\u0dff])[\u200c\u200d](?=[\u0620-\u0dff])"
    "|(?<=\U0001f3f4)[\U000e0030-\U000e007a]{3,6}\U000e007f|[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2]"
    "|[\U000110bd\U000110cd\U00013430-\U0001343f]"  # visible format characters of scripts
)


def commands_in(text: str) -> list[str]:
    """What a terminal or a CI system would do because of the text; nothing is what is hoped for."""
    rest = _LEGITIMATE.sub("", text)
    found = [
        f"U+{ord(each):04X}"
        for each in rest
        if each not in "\n\t"
        and (unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") or each in _UNSEEN)
    ]
    for line in text.split("\n"):
        if line.strip().startswith("::") or runner.parse(line) is not None:
            found.append(line)
        found += re.findall(r"##[\w.-]{0,40}\[|section_(?:start|end):\d", line)
    return found
