"""What the command line says, before anything is looked at."""

from __future__ import annotations

import pytest

from release.commands.command_line import (
    CommandContext,
    parse_history_limit,
    parse_wait_seconds,
    parse_whole_number,
)
from release.commands.deploy import read_allowance
from release.commands.group import choose_services
from release.commands.options import CommandOptions
from release.config import Config
from release.console import Console
from release.errors import UsageError
from release.programs.interruption import Interruption


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "1.5", "\u0663", "9" * 10, "9" * 5000])
def test_what_is_no_number_of_things_is_said_to_be_none(text: str) -> None:
    """Also digits of other scripts, and numbers that nobody can count to."""
    with pytest.raises(UsageError, match=r"not a number from 1 to 999999999\n.*--limit 20"):
        parse_history_limit(CommandOptions(limit=text))


def test_numbers_are_taken() -> None:
    """A pause may be none."""
    assert parse_history_limit(CommandOptions(limit="999999999")) == 999_999_999
    assert parse_wait_seconds(CommandOptions(wait="0")) == 0
    assert parse_whole_number("7", "count", "use 7") == 7


@pytest.mark.parametrize("text", ["", " "])
def test_a_release_that_is_named_by_nothing_is_no_wish_for_the_one_before(text: str) -> None:
    """`rollback --to "$VERSION" --yes` with a variable that is not set must not choose by itself."""
    with pytest.raises(UsageError, match="--to has no value"):
        CommandContext(options=CommandOptions(to=text), console=Console(), interruption=Interruption())


def test_what_is_known_of_the_data_is_one_of_two_words() -> None:
    """Another one is refused with both."""
    assert [read_allowance(CommandOptions(down=word)).down for word in (None, "done", "again")] == [
        None,
        "done",
        "again",
    ]
    with pytest.raises(UsageError, match="neither done nor again") as caught:
        read_allowance(CommandOptions(down="skip"))
    assert "--down again" in caught.value.hint


@pytest.mark.parametrize("services", [",", "api,", ""])
def test_a_service_without_a_name_is_refused_as_such(services: str) -> None:
    """Not as a name that is there twice."""
    cmd = CommandContext(
        options=CommandOptions(services=services), console=Console(), interruption=Interruption()
    )
    with pytest.raises(UsageError, match="a name is empty"):
        choose_services(cmd, Config(services={}, several=True))
