"""What the smoke run takes from the environments."""

from __future__ import annotations

from typing import Any

import pytest

from release.config import Smoke
from release.errors import Problem
from tests.unit.config.written import MINIMAL, problems, service

STAGING, PRODUCTION = "[tool.release.environments.staging]", "[tool.release.environments.production]"


def run(keys: str, *environments: str) -> Smoke:
    """The settings of the run, with these keys of `smoke` and of each environment."""
    tables = [f"{head}\n{text}\n" for head, text in zip((STAGING, PRODUCTION), environments, strict=False)]
    return service(f"{keys}\n" + "\n".join(tables)).smoke_run


@pytest.mark.parametrize(
    ("written", "key", "value"),
    [
        ('command = ["serve"]', "command", ("serve",)),
        ('user = "10001"', "user", "10001"),
        ('cap_add = ["SETUID"]', "cap_add", ("SETUID",)),
        ('stop_signal = "SIGINT"', "stop_signal", "SIGINT"),
        ('stop_grace = "30s"', "stop_grace", 30_000),
        ("init = true", "init", True),
        ("read_only = false", "read_only", False),
    ],
)
def test_what_all_environments_say_holds_for_the_smoke_run(written: str, key: str, value: object) -> None:
    """Not what one of them says, and not against a key of `smoke` itself."""
    assert getattr(run("", written, written), key) == value
    assert getattr(run("", written), key) == value
    default = getattr(run(""), key)
    assert getattr(run("", written, ""), key) == default
    assert getattr(run(_own(key), written, written), key) != value


def _own(key: str) -> str:
    other: dict[str, Any] = {
        "command": '["other"]',
        "user": '"0"',
        "cap_add": "[]",
        "stop_signal": '"SIGTERM"',
        "stop_grace": '"1s"',
        "init": "false",
        "read_only": "true",
    }
    return f"{key} = {other[key]}"


def test_environments_that_differ_decide_nothing() -> None:
    """The image does."""
    assert run("", 'command = ["a"]', 'command = ["b"]').command is None
    kept = 'command = ["a"]\nentrypoint = "keep"'
    assert run("", 'command = ["a"]', kept).command is None
    assert run("", kept, kept).entrypoint == "keep"


def test_the_temporary_folder_stays_writable() -> None:
    """Beside the folders of the environments, unless they have it."""
    assert [*map(str, run("", 'tmpfs = ["/run/app:uid=1"]').tmpfs)] == ["/run/app:uid=1", "/tmp"]
    assert [*map(str, run("", 'tmpfs = ["/tmp:size=1m"]').tmpfs)] == ["/tmp:size=1m"]
    assert [*map(str, run("tmpfs = []", 'tmpfs = ["/run/app"]').tmpfs)] == []


@pytest.mark.parametrize(
    "keys",
    [
        'headers = { Authorization = "Basic eDp5" }',
        'headers = { Cookie = "a=b" }',
        'headers = { X-Api-Key = "canary" }',
        'headers = { Host = "api.example" }',
    ],
)
def test_a_header_field_that_looks_like_a_login_is_refused(keys: str) -> None:
    """The request is recorded with each deployment."""
    (message,) = problems(f"{MINIMAL}{keys}").values()
    assert "canary" not in message


PROCESSES = f"""
[{PRODUCTION[1:-1]}.processes.web]
[{PRODUCTION[1:-1]}.processes.worker]
command = ["work"]
"""


@pytest.mark.parametrize(("name", "advice"), [("wroker", "did you mean 'worker'?"), ("x", "web, worker")])
def test_a_smoke_process_that_nothing_runs_is_refused(name: str, advice: str) -> None:
    """Else it counts as the web server, and `smoke` itself takes the command of the worker."""
    table = f'[tool.release.smoke.processes.{name}]\nstays_up = "3s"\n'
    (message,) = problems(f"{MINIMAL}{table}{PROCESSES}").values()
    assert message.startswith(f"smoke.processes.{name}: no environment has such a process")
    assert advice in message
    own = service(f'{table}command = ["other"]\n{PROCESSES}')
    assert own.smoke_runs[name].command == ("other",)
    assert service(table).smoke_runs[name].command is None


def test_a_problem_without_a_path_does_not_begin_with_a_colon() -> None:
    """A file of its own has no path for the whole."""
    assert str(Problem(path="", message="hooks.h: wrong")) == "hooks.h: wrong"
