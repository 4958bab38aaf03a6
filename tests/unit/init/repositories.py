"""Small repositories of the usual frameworks, written file by file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from release.commands.options import COMMANDS
from release.git.source import Source
from release.init.facts import RepositoryFacts, read_facts
from release.init.plan import SetUp, plan_set_up
from tests.unit.repository import Repository

FASTAPI: Final[Mapping[str, str]] = {
    "app/__init__.py": "",
    "app/main.py": (
        "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n"
        '@app.get("/items/{number}")\ndef item(number: int) -> int:\n    return number\n\n\n'
        '@app.get("/healthz")\ndef health() -> str:\n    return "ok"\n'
    ),
    "tests/test_main.py": (
        "from fastapi.testclient import TestClient\n\nfrom app.main import app\n\n\n"
        'def test_health() -> None:\n    assert TestClient(app).get("/healthz").status_code == 200\n'
    ),
}

UV_LOCK: Final = """\
version = 1
requires-python = ">=3.12"
[[package]]
name = "fastapi"
version = "0.120.0"
[[package]]
name = "uvicorn"
version = "0.40.0"
[[package]]
name = "pytest"
version = "9.0.2"
[[package]]
name = "httpx"
version = "0.28.1"
[[package]]
name = "ruff"
version = "0.14.5"
"""

WITH_UV: Final[Mapping[str, str]] = {
    **FASTAPI,
    "uv.lock": UV_LOCK,
    "pyproject.toml": (
        "# Of the team. Keep it.\n[project]\n"
        'name = "Greeter_API"  # its name\nversion = "1"\nrequires-python = ">=3.12"\n'
        'dependencies = ["fastapi", "uvicorn"]\n\n'
        '[dependency-groups]\ndev = ["pytest>=9", "httpx", "ruff"]\n\n[tool.ruff]\nline-length = 100\n'
    ),
}

DJANGO: Final[Mapping[str, str]] = {
    "manage.py": 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n',
    "shop/__init__.py": "",
    "shop/settings.py": (
        'import os\n\nSECRET_KEY = os.environ["SECRET_KEY"]\nALLOWED_HOSTS = ["shop.example"]\n'
        'DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["DB"]}}\n'
    ),
    "shop/urls.py": (
        "from django.urls import include, path\n\n"
        'urlpatterns = [path("cart/", include("cart.urls")), path("ping", lambda request: None)]\n'
    ),
    "shop/wsgi.py": "",
    "cart/__init__.py": "",
    "cart/migrations/0001_initial.py": "",
    "cart/tests.py": "from django.test import TestCase\n",
    "requirements.txt": "django==5.2.1\ngunicorn==23.0.0\n",
}

FLASK: Final[Mapping[str, str]] = {
    "site/__init__.py": "",
    "web/app.py": (
        "import flask\n\n\ndef create_app():\n    app = flask.Flask(__name__)\n\n"
        '    @app.route("/orders/<name>")\n    def order(name):\n        return name\n\n'
        '    @app.route("/welcome")\n    def welcome():\n        return "hello"\n\n    return app\n'
    ),
    "poetry.lock": '[[package]]\nname = "flask"\nversion = "3.1.0"\n',
    "pyproject.toml": (
        '[tool.poetry]\nname = "pages"\n[tool.poetry.dependencies]\npython = "^3.11"\nflask = "^3"\n'
    ),
}


def repository(root: Path, files: Mapping[str, str]) -> Repository:
    """Return a repository with these files, not committed."""
    made = Repository.init(root)
    for path, text in files.items():
        made.write(path, text)
    return made


def facts_of(made: Repository, taken_from: str | None = None, service: str | None = None) -> RepositoryFacts:
    """Return what init reads of a repository."""
    return read_facts(Source.open(made.root), taken_from=taken_from, service=service)


def set_up(made: Repository, taken_from: str | None = None, service: str | None = None) -> SetUp:
    """Return what init would write."""
    tasks = frozenset(name.replace("_", "-") for name in COMMANDS)
    return plan_set_up(facts_of(made, taken_from, service), tasks=tasks, branch="main")


def after(found: SetUp, path: str) -> str:
    """Return the new text of a file."""
    return next(change.after for change in found.changes if change.path == path)
