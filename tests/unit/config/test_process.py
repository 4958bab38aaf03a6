"""Processes of an environment: what they inherit, their order, and what two of them cannot share."""

from __future__ import annotations

from typing import Any

import pytest

from release import config
from release.config import Environment
from release.errors import ConfigError

WEB: dict[str, Any] = {"publish": ["127.0.0.1:8080:8000"]}
PROXY: dict[str, Any] = {
    "kind": "haproxy",
    "network": "edge",
    "container": "edge",
    "admin": "/run/admin.sock",
    "backend": "api",
}


def environment(processes: dict[str, Any], **settings: Any) -> Environment:
    table = {
        "service": "api",
        "smoke": {"port": 8000},
        "environments": {"production": {**settings, "processes": processes}},
    }
    return config.parse({"tool": {"release": table}}).service(None).environments["production"]


def test_a_process_has_the_settings_of_its_environment_where_it_says_nothing() -> None:
    """Variables, labels and files are joined; another value replaces."""
    every = environment(
        {"web": WEB, "worker": {"env": {"QUEUE": "mail"}, "stop_grace": "60s"}},
        env={"LOG": "info", "QUEUE": "all"},
        memory="256m",
        secrets={"TOKEN": {"from_env": "TOKEN"}},
    ).every
    assert list(every) == ["web", "worker"]
    assert every["worker"].env == {"LOG": "info", "QUEUE": "mail"}
    assert (every["worker"].stop_grace, every["web"].stop_grace) == (60_000, 10_000)
    assert {each.memory for each in every.values()} == {256 * 1024**2}
    assert all("TOKEN" in each.secrets for each in every.values())
    assert (len(every["web"].publish), every["worker"].publish) == (1, ())


def test_without_processes_the_environment_is_the_only_one() -> None:
    """Its name is empty."""
    only = Environment()
    assert only.every == {"": only}
    assert only.of("") == only


def test_processes_are_replaced_as_written_but_for_what_comes_after() -> None:
    """`after` moves one behind others, and no further."""
    processes = {"beat": {"after": ["worker"]}, "worker": {"after": ["web"]}, "web": WEB, "mail": {}}
    assert list(environment(processes).every) == ["web", "worker", "beat", "mail"]


def test_a_proxy_takes_the_place_of_an_inherited_port() -> None:
    """Both at once would be refused."""
    every = environment({"web": {"proxy": PROXY}, "worker": {"publish": []}}, publish=["8080:8000"]).every
    assert (every["web"].publish, every["web"].proxy is not None) == ((), True)


def test_what_is_not_configured_stands_behind_the_only_proxy() -> None:
    """So one process behind it can become several, and go back."""
    several = environment({"web": {"proxy": PROXY}, "worker": {}})
    assert several.of("").proxy == several.of("web").proxy
    assert several.of("worker").proxy is None
    assert several.of("gone").proxy == several.of("web").proxy


@pytest.mark.parametrize(
    ("processes", "settings", "said"),
    [
        (
            {"web": {"after": ["wbe"]}},
            {},
            "there is no process 'wbe'; did you mean 'web'",
        ),
        ({"web": {"after": ["xyz"]}}, {}, "there is no process 'xyz'; there are: web"),
        (
            {"web": {"after": ["worker"]}, "worker": {"after": ["web"]}},
            {},
            "processes: web, worker wait for each other by `after`",
        ),
        ({"any": {}}, {}, "processes.any: other containers have names that end in -any"),
        ({"0123456789ab": {}}, {}, "use another name"),
        (
            {"web": {}, "worker": {}},
            {"publish": ["8080:8000"]},
            "web and worker both publish",
        ),
        ({"web": {}, "worker": {}}, {"proxy": PROXY}, "web and worker are behind the same proxy"),
        ({"beat": {"exclusive": True, "proxy": PROXY}}, {}, "processes.beat: exclusive excludes proxy"),
        ({"beat": {"exclusive": True, "restart": "always"}}, {}, 'exclusive excludes restart = "always"'),
        ({"beat": {"exclusive": True, "replicas": 2}}, {}, "exclusive means one container"),
        ({"web": {"replicas": 2}}, {}, "processes.web: replicas needs proxy"),
        ({"web": {"secrets": {}}}, {}, "unknown key"),
        ({"web": {"afer": []}}, {}, "unknown key; did you mean 'after'?"),
    ],
)
def test_what_is_wrong_is_said_with_the_process(
    processes: dict[str, Any], settings: dict[str, Any], said: str
) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigError) as caught:
        environment(processes, **settings)
    assert said in str(caught.value)


def test_a_smoke_run_has_the_command_of_the_process_of_its_name() -> None:
    """And the smoke run itself that of the process which is left."""
    table = {
        "service": "api",
        "smoke": {"port": 8000, "processes": {"worker": {"stays_up": "5s"}}},
        "environments": {
            "production": {"processes": {"web": {"command": ["serve"]}, "worker": {"command": ["work"]}}}
        },
    }
    service = config.parse({"tool": {"release": table}}).service(None)
    runs = service.smoke_runs
    assert runs["worker"].command == ("work",)
    assert runs[""].command == ("serve",)
    assert service.unsmoked == {}
    assert service.port_of("production", "web") == 8000
    assert service.port_of("production", "worker") is None


def test_a_process_that_no_smoke_run_covers_is_named_with_its_environment() -> None:
    """As the caution of a release says it."""
    table = {
        "service": "api",
        "smoke": {"port": 8000, "command": ["serve"]},
        "environments": {
            "production": {"processes": {"web": {"command": ["serve"]}, "beat": {"command": ["x"]}}}
        },
    }
    assert config.parse({"tool": {"release": table}}).service(None).unsmoked == {"production (beat)": ("x",)}


def test_a_proxy_of_a_process_needs_a_port_that_is_known() -> None:
    """With the key of the process."""
    proxied = {"worker": {"command": ["work"], "proxy": PROXY}}
    table = {
        "service": "api",
        "smoke": {"port": 8000, "processes": {"worker": {"command": ["work"], "stays_up": "5s"}}},
        "environments": {"production": {"processes": proxied}},
    }
    with pytest.raises(ConfigError, match=r"environments\.production\.processes\.worker\.proxy\.port"):
        config.parse({"tool": {"release": table}})
