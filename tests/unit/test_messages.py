"""Messages: a person reads them, without this repository at hand."""

from __future__ import annotations

import re

from release.text.help_pages import topics
from tests.messages import sentences


def test_a_message_names_no_file_of_the_documentation() -> None:
    """An installed package has no docs folder: `invoke explain TOPIC` shows a page."""
    assert [each for each in sentences() if re.search(r"\bdocs/|\w\.md\b", each[1])] == []


def test_a_message_names_topics_that_exist() -> None:
    """After `invoke explain` comes the name of a page."""
    named = {topic for _, text in sentences() for topic in re.findall(r"invoke explain ([a-z0-9/-]+)", text)}
    assert named
    assert named <= topics().keys()


UNPLAIN = re.compile(
    r"\b(told|tells?|said|nobody|somebody|anew|who(so)?ever|aside|meanwhile"
    r"|g[ai]ven? back|gone away|whether)\b",
    re.IGNORECASE,
)


def test_a_message_uses_plain_words() -> None:
    """It names the tool, the container, the digest: not "somebody", and not what "was told"."""
    assert [each for each in sentences() if UNPLAIN.search(each[1])] == []


def test_a_message_has_one_idea_per_sentence() -> None:
    """A sentence of a message has at most 25 words, as a rule of the project."""
    parts = [(place, part) for place, text in sentences() for part in re.split(r"(?<=[.:;?\n]) ", text)]
    long = [each for each in parts if len(each[1].split()) > 25]
    assert [each for each in long if not each[0].startswith("release/schema.py") and "$" not in each[1]] == []
