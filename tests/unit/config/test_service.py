"""Which service, which environment: named, or the only one."""

from __future__ import annotations

import pytest

from release.config import Config
from release.errors import UsageError
from tests.unit.config.written import MINIMAL, production, read


def two() -> Config:
    return read("[tool.release.smoke]\nport = 1\n[tool.release.services.api]\n[tool.release.services.web]")


def test_the_only_service_and_the_only_environment_need_no_name() -> None:
    """With one of each, the commands are short."""
    api = read(production("")).service(None)
    assert (api.service, api.environment(None)[0]) == ("api", "production")


def test_one_of_several_services_must_be_named() -> None:
    """The message lists them and shows the option."""
    with pytest.raises(UsageError, match=r"there are 2 services: api, web\n.*use --service api"):
        two().service(None)


def test_a_mistyped_service_gets_the_near_miss() -> None:
    """The hint can be pasted."""
    with pytest.raises(
        UsageError, match=r"there is no service 'wbe'; there are: api, web\n.*use --service web"
    ):
        two().service("wbe")


def test_a_mistyped_environment_gets_the_near_miss() -> None:
    """Also when there is only one."""
    with pytest.raises(
        UsageError, match=r"there is no environment 'prodction'.*\n.*--environment production"
    ):
        read(production("")).service(None).environment("prodction")


def test_without_environments_the_message_says_which_table_to_add() -> None:
    """Nothing can be chosen."""
    with pytest.raises(UsageError, match=r"none is configured\n.*\[tool.release.environments.<name>\]"):
        read(MINIMAL).service(None).environment(None)
