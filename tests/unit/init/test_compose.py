"""Settings that are taken over from a compose file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from release.errors import UsageError
from tests.unit.init.repositories import WITH_UV, after, repository, set_up

COMPOSE = """\
services:
  web:
    build: {context: ., dockerfile: Dockerfile, target: runtime}
    ports: ["127.0.0.1:8080:9000"]
    environment:
      LOG_LEVEL: info
      WORKERS: 2
      DATABASE_URL: ${DATABASE_URL}
      API_TOKEN: abc
    env_file: .env
    volumes: ["media:/srv/media", "./code:/code"]
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:9000/ready"]}
    deploy: {resources: {limits: {memory: 512M, cpus: "0.5"}}}
    stop_grace_period: 20s
    read_only: true
    privileged: true
    depends_on: [db]
  worker:
    build: {context: ., dockerfile: Dockerfile, target: runtime}
    command: celery -A app worker
  db:
    image: postgres:17
"""
DOCKERFILE = "FROM python:3.13-slim AS runtime\nCMD python -m app\n"


def test_what_corresponds_is_taken_over(tmp_path: Path) -> None:
    """Each key that an environment has too; a value that may be a secret is not copied."""
    found = set_up(
        repository(tmp_path, {**WITH_UV, "Dockerfile": DOCKERFILE, "compose.yaml": COMPOSE}), "compose.yaml"
    )
    table = tomllib.loads(after(found, "pyproject.toml"))["tool"]["release"]
    assert table["service"] == "web"
    assert table["build"] == {"dockerfile": "Dockerfile", "target": "runtime"}
    assert table["smoke"]["port"] == 9000
    assert table["smoke"]["path"] == "/ready"
    assert table["environments"]["production"] == {
        "env": {"LOG_LEVEL": "info", "WORKERS": "2"},
        "secrets": {"DATABASE_URL": {"from_env": "DATABASE_URL"}, "API_TOKEN": {"from_env": "API_TOKEN"}},
        "volumes": ["media:/srv/media"],
        "memory": "512m",
        "cpus": 0.5,
        "stop_grace": "20s",
        "read_only": True,
        "processes": {
            "web": {"publish": ["127.0.0.1:8080:9000"]},
            "worker": {"command": ["celery", "-A", "app", "worker"], "after": ["web"]},
        },
    }
    assert "abc" not in after(found, "pyproject.toml")


@pytest.mark.parametrize(
    "words",
    ["web.privileged", "web.env_file", "./code:/code", "the service db (postgres:17)", "API_TOKEN", "worker"],
)
def test_what_does_not_is_said(tmp_path: Path, words: str) -> None:
    """One sentence for each."""
    made = repository(tmp_path, {**WITH_UV, "Dockerfile": DOCKERFILE, "compose.yaml": COMPOSE})
    assert any(words in text for text in set_up(made, "compose.yaml").advice)


def test_a_value_that_the_configuration_refuses_is_left_out(tmp_path: Path) -> None:
    """With its reason; the rest is written."""
    compose = "services: {web: {build: ., ports: ['99999:80', '8080:80'], restart: sometimes}}\n"
    found = set_up(repository(tmp_path, {**WITH_UV, "compose.yaml": compose}), "compose.yaml")
    table = tomllib.loads(after(found, "pyproject.toml"))["tool"]["release"]
    assert "restart" not in table["environments"]["production"]
    assert any("restart was left out" in text for text in found.advice)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {db: {image: postgres}}", "no service has `build`; there are: db"),
        ("a: [", "not YAML"),
        ("- a", "not a table"),
        ("", "missing, empty"),
        ("!!python/object:os.system {}", "not YAML"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    """Nothing of it is run."""
    with pytest.raises(UsageError) as caught:
        set_up(repository(tmp_path, {**WITH_UV, "compose.yaml": text}), "compose.yaml")
    assert said in str(caught.value)


def test_a_service_is_chosen_by_its_name(tmp_path: Path) -> None:
    """Also one without ports."""
    made = repository(tmp_path, {**WITH_UV, "Dockerfile": DOCKERFILE, "compose.yaml": COMPOSE})
    table = tomllib.loads(after(set_up(made, "compose.yaml", "worker"), "pyproject.toml"))["tool"]["release"]
    assert table["environments"]["production"]["processes"]["worker"]["command"] == [
        "celery",
        "-A",
        "app",
        "worker",
    ]


def test_another_file_is_refused(tmp_path: Path) -> None:
    """Its name says no kind."""
    with pytest.raises(UsageError, match="Kamal"):
        set_up(repository(tmp_path, WITH_UV), "chart.yaml")
