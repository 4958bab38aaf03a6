"""Settings that are taken over from Kamal's deploy.yml."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.unit.init.repositories import WITH_UV, after, repository, set_up

DEPLOY = """\
service: shop
image: acme/shop
servers:
  web: {hosts: [10.0.0.1, 10.0.0.2]}
  job: {hosts: [10.0.0.3], cmd: bin/jobs}
registry: {server: ghcr.io, username: me, password: [KAMAL_REGISTRY_PASSWORD]}
ssh: {user: deploy, port: 2222, proxy: jump}
env:
  clear: {LOG_LEVEL: info}
  secret: [SECRET_KEY, "DB:MAIN_DB"]
proxy: {app_port: 3000, healthcheck: {path: /healthy}}
builder: {arch: amd64, args: {RUBY: "3"}, cache: {type: gha}}
volumes: ["/srv/data:/data"]
accessories: {db: {image: postgres}}
"""


def test_what_corresponds_is_taken_over(tmp_path: Path) -> None:
    """Hosts, registry, variables, port and health check."""
    found = set_up(repository(tmp_path, {**WITH_UV, "config/deploy.yml": DEPLOY}), "config/deploy.yml")
    table = tomllib.loads(after(found, "pyproject.toml"))["tool"]["release"]
    assert (table["service"], table["registry"]) == ("shop", "ghcr.io/acme")
    assert table["build"]["platform"] == "linux/amd64"
    assert table["build"]["args"] == {"RUBY": "3"}
    assert (table["smoke"]["port"], table["smoke"]["path"]) == (3000, "/healthy")
    assert table["environments"]["production"] == {
        "env": {"LOG_LEVEL": "info"},
        "secrets": {"SECRET_KEY": {"from_env": "SECRET_KEY"}, "DB": {"from_env": "MAIN_DB"}},
        "volumes": ["/srv/data:/data"],
        "host": "ssh://deploy@10.0.0.1:2222",
        "processes": {
            "web": {"publish": ["3000:3000"]},
            "job": {"command": ["bin/jobs"], "after": ["web"]},
        },
    }


@pytest.mark.parametrize(
    "words", ["10.0.0.2", "accessories", "ssh.proxy", "builder.cache", "docker login", "process job"]
)
def test_what_does_not_is_said(tmp_path: Path, words: str) -> None:
    """One sentence for each."""
    made = repository(tmp_path, {**WITH_UV, "config/deploy.yml": DEPLOY})
    assert any(words in text for text in set_up(made, "config/deploy.yml").advice)


def test_a_template_is_not_taken_for_a_value(tmp_path: Path) -> None:
    """Kamal runs ERB first; here it stays text."""
    text = "service: <%= name %>\nservers: ['<%= host %>']\nenv: {clear: {A: '<%= 1 %>'}}\n"
    found = set_up(repository(tmp_path, {**WITH_UV, "config/deploy.yml": text}), "config/deploy.yml")
    assert "<%" not in after(found, "pyproject.toml")


def test_a_list_of_servers_and_a_proxy_with_a_name(tmp_path: Path) -> None:
    """kamal-proxy is not driven: that is said, and no port is published."""
    text = "service: a\nservers: [one.example]\nproxy: {host: a.example, ssl: true}\n"
    found = set_up(repository(tmp_path, {**WITH_UV, "config/deploy.yml": text}), "config/deploy.yml")
    production = tomllib.loads(after(found, "pyproject.toml"))["tool"]["release"]["environments"][
        "production"
    ]
    assert production == {"host": "ssh://root@one.example"}
    assert any("kamal-proxy" in text for text in found.advice)
