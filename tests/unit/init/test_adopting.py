"""Stops of people who set up a real repository, each with the file that `init` now writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from release.init.packages import open_requirements
from release.init.plan import SetUp
from release.init.writing import write_changes
from tests.unit.init.repositories import DJANGO, FLASK, after, repository, set_up
from tests.unit.repository import Repository


def read_again(root: Path) -> SetUp:
    """Return what a second run would write."""
    return set_up(Repository(root))


STATIC = {
    **DJANGO,
    "shop/settings.py": DJANGO["shop/settings.py"] + 'STATIC_ROOT = BASE_DIR / "staticfiles"\n',
}


def test_open_versions_are_named_with_the_command_that_locks_them(tmp_path: Path) -> None:
    """The lock gate would refuse them, after the first release began."""
    files = {**DJANGO, "requirements.txt": "django>=5,<6\ngunicorn\nwhitenoise==6.7.0\n"}
    (missing,) = set_up(repository(tmp_path, files)).missing
    assert "which has django>=5,<6, gunicorn: git mv requirements.txt requirements.in && uv pip" in missing
    assert missing.endswith("--python-version 3.13 requirements.in -o requirements.txt")
    assert set_up(repository(tmp_path / "locked", DJANGO)).missing == ()


def test_exact_and_direct_requirements_are_not_open() -> None:
    """Hashes, options, addresses and markers are no ranges."""
    text = (
        "a==1 \\\n    --hash=sha256:00\n-r other.txt\nb @ https://host/b.whl\ngit+https://host/c\n"
        'd[x]>=1 ; python_version > "3"  # why\ne~=2\nf ; sys_platform == "win32"\n'
    )
    assert open_requirements(text) == [
        'd[x]>=1 ; python_version > "3"',
        "e~=2",
        'f ; sys_platform == "win32"',
    ]


def test_a_repository_without_a_linter_passes_a_gentle_one(tmp_path: Path) -> None:
    """Only what would fail when it runs: an unused import stops no first release."""
    found = set_up(repository(tmp_path, DJANGO))
    assert 'commands = ["ruff check --select E9,F63,F7,F82 ."]' in after(found, "release.toml")
    assert any("only for syntax errors" in line for line in found.advice)
    write_changes(tmp_path, found.changes)
    again = read_again(tmp_path)
    assert (again.changes, [line for line in again.advice if "syntax errors" in line]) == ((), [])


@pytest.mark.parametrize(
    ("files", "python"),
    [
        ({".python-version": "# the project's\n3.12\n"}, "3.12"),
        ({".python-version": "cpython-3.11.4\n"}, "3.11"),
        ({"Dockerfile.prod": "FROM --platform=linux/amd64 docker.io/library/python:3.12-slim\n"}, "3.12"),
    ],
)
def test_a_new_dockerfile_has_the_python_of_the_project(
    tmp_path: Path, files: Mapping[str, str], python: str
) -> None:
    """Locked packages may have no files for a newer one."""
    found = set_up(repository(tmp_path, {**FLASK, **files}))
    assert f"FROM python:{python}-slim AS runtime" in after(found, "Dockerfile")


def test_static_files_of_django_are_in_the_image(tmp_path: Path) -> None:
    """Their storage refuses names that were not collected; required variables get a value."""
    text = after(set_up(repository(tmp_path, STATIC)), "Dockerfile")
    command = "PYTHONDONTWRITEBYTECODE=1 DB=build SECRET_KEY=build /venv/bin/python manage.py collectstatic"
    assert command in text
    assert text.index("collectstatic") < text.index(
        "touch -h -d @$SOURCE_DATE_EPOCH {} +\n\nFROM python:3.13-slim AS runtime"
    )
    assert "collectstatic" not in after(set_up(repository(tmp_path / "plain", DJANGO)), "Dockerfile")


def test_a_service_with_a_procfile_gets_the_port_as_a_variable(tmp_path: Path) -> None:
    """Its own server reads PORT, also from a file of settings."""
    files = {**DJANGO, "Procfile": "web: gunicorn --config gunicorn.conf.py shop.wsgi\n"}
    assert "ENV PORT=8000" in after(set_up(repository(tmp_path, files)), "Dockerfile")


def test_variables_of_development_stay_out_of_the_image(tmp_path: Path) -> None:
    """A file .env often has passwords."""
    assert ".env" in after(set_up(repository(tmp_path, DJANGO)), ".dockerignore").splitlines()


def test_a_pdm_lock_is_exported_with_options_that_pdm_has(tmp_path: Path) -> None:
    """It has no `--no-self`: leaving the project out is its default."""
    files = {
        **{path: text for path, text in FLASK.items() if path != "poetry.lock"},
        "pyproject.toml": '[project]\nname = "pages"\nrequires-python = ">=3.11"\n',
        "pdm.lock": '[[package]]\nname = "flask"\nversion = "3.1.0"\n',
    }
    assert "RUN pdm export --prod -o requirements.txt" in after(
        set_up(repository(tmp_path, files)), "Dockerfile"
    )
