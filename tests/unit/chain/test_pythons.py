"""The Python that a service is for, and interpreters on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from release.chain.pythons import (
    HERE,
    find_python,
    is_python_allowed,
    python_of_base_image,
    python_of_service,
)
from release.config import Service, parse


def service(**table: Any) -> Service:
    known = {"service": "api", "smoke": {"port": 8000}, **table}
    return parse({"tool": {"release": known}}).service("api")


@pytest.mark.parametrize(
    ("dockerfile", "target", "python"),
    [
        ("FROM python:3.13-slim\n", None, "3.13"),
        ("FROM --platform=linux/amd64 docker.io/library/python:3.12.1@sha256:00 AS x\n", None, "3.12"),
        ("ARG PY=3.14\nFROM python:${PY}-slim\n", None, "3.14"),
        ('ARG PY\nFROM python:"$PY"\n', None, None),
        ("ARG BASE=python:3.11\nFROM $BASE AS build\nFROM build AS runtime\n", None, "3.11"),
        ("FROM python:3.12 AS build\nFROM python:3.13 AS runtime\nFROM runtime AS test\n", "runtime", "3.13"),
        ("FROM python:3.12 AS build\nFROM debian:12 AS runtime\n", None, None),
        ("FROM ghcr.io/astral-sh/uv:python3.13-bookworm-slim\n", None, "3.13"),
        ("FROM public.ecr.aws/lambda/python:3.12\n", None, "3.12"),
        ("FROM registry.example/base-python:3.12-2026\n", None, "3.12"),
        ("FROM a AS b\nFROM b AS a\n", None, None),
        ("", None, None),
    ],
)
def test_the_image_names_its_python(dockerfile: str, target: str | None, python: str | None) -> None:
    """By the name of what the released stage is built on."""
    assert python_of_base_image(dockerfile, target, {}) == python


def test_build_arguments_go_before_defaults() -> None:
    """As for BuildKit."""
    assert python_of_base_image("ARG PY=3.11\nFROM python:$PY\n", None, {"PY": "3.14"}) == "3.14"


def test_the_projects_python_is_the_nearest_one_that_is_said() -> None:
    """Configuration, image, version file, metadata."""
    files = {
        "Dockerfile": b"FROM python:3.13\n",
        ".python-version": b"cpython-3.14.1\n",
        "pyproject.toml": b'[project]\nrequires-python = ">=3.16"\n',
    }
    assert python_of_service(service(lock={"python": "3.12"}), files.get) == "3.12"
    assert python_of_service(service(), files.get) == "3.13"
    del files["Dockerfile"]
    assert python_of_service(service(), files.get) == "3.14"
    del files[".python-version"]
    assert python_of_service(service(), files.get) == "3.16"
    files["pyproject.toml"] = f'[project]\nrequires-python = ">={HERE}"\n'.encode()
    assert python_of_service(service(), files.get) is None


@pytest.mark.parametrize(
    ("version", "specifier", "allowed"),
    [
        ("3.13", ">=3.12", True),
        ("3.13", ">=3.13.2", True),
        ("3.13", "<3.13", False),
        ("3.13", "==3.12.*", False),
        ("3.13", "", True),
        ("3.13", "nonsense", True),
    ],
)
def test_a_specifier_allows_a_python(version: str, specifier: str, allowed: bool) -> None:
    """By its minor version."""
    assert is_python_allowed(version, specifier) is allowed


def test_an_interpreter_is_found_and_none_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This one is known; others are looked for on the machine only."""
    assert find_python(HERE) == Path(sys.executable)
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "automatic")
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "pythons"))
    monkeypatch.setenv("PATH", str(Path(sys.base_prefix) / "bin"))
    found = find_python(f"=={HERE}.*", tmp_path)
    assert found is not None
    assert found.exists()
    assert find_python("3.99", tmp_path) is None
    assert not (tmp_path / "pythons").exists()
