"""Variables of an environment today, where each is written, and what may not be recorded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from release.config import parse
from release.deploy.core.place import Place
from release.deploy.environment.environment import EnvironmentRef
from release.deploy.environment.variables import Variables, read_variables


def variables(root: Path, environment: dict[str, Any], **service: Any) -> Variables:
    """Return the variables of production, whose base writes LOG_LEVEL and A."""
    base = {"env": {"LOG_LEVEL": "info", "A": "base"}}
    environments = {"base": base, "production": environment}
    table = {"service": "api", "smoke": {"port": 1}, "environments": environments, **service}
    found = parse({"tool": {"release": table}}).service(None)
    env_ref = SimpleNamespace(
        settings=found.environments["production"],
        place=Place(service="api", environment="production"),
        workspace=SimpleNamespace(service=found, source=SimpleNamespace(root=root)),
    )
    return read_variables(cast(EnvironmentRef, env_ref))


def test_each_place_goes_before_the_one_above(tmp_path: Path) -> None:
    """The service's, files in their order, the inherited and own table, and a secret before all."""
    (tmp_path / "one.env").write_text("B=one\nC=one\nLOG_LEVEL=one\nTOKEN=other\n")
    (tmp_path / "two.env").write_text("C=two\n")
    found = variables(
        tmp_path,
        {
            "extends": "base",
            "env_file": ["one.env", "two.env"],
            "env": {"A": "own"},
            "secrets": {"TOKEN": {"from_env": "PROD_TOKEN"}, "KEY": {"from_command": ["op", "read"]}},
        },
        env={"TZ": "UTC", "B": "shared", "TOKEN": "shared"},
    )
    assert found.problems == ()
    assert found.values == {"TZ": "UTC", "B": "one", "C": "two", "LOG_LEVEL": "info", "A": "own"}
    assert found.origins == {
        "TZ": "env of the service",
        "B": "the file one.env",
        "C": "the file two.env",
        "LOG_LEVEL": "env of base, which production extends",
        "A": "env of production",
        "TOKEN": "secrets: the variable PROD_TOKEN of this machine",
        "KEY": "secrets: the command `op`",
    }


def test_what_looks_like_a_secret_in_a_file_is_refused(tmp_path: Path) -> None:
    """By its name or its value, and without a part of the value; env and secrets say what is meant."""
    (tmp_path / "a.env").write_text("API_TOKEN=canary\nURL=postgres://ada:canary@db/x\nKEY=k\nPASS_RATE=9\n")
    found = variables(
        tmp_path,
        {"env_file": ["a.env"], "env": {"PASS_RATE": "9"}, "secrets": {"KEY": {"from_env": "K"}}},
    )
    assert [problem.path for problem in found.problems] == ["environments.production.env_file"] * 2
    assert "API_TOKEN in a.env looks like a secret" in found.problems[0].message
    assert 'secrets = { API_TOKEN = { from_env = "API_TOKEN" } }' in found.problems[0].message
    assert "URL in a.env" in found.problems[1].message
    assert "canary" not in str(found.problems)
    assert "KEY" not in found.values


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    """Missing, of logins, or not in the form of variables."""
    (tmp_path / ".env").write_text("A=1\n")
    (tmp_path / "bad.env").write_text("what\n")
    found = variables(tmp_path, {"env_file": ["gone.env", ".env", "bad.env"]})
    told = [problem.message for problem in found.problems]
    assert "cannot be read: No such file" in told[0]
    assert ".env, which usually holds logins: name the variables" in told[1]
    assert told[2] == "bad.env, line 1: it is not NAME=value"
