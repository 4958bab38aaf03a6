"""Messages: a person reads them, without this repository at hand."""

from __future__ import annotations

import re

from release.topics import topics
from tests.messages import sentences


def test_a_message_names_no_file_of_the_documentation() -> None:
    """An installed package has no docs folder: `invoke explain TOPIC` shows a page."""
    assert [each for each in sentences() if re.search(r"\bdocs/|\w\.md\b", each[1])] == []


def test_a_message_names_topics_that_exist() -> None:
    """After `invoke explain` comes the name of a page."""
    named = {topic for _, text in sentences() for topic in re.findall(r"invoke explain ([a-z0-9/-]+)", text)}
    assert named
    assert named <= topics().keys()
