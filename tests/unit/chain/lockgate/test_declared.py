"""Requirements in the words of each tool."""

from __future__ import annotations

import pytest

from release import tomltext
from release.chain.lockgate.declared import Declared, of_pdm, of_pipfile, of_poetry, specifier


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
    wanted = specifier(bound)
    assert wanted is not None
    assert wanted.contains(inside)
    assert not wanted.contains(outside)


@pytest.mark.parametrize("bound", ["^1 || ^2", "latest", "^x"])
def test_a_bound_that_cannot_be_written_is_left_out(bound: str) -> None:
    """No requirement is called stale for it."""
    assert specifier(bound) is None


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
    assert set(of_poetry(tomltext.read(text))) == {
        Declared(name="flask", bound="^3.0"),
        Declared(name="alpha", extras=frozenset({"more"}), is_conditional=True),
        Declared(name="pytest", bound="8.0", group="group dev"),
    }


def test_tables_of_pdm_and_pipenv_are_read() -> None:
    """Packages by their groups."""
    pdm = (
        '[project]\ndependencies = ["six>=1"]\n[tool.pdm.dev-dependencies]\ntest = ["-e file:///x", "ruff"]\n'
    )
    assert list(map(str, of_pdm(tomltext.read(pdm)))) == ["six>=1", "ruff"]
    pipfile = '[packages]\nsix = "*"\n[dev-packages]\nruff = {version = "==1"}\n'
    pipfile += '[requires]\npython_version = "3.12"\n'
    assert [(each.name, each.bound, each.group) for each in of_pipfile(tomltext.read(pipfile))] == [
        ("six", "", ""),
        ("ruff", "==1", "group dev-packages"),
    ]
