"""Where and how releases run: what may be said, and what excludes what."""

from __future__ import annotations

import pytest

from release.errors import ConfigError
from release.runspec import Publish
from tests.unit.config.written import PRODUCTION, environment, problems, production, read


@pytest.mark.parametrize(
    "written",
    ['"127.0.0.1:8080:8000"', '{ address = "127.0.0.1", host = 8080, container = 8000 }'],
)
def test_a_port_is_published_as_text_or_as_a_table(written: str) -> None:
    """Both mean the same."""
    assert environment(f"publish = [{written}]").publish == (
        Publish(address="127.0.0.1", host=8080, container=8000),
    )


def test_one_port_may_be_published_for_tcp_and_udp_and_on_two_addresses() -> None:
    """Only the same address, port and protocol collide."""
    ports = environment('publish = ["127.0.0.1:53:53", "127.0.0.1:53:53/udp", "127.0.0.2:53:53"]').publish
    assert len(ports) == 3


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ('from_env = "PROD_URL"', "from_env"),
        ('from_file = "/run/secret"', "from_file"),
        ('from_command = ["op", "read", "op://prod/db"]', "from_command"),
    ],
)
def test_a_secret_comes_from_one_source(source: str, field: str) -> None:
    """A variable, a file, or a command."""
    secret = environment(f"secrets = {{ DATABASE_URL = {{ {source} }} }}").secrets["DATABASE_URL"]
    assert secret.model_fields_set == {field}


@pytest.mark.parametrize(
    "sources",
    ["", 'from_env = "A", from_file = "b"', 'from_file = "b", from_command = ["c"]'],
)
def test_a_secret_with_no_or_two_sources_is_refused(sources: str) -> None:
    """Which one counts would be a guess."""
    found = problems(production(f"secrets = {{ A = {{ {sources} }} }}"))
    assert found == {f"{PRODUCTION}.secrets.A": "give exactly one of from_env, from_file and from_command"}


@pytest.mark.parametrize(
    "secret",
    ['"hunter2"', '{ from_env = "hunter2!" }', '{ from_file = ["hunter2"] }', '{ from_command = "hunter2" }'],
)
def test_a_value_under_secrets_is_never_shown(secret: str) -> None:
    """Somebody may have written the secret itself."""
    with pytest.raises(ConfigError) as caught:
        read(production(f"secrets = {{ A = {secret} }}"))
    assert caught.value.problems[0].path.startswith(f"{PRODUCTION}.secrets.A")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('context = "a"\nhost = "ssh://b"', "give either context or host, not both"),
        (
            'env = { A = "1" }\nsecrets = { A = { from_env = "B" } }',
            "A is in env and in secrets: keep only one",
        ),
        (
            'publish = ["8080:8000"]\nproxy = { kind = "dns", network = "edge" }',
            "give either publish or proxy: behind a proxy, the proxy publishes the port",
        ),
        ("replicas = 2", "replicas needs proxy: a port of the machine belongs to one container"),
        (
            'replicas = 2\nproxy = { kind = "dns", network = "edge" }',
            'replicas needs another kind than "dns": a name belongs to one container',
        ),
    ],
)
def test_keys_of_an_environment_that_contradict_each_other_are_refused(keys: str, message: str) -> None:
    """One of them would be ignored."""
    assert problems(production(keys)) == {PRODUCTION: message}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('kind = "haproxy"', 'kind = "haproxy" needs container, admin, backend'),
        ('kind = "caddy", container = "c", admin = "127.0.0.1:2019"', 'kind = "caddy" needs backend'),
        ('kind = "traefik"', 'kind = "traefik" needs rule'),
        ('kind = "dns", rule = "Host(`a`)", backend = "b"', 'kind = "dns" does not use backend, rule'),
    ],
)
def test_a_proxy_has_the_keys_that_its_kind_needs_and_no_others(keys: str, message: str) -> None:
    """A key that nobody reads was meant for something."""
    found = problems(production(f'proxy = {{ network = "edge", {keys} }}'))
    assert found == {f"{PRODUCTION}.proxy": message}


@pytest.mark.parametrize("admin", ["haproxy.sock", "127.0.0.1", "http://127.0.0.1:2019", "/run/a:b"])
def test_a_proxy_takes_orders_at_a_socket_or_a_port(admin: str) -> None:
    """A relative path would be looked for in a folder that nobody named."""
    table = f'network = "edge", container = "c", backend = "b", kind = "haproxy", admin = "{admin}"'
    assert set(problems(production(f"proxy = {{ {table} }}"))) == {f"{PRODUCTION}.proxy.admin"}


def test_a_health_check_is_recorded_in_milliseconds() -> None:
    """What is not given stays the image's."""
    settings = environment(
        'healthcheck = { command = ["check"], interval = "10s", start_interval = "500ms" }'
    )
    assert settings.healthcheck is not None
    assert settings.healthcheck.recorded.model_dump(exclude_none=True) == {
        "command": ("check",),
        "interval": 10_000,
        "start_interval": 500,
    }


def test_a_health_check_that_is_taken_away_has_no_other_keys() -> None:
    """One of the two was meant."""
    keys = 'healthcheck = { disable = true, interval = "10s" }'
    assert problems(production(keys)) == {
        f"{PRODUCTION}.healthcheck": "remove disable, or interval: they exclude each other"
    }


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGRTMIN+3", "SIGUSR1"])
def test_a_stop_signal_is_a_name(signal: str) -> None:
    """As the engine takes it."""
    assert environment(f'stop_signal = "{signal}"').stop_signal == signal
    assert "is not a signal" in problems(production('stop_signal = "15"'))[f"{PRODUCTION}.stop_signal"]


def test_a_logging_option_that_looks_like_a_secret_is_refused() -> None:
    """It would be recorded; the engine's own settings can have it."""
    (found,) = problems(production('log_options = { splunk-token = "canary" }')).items()
    assert found[0] == f"{PRODUCTION}.log_options"
    assert "daemon.json" in found[1]
    assert "canary" not in found[1]


def test_a_file_is_readable_by_all_unless_it_is_said() -> None:
    """Its mode is written in octal digits, as text."""
    given = '{ "/etc/a/b" = { source = "b" }, "/etc/a/c" = { source = "c", mode = "600" } }'
    assert [file.mode for file in environment(f"files = {given}").files.values()] == [0o444, 0o600]
    wrong = problems(production('files = { "/etc/a/b" = { source = "b", mode = 444 } }'))
    assert "three octal digits" in wrong[f"{PRODUCTION}.files./etc/a/b.mode"]


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (
            'files = { "/data/a/b" = { source = "b" } }\nvolumes = ["data:/data"]',
            "below a mounted folder",
        ),
        ('files = { "/tmp/b" = { source = "b" } }\ntmpfs = ["/tmp"]', "is below a mounted folder"),
        ('files = { "/etc/b" = { source = "b" } }\nread_only = true', "a folder of its own below another"),
        (
            'secrets = { A = { from_env = "A", file = "/run/a/b" } }\ntmpfs = ["/run/a"]',
            "another one is mounted",
        ),
        (
            'secrets = { A = { from_env = "A", file = "/a/b/c" }, B = { from_env = "B", file = "/a/b/c" } }',
            "is written twice",
        ),
    ],
)
def test_a_file_that_could_not_be_there_is_refused(keys: str, found: str) -> None:
    """Hidden by a mount, shared through a volume, or without a folder that can be its own."""
    assert found in problems(production(keys))[PRODUCTION]
