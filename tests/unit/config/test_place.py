"""`release.toml`: the same tables, without `tool.release`."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.config import files_with_table, load, own_file, parse
from release.errors import ConfigError
from tests.unit.config.written import MINIMAL, read

OWN = 'service = "api"\n[smoke]\nport = 8000\n[environments.production]\n'


def written(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        (folder / f"{name}.toml").write_text(content, encoding="utf-8")
    return folder


def test_its_tables_mean_what_those_of_pyproject_mean(tmp_path: Path) -> None:
    """No key has another name."""
    assert load(written(tmp_path, release='service = "api"\n[smoke]\nport = 8000\n')) == read(MINIMAL)


def test_the_name_comes_from_pyproject_too(tmp_path: Path) -> None:
    """What is not ours stays there."""
    found = load(written(tmp_path, release="smoke.port = 1", pyproject='[project]\nname = "api"'))
    assert found.service("api").smoke.port == 1


def test_several_services_have_tables_of_their_own(tmp_path: Path) -> None:
    """What stands outside of them is what they share."""
    found = load(written(tmp_path, release="smoke.port = 1\n[services.api]\n[services.web.smoke]\nport = 2"))
    assert [found.service(name).smoke.port for name in ("api", "web")] == [1, 2]


def test_two_places_are_refused(tmp_path: Path) -> None:
    """Neither wins in silence."""
    with pytest.raises(ConfigError, match=r"tool\.release: release\.toml configures the service too"):
        load(written(tmp_path, release=OWN, pyproject=MINIMAL))


def test_problems_name_the_file_and_keys_without_a_prefix(tmp_path: Path) -> None:
    """As they are written there."""
    text = "[smoke]\nprot = 1\n[services.api.smoke]\nport = 'x'\n[services.web]\nservice = 'w'\n"
    with pytest.raises(ConfigError, match=r"release\.toml") as caught:
        load(written(tmp_path, release=text))
    assert [problem.path for problem in caught.value.problems] == ["services.web.service"]
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, release=text.partition("[services.web]")[0] + "[services.web]"))
    assert {problem.path for problem in caught.value.problems} >= {"smoke.prot", "services.api.smoke.port"}


@pytest.mark.parametrize("name", ["release", "pyproject"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, name: str) -> None:
    """Whichever it is."""
    written(tmp_path, release=OWN)
    with pytest.raises(ConfigError, match=rf"{name}\.toml: not TOML"):
        load(written(tmp_path, **{name: "["}))


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"release.toml": OWN}, "release.toml"),
        ({"release.toml": OWN, "pyproject.toml": "[project]"}, "release.toml"),
        ({"release.toml": "sign-commit = true", "pyproject.toml": MINIMAL}, None),
        ({"release.toml": OWN, "pyproject.toml": "["}, None),
        ({"pyproject.toml": MINIMAL}, None),
    ],
)
def test_it_is_ours_only_where_it_configures(files: dict[str, str], found: str | None) -> None:
    """A file of this name may be another tool's."""
    assert own_file(lambda name: files[name].encode() if name in files else None) == found


def test_a_document_of_pyproject_alone_is_parsed() -> None:
    """For those who have it already."""
    assert (
        parse({"tool": {"release": {"service": "api", "smoke": {"port": 1}}}}).service("api").smoke.port == 1
    )


@pytest.mark.parametrize(
    "text", ["[tool.release.smoke]\nport = 1", "port = 1\n[tool.release]\nsmoke.port = 1"]
)
def test_tables_with_the_prefix_of_pyproject_are_one_clear_problem(tmp_path: Path, text: str) -> None:
    """Not an unknown key and a missing one."""
    with pytest.raises(ConfigError, match=r"release\.toml") as caught:
        load(written(tmp_path, release=text))
    (problem,) = caught.value.problems
    assert problem.message.startswith("write the tables without `tool.release` in this file")


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, ()),
        ({"pyproject.toml": "[project]"}, ()),
        ({"pyproject.toml": MINIMAL}, ("pyproject.toml",)),
        ({"pyproject.toml": "["}, ("pyproject.toml",)),
        ({"release.toml": ""}, ("release.toml",)),
        ({"pyproject.toml": MINIMAL, "release.toml": OWN}, ("pyproject.toml", "release.toml")),
    ],
)
def test_the_files_with_a_table_are_told(files: dict[str, str], found: tuple[str, ...]) -> None:
    """One that cannot be read may have it."""
    contents = {name: text.encode() for name, text in files.items()}
    assert files_with_table(contents.get) == found
