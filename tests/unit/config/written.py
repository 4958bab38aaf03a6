"""What the tests of this folder write: a small configuration, and one more table."""

from __future__ import annotations

import tomllib

import pytest

from release.config import Config, Environment, Service, parse
from release.errors import ConfigError

PRODUCTION = "tool.release.environments.production"
MINIMAL = """
[project]
name = "api"
[tool.release.smoke]
port = 8000
"""


def read(text: str) -> Config:
    return parse(tomllib.loads(text))


def problems(text: str) -> dict[str, str]:
    """The message of each problem by its path."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    found = [(problem.path, problem.message) for problem in caught.value.problems]
    assert len(dict(found)) == len(found), "a path was reported twice"
    return dict(found)


def production(keys: str) -> str:
    return f"{MINIMAL}\n[{PRODUCTION}]\n{keys}\n"


def environment(keys: str) -> Environment:
    return read(production(keys)).service("api").environments["production"]


def service(keys: str) -> Service:
    return read(MINIMAL + keys).service("api")
