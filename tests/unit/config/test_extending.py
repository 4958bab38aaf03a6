"""Settings that are written once: shared variables, and environments that extend others."""

from __future__ import annotations

import pytest

from tests.unit.config.written import MINIMAL, problems, read, service

TABLES = "tool.release.environments"


def test_an_environment_has_the_keys_that_it_extends() -> None:
    """Tables are joined key by key; a list, a number or a text replaces."""
    found = service(f"""
[{TABLES}.base]
memory = "256m"
cap_drop = ["ALL"]
env = {{ LOG_LEVEL = "info", TZ = "UTC" }}
healthcheck = {{ interval = "10s", retries = 3 }}
[{TABLES}.staging]
extends = "base"
cap_drop = []
env = {{ LOG_LEVEL = "debug" }}
healthcheck = {{ retries = 5 }}
[{TABLES}.preview]
extends = "staging"
memory = "64m"
""").environments
    staging, preview = found["staging"], found["preview"]
    assert (staging.memory, staging.cap_drop) == (256 * 1024**2, ())
    assert staging.env == {"LOG_LEVEL": "debug", "TZ": "UTC"}
    assert staging.healthcheck is not None
    assert (staging.healthcheck.interval, staging.healthcheck.retries) == (10_000, 5)
    assert (preview.memory, preview.env, preview.extends) == (64 * 1024**2, staging.env, "staging")


def test_a_key_drops_the_inherited_one_that_it_excludes() -> None:
    """Else no environment could extend one that has it."""
    found = service(f"""
[{TABLES}.base]
context = "office"
publish = ["8080:8000"]
secrets = {{ A = {{ from_env = "A" }}, B = {{ from_env = "B" }} }}
[{TABLES}.far]
extends = "base"
host = "ssh://deploy@far.example"
proxy = {{ kind = "dns", network = "edge" }}
secrets = {{ A = {{ from_file = "/run/a" }} }}
""").environments["far"]
    assert (found.host, found.context, found.publish) == ("ssh://deploy@far.example", None, ())
    assert found.proxy is not None
    assert found.secrets["A"].from_env is None
    assert found.secrets["B"].from_env == "B"


@pytest.mark.parametrize(
    ("tables", "found"),
    [
        ('a = { extends = "b" }', {"a": "there is no environment 'b'; there are: a"}),
        ('aa = { extends = "ab" }\nabc = {}', {"aa": "there is no environment 'ab'; did you mean 'abc'?"}),
        ('a = { extends = "a" }', {"a": "an environment cannot extend itself: remove this key"}),
    ],
)
def test_what_cannot_be_extended_is_named(tables: str, found: dict[str, str]) -> None:
    """At the key of the environment."""
    expected = {f"{TABLES}.{name}.extends": text for name, text in found.items()}
    assert problems(f"{MINIMAL}[{TABLES}]\n{tables}\n") == expected


def test_a_circle_is_refused() -> None:
    """With the whole way round, for each that is in it."""
    told = problems(f'{MINIMAL}[{TABLES}]\na = {{ extends = "b" }}\nb = {{ extends = "a" }}\n')
    assert told[f"{TABLES}.a.extends"] == (
        "the environments extend each other in a circle (a → b → a): remove one `extends`"
    )
    assert set(told) == {f"{TABLES}.a.extends", f"{TABLES}.b.extends"}


def test_a_wrong_value_is_named_where_it_is_written() -> None:
    """Once, though two environments have it."""
    told = problems(f'{MINIMAL}[{TABLES}]\na = {{ memory = "lots" }}\nb = {{ extends = "a" }}\n')
    assert set(told) == {f"{TABLES}.a.memory"}


def test_what_is_joined_is_judged_together() -> None:
    """A key may need an inherited one."""
    text = f"""
[{TABLES}.base]
proxy = {{ kind = "haproxy", network = "e", container = "h", admin = "/a.sock", backend = "api", port = 80 }}
[{TABLES}.large]
extends = "base"
replicas = 3
[{TABLES}.named]
extends = "base"
proxy = {{ kind = "dns", network = "e" }}
"""
    found = service(text).environments
    assert found["large"].replicas == 3
    assert found["named"].proxy is not None
    assert found["named"].proxy.port is None


def test_an_environment_that_is_no_table_is_a_problem_of_its_own() -> None:
    """Nothing is inherited from it."""
    told = problems(f'{MINIMAL}[{TABLES}]\na = 3\nb = {{ extends = "a" }}\nc = {{ extends = 4 }}\n')
    assert told[f"{TABLES}.a"] == "write a table, not 3"
    assert told[f"{TABLES}.c.extends"] == "write text in quotes, not 4"


def test_shared_variables_are_those_of_tests_and_smoke_runs() -> None:
    """Their own go first."""
    found = service("""
[tool.release.env]
TZ = "UTC"
LOG_LEVEL = "info"
[tool.release.test.env]
LOG_LEVEL = "debug"
[tool.release.smoke.processes.worker]
stays_up = "1s"
env = { QUEUE = "q" }
[tool.release.smoke.processes.beat]
stays_up = "1s"
""")
    assert found.test.env == {"TZ": "UTC", "LOG_LEVEL": "debug"}
    assert found.smoke.env == {"TZ": "UTC", "LOG_LEVEL": "info"}
    assert found.smoke_runs["worker"].env == {"TZ": "UTC", "LOG_LEVEL": "info", "QUEUE": "q"}
    assert found.smoke_runs["beat"].env == found.smoke.env


def test_a_wrong_shared_variable_is_named_once() -> None:
    """Where it is written."""
    assert set(problems(f"{MINIMAL}[tool.release.env]\nTZ = 3\n")) == {"tool.release.env.TZ"}


def test_services_share_variables_too() -> None:
    """A service's own go first."""
    config = read("""
[tool.release.env]
TZ = "UTC"
[tool.release.smoke]
port = 1
[tool.release.services.api.env]
TZ = "CET"
[tool.release.services.web]
""")
    assert {name: each.env["TZ"] for name, each in config.services.items()} == {"api": "CET", "web": "UTC"}
    assert config.services["api"].test.env == {"TZ": "CET"}
