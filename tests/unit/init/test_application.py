"""Finding the application, its routes and its command."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.init.application import Application, find_application, required_variables, server_command
from release.init.folder import RepositoryFolder
from release.init.image import parse_dockerfile
from release.init.packages import ProjectPackages
from release.init.routes import choose_health_path

APP = "from fastapi import FastAPI, APIRouter\napp = FastAPI()\n"


def folder(root: Path, files: dict[str, str]) -> RepositoryFolder:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return RepositoryFolder(root, frozenset(files))


def packages(*names: str) -> ProjectPackages:
    return ProjectPackages(
        lock="requirements.txt",
        kind="requirements.txt",
        has_hashes=False,
        versions=dict.fromkeys(names, "1"),
        tests=(),
        extra_files=(),
        python="3.13",
    )


def test_a_router_below_a_prefix_is_not_believed(tmp_path: Path) -> None:
    """Its path is another one; the application's own are certain."""
    text = APP + (
        'router = APIRouter()\n@router.get("/healthz")\ndef a(): ...\n'
        'app.include_router(router, prefix="/v1")\n@app.get("/first")\ndef b(): ...\n'
    )
    found = find_application(folder(tmp_path, {"main.py": text}))
    assert found is not None
    assert found.path == "/first"


def test_a_source_folder_and_an_object_win(tmp_path: Path) -> None:
    """`src` goes on the path of Python; tests are no application."""
    files = {"src/web/main.py": APP, "tests/conftest.py": APP, "src/web/bad.py": "def ("}
    found = find_application(folder(tmp_path, files))
    assert found is not None
    assert (found.place, found.source, found.path) == ("web.main:app", "src", None)


def test_a_function_with_arguments_makes_no_application(tmp_path: Path) -> None:
    """No server could call it."""
    text = "from flask import Flask\ndef make(settings):\n    return Flask(__name__)\n"
    assert find_application(folder(tmp_path, {"a.py": text})) is None


@pytest.mark.parametrize(
    ("framework", "factory", "names", "command"),
    [
        ("FastAPI", True, ["uvicorn"], "uvicorn --factory m:app --host 0.0.0.0 --port 80"),
        ("FastAPI", False, ["hypercorn"], "hypercorn --bind 0.0.0.0:80 m:app"),
        ("Flask", True, ["gunicorn"], "gunicorn --bind 0.0.0.0:80 --worker-tmp-dir /dev/shm m:app()"),
        ("Flask", False, ["waitress"], "waitress-serve --listen=0.0.0.0:80 m:app"),
        ("Flask", False, [], "flask --app m:app run --host 0.0.0.0 --port 80"),
        ("Django", False, [], "python manage.py runserver --noreload 0.0.0.0:80"),
    ],
)
def test_the_command_is_that_of_the_server_in_the_lock(
    framework: str, factory: bool, names: list[str], command: str
) -> None:
    """Without one it is the server of development, and that is said."""
    found = Application(framework=framework, place="m:app", source=".", factory=factory)
    words, for_production = server_command(found, packages(*names), 80)
    assert " ".join(words) == command
    assert for_production == bool(names)


@pytest.mark.parametrize(
    ("paths", "best"),
    [(["/a", "/ping", "/healthz"], "/healthz"), (["/x/{y}", "/b"], "/b"), (["/<z>"], None), ([], None)],
)
def test_the_path_of_a_health_check(paths: list[str], best: str | None) -> None:
    """A usual one first; none with parameters."""
    assert choose_health_path(paths) == best


def test_variables_that_the_source_cannot_do_without(tmp_path: Path) -> None:
    """`os.environ[...]` read; not with a default, and not written."""
    text = 'import os\nA = os.environ["A"]\nB = os.environ.get("B")\nos.environ["C"] = "1"\n'
    text += 'D = os.environ["not a name"]\n'
    assert required_variables(folder(tmp_path, {"a.py": text})) == ["A"]


@pytest.mark.parametrize(
    ("text", "port", "target", "tests"),
    [
        ("FROM a\nEXPOSE 80/tcp\n", 80, None, None),
        ('FROM a AS app\nCMD ["uvicorn", "--port", "9000"]\n', 9000, "app", None),
        ("FROM a AS base\nFROM base AS tests\n", None, "base", "tests"),
        ("FROM a\nEXPOSE 99999\n", None, None, None),
    ],
)
def test_a_dockerfile_is_read(text: str, port: int | None, target: str | None, tests: str | None) -> None:
    """Its port, the released stage, and that of the tests."""
    found = parse_dockerfile("Dockerfile", text)
    assert (found.port, found.target, found.tests) == (port, target, tests)
