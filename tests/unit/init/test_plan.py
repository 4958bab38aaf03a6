"""Init, on small repositories: the files that it proposes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from release import config
from release.errors import UsageError
from release.init.writing import write_changes
from tests.unit.init import repositories
from tests.unit.init.repositories import DJANGO, FASTAPI, FLASK, WITH_UV, after, repository, set_up


def table(text: str) -> dict[str, Any]:
    document = tomllib.loads(text)
    found: dict[str, Any] = document.get("tool", {}).get("release", document)
    return found


def test_a_fastapi_service_with_uv_is_set_up(tmp_path: Path) -> None:
    """Framework, port, path, tests, linter and lock are read; versions are those of the lock."""
    found = set_up(repository(tmp_path, WITH_UV))
    text = after(found, "pyproject.toml")
    assert text.startswith(WITH_UV["pyproject.toml"].rstrip())
    assert table(text) == {
        "service": "greeter-api",
        "lint": {"tools": ["ruff==0.14.5"], "commands": ["ruff check ."]},
        "test": {"install": ["pytest==9.0.2", "httpx==0.28.1"], "copy": ["tests"]},
        "smoke": {"port": 8000, "path": "/healthz"},
        "environments": {"production": {"publish": ["127.0.0.1:8000:8000"]}},
    }
    dockerfile = after(found, "Dockerfile")
    assert "uv export --frozen" in dockerfile
    assert 'CMD ["uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "8000"]' in dockerfile
    assert "tests" in after(found, ".dockerignore").splitlines()
    assert not found.missing


def test_a_django_service_with_requirements_is_set_up(tmp_path: Path) -> None:
    """Without a pyproject.toml the table is release.toml; required variables become secrets."""
    found = set_up(repository(tmp_path, DJANGO))
    settings = table(after(found, "release.toml"))
    assert settings["test"]["command"] == ["python", "manage.py", "test"]
    assert settings["smoke"] == {
        "port": 8000,
        "path": "/ping",
        "host": "shop.example",
        "env": {"DB": "smoke", "SECRET_KEY": "smoke"},
    }
    assert settings["migrations"]["paths"] == ["**/migrations/0*.py"]
    assert settings["migrations"]["up"] == ["python", "manage.py", "migrate", "--noinput"]
    assert settings["environments"]["production"]["secrets"]["DB"] == {"from_env": "DB"}
    assert '"shop.wsgi:application"' in after(found, "Dockerfile")
    assert "pip --python /venv/bin/python install --no-compile -r /build/requirements.txt" in after(
        found, "Dockerfile"
    )


def test_a_flask_service_with_poetry_is_set_up(tmp_path: Path) -> None:
    """A function that makes the application, no tests, and no server for production: all of it is said."""
    found = set_up(repository(tmp_path, FLASK))
    settings = table(after(found, "pyproject.toml"))
    assert settings["service"] == "pages"
    assert settings["smoke"]["path"] == "/welcome"
    assert settings["test"] == {
        "command": ["true"],
        "evidence": "exit-status",
        "reason": "the repository has no tests",
    }
    dockerfile = after(found, "Dockerfile")
    assert "poetry export" in dockerfile
    assert "STOPSIGNAL SIGINT" in dockerfile
    assert any("no server for production" in text for text in found.advice)


@pytest.mark.parametrize("files", [WITH_UV, DJANGO, FLASK], ids=["fastapi", "django", "flask"])
def test_a_second_run_changes_nothing(tmp_path: Path, files: Mapping[str, str]) -> None:
    """The configuration that was written is read again, and nothing is missing."""
    made = repository(tmp_path, files)
    write_changes(made.root, set_up(made).changes)
    assert config.load(made.root).services
    again = set_up(made)
    assert (again.changes, again.missing) == ((), ())


def test_a_dockerfile_that_is_there_is_read(tmp_path: Path) -> None:
    """Its stages, its port and its health check go into the table, and it is left as it is."""
    dockerfile = (
        "FROM python:3.13-slim AS runtime\nEXPOSE 9000\n"
        "HEALTHCHECK CMD curl -f http://localhost:9000/alive\nCMD python -m app\n"
        "FROM runtime AS test\nCMD pytest\n"
    )
    made = repository(tmp_path, {**WITH_UV, "Dockerfile": dockerfile})
    found = set_up(made)
    settings = table(after(found, "pyproject.toml"))
    assert settings["build"] == {"target": "runtime"}
    assert settings["test"] == {"target": "test"}
    assert settings["smoke"] == {"port": 9000, "path": "/alive"}
    assert [change.path for change in found.changes if "docker" in change.path.lower()] == [".dockerignore"]
    assert "tests" not in after(found, ".dockerignore")


def test_a_table_that_is_wrong_is_left_and_told(tmp_path: Path) -> None:
    """Init corrects no settings of a person; it names every problem."""
    made = repository(tmp_path, {**WITH_UV, "pyproject.toml": "[tool.release]\nservice = 'A B'\n"})
    found = set_up(made)
    assert "pyproject.toml" not in {change.path for change in found.changes}
    assert any("tool.release.service" in text for text in found.missing)
    assert any("smoke" in text for text in found.missing)


def test_a_pyproject_that_is_no_toml_is_missing(tmp_path: Path) -> None:
    """It is not overwritten."""
    found = set_up(repository(tmp_path, {**FASTAPI, "requirements.txt": "", "pyproject.toml": "[oh"}))
    assert "pyproject.toml" not in {change.path for change in found.changes}
    assert any("pyproject.toml" in text for text in found.missing)


def test_a_repository_without_a_lockfile_or_an_application_is_told(tmp_path: Path) -> None:
    """What cannot be written is said, each with the next step."""
    found = set_up(repository(tmp_path, {"pyproject.toml": "[project]\nname = 'x'\n"}))
    assert any(text.startswith("a lockfile") for text in found.missing)
    assert any(text.startswith("a Dockerfile") for text in found.missing)


def test_a_service_in_the_only_folder_is_found(tmp_path: Path) -> None:
    """Its folder becomes `context`; files of releases stay at the root."""
    files = {f"services/api/{path}": text for path, text in DJANGO.items()}
    found = set_up(repository(tmp_path, files))
    assert table(after(found, "release.toml"))["context"] == "services/api"
    assert {"noxfile.py", "services/api/Dockerfile"} <= {change.path for change in found.changes}


def test_several_services_are_refused_with_their_folders(tmp_path: Path) -> None:
    """A person writes one table for each."""
    made = repository(tmp_path, {"a/requirements.txt": "", "b/requirements.txt": ""})
    with pytest.raises(UsageError, match="a, b"):
        set_up(made)


def test_an_origin_shares_the_ledger_and_names_the_ci_system(tmp_path: Path) -> None:
    """A workflow is written for the git server of origin."""
    made = repository(tmp_path, WITH_UV)
    made.git("remote", "add", "origin", "git@github.com:acme/greeter.git")
    found = set_up(made)
    assert table(after(found, "pyproject.toml"))["ledger"] == {"remote": "origin"}
    assert "nox -s ${{ github.event_name == 'pull_request' && 'check' || 'release' }}" in after(
        found, ".github/workflows/release.yml"
    )
    made.git("remote", "set-url", "origin", "https://gitlab.example/acme/greeter.git")
    assert "CI_COMMIT_BRANCH" in after(set_up(made), ".gitlab-ci.yml")
    made.write(".gitlab-ci.yml", "test: {script: [pytest]}\n")
    assert any(".gitlab-ci.yml is left as it is" in text for text in set_up(made).advice)


def test_a_virtual_environment_is_ignored(tmp_path: Path) -> None:
    """Its files are not read, and `git add .` does not commit it."""
    made = repository(tmp_path, {**WITH_UV, "env/pyvenv.cfg": "", "env/lib/flask.py": "app = Flask()\n"})
    made.write(".gitignore", "*.log")
    assert after(set_up(made), ".gitignore") == "*.log\nenv/\n"


def test_a_procfile_gives_the_commands(tmp_path: Path) -> None:
    """`$PORT` becomes the port, `release` migrates; processes get tables, and a scheduler is exclusive."""
    procfile = "web: gunicorn shop.wsgi --bind 0.0.0.0:$PORT\nrelease: python manage.py migrate\n"
    procfile += "worker: celery\nclock: python clock.py\n"
    found = set_up(repository(tmp_path, {**DJANGO, "Procfile": procfile}))
    assert 'CMD ["gunicorn", "shop.wsgi", "--bind", "0.0.0.0:8000"]' in after(found, "Dockerfile")
    assert table(after(found, "release.toml"))["migrations"]["up"] == ["python", "manage.py", "migrate"]
    assert table(after(found, "release.toml"))["environments"]["production"]["processes"] == {
        "web": {"publish": ["127.0.0.1:8000:8000"]},
        "worker": {"command": ["celery"], "after": ["web"]},
        "clock": {"command": ["python", "clock.py"], "after": ["web"], "exclusive": True},
    }
    assert any("process worker has no smoke run" in text for text in found.advice)


def test_alembic_is_found_by_its_file(tmp_path: Path) -> None:
    """With the commands that migrate forward and back."""
    files = {"alembic.ini": "[alembic]\nscript_location = db\n", "db/versions/1_a.py": ""}
    settings = table(after(set_up(repository(tmp_path, {**WITH_UV, **files})), "pyproject.toml"))
    assert settings["migrations"]["paths"] == ["db/versions/*.py"]
    assert settings["migrations"]["down"] == ["alembic", "downgrade", "-{count}"]


def test_a_difference_is_shown_line_by_line(tmp_path: Path) -> None:
    """As `diff -u` does."""
    found = set_up(repository(tmp_path, WITH_UV))
    new = next(change for change in found.changes if change.path == "noxfile.py")
    assert new.difference[:3] == ["--- /dev/null", "+++ b/noxfile.py", "@@ -0,0 +1,3 @@"]
    assert repositories.FASTAPI
