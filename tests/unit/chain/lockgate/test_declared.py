"""Requirements in the words of each tool."""

from __future__ import annotations

import pytest

from release.chain.lockgate.declared import (
    DeclaredRequirement,
    parse_pdm_requirements,
    parse_pipfile_requirements,
    parse_poetry_requirements,
    to_specifier_set,
)
from release.parsing import tomltext


@pytest.mark.parametrize(
    ("bound", "inside", "outside"),
    [
        ("^1.2.3", "1.9", "2.0"),
        ("^0.2.3", "0.2.9", "0.3"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("~1.2.3", "1.2.9", "1.3"),
        ("~1", "1.9", "2.0"),
        ("~=1.2", "1.9", "2.0"),
        ("1.2.3", "1.2.3", "1.2.4"),
        ("1.2.*", "1.2.9", "1.3"),
        (">=1,<2", "1.5", "2.0"),
        (">= 1 < 2", "1.5", "2.0"),
    ],
)
def test_a_bound_of_poetry_means_what_poetry_says(bound: str, inside: str, outside: str) -> None:
    """Caret, tilde, and a bare version."""
    wanted = to_specifier_set(bound)
    assert wanted is not None
    assert wanted.contains(inside)
    assert not wanted.contains(outside)


@pytest.mark.parametrize("bound", ["^1 || ^2", "latest", "^x"])
def test_a_bound_that_cannot_be_written_is_left_out(bound: str) -> None:
    """No requirement is called stale for it."""
    assert to_specifier_set(bound) is None


def test_tables_of_poetry_are_read() -> None:
    """With groups and conditions; Python is no package."""
    text = """
    [tool.poetry.dependencies]
    python = "^3.11"
    Flask = "^3.0"
    alpha = { version = "*", extras = ["More"], markers = "os_name == 'nt'" }
    [tool.poetry.group.dev.dependencies]
    pytest = "8.0"
    """
    assert set(parse_poetry_requirements(tomltext.read(text))) == {
        DeclaredRequirement(name="flask", bound="^3.0"),
        DeclaredRequirement(name="alpha", extras=frozenset({"more"}), is_conditional=True),
        DeclaredRequirement(name="pytest", bound="8.0", group="group dev"),
    }


def test_tables_of_pdm_and_pipenv_are_read() -> None:
    """Packages by their groups."""
    pdm = (
        '[project]\ndependencies = ["six>=1"]\n[tool.pdm.dev-dependencies]\ntest = ["-e file:///x", "ruff"]\n'
    )
    assert list(map(str, parse_pdm_requirements(tomltext.read(pdm)))) == ["six>=1", "ruff"]
    pipfile = '[packages]\nsix = "*"\n[dev-packages]\nruff = {version = "==1"}\n'
    pipfile += '[requires]\npython_version = "3.12"\n'
    assert [
        (each.name, each.bound, each.group) for each in parse_pipfile_requirements(tomltext.read(pipfile))
    ] == [
        ("six", "", ""),
        ("ruff", "==1", "group dev-packages"),
    ]
