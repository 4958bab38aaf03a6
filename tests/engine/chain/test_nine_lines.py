"""The usual Dockerfile of a Python service, adopted with two small files and a table.

Each refusal is mended by following its own words: the command or the setting is read out of the message.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.service import IDENTITY, Service

DOCKERFILE = f"""\
FROM {lab.BASE_IMAGE}
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
ENV PYTHONUNBUFFERED=1
EXPOSE 8000

CMD ["gunicorn", "--bind", "0.0.0.0:8000", "app:app"]
"""
SERVICE = {
    "Dockerfile": DOCKERFILE,
    "requirements.txt": "gunicorn==23.0.0\n",
    "app.py": (
        "def app(environ, start_response):\n"
        '    start_response("200 OK", [("Content-Type", "text/plain")])\n'
        '    return [b"hello"]\n'
    ),
    "tests/test_app.py": (
        "from app import app\n\n\ndef test_it():\n    assert app({}, lambda *_: None) == [b'hello']\n"
    ),
    ".gitignore": ".release/\n__pycache__/\n",
}
"""The service as it was."""

ADOPTED = {
    "noxfile.py": "import release\n\nrelease.register()\n",
    "tasks.py": "import release\n\nns = release.namespace()\n",
}
"""Two small files; the table is release.toml."""


@pytest.fixture
def service(tmp_path: Path, engine: Engine) -> Iterator[Service]:
    made = Service(folder=tmp_path / "service", name=lab.unique("nine"))
    made.folder.mkdir()
    made.git("init", "--quiet", "--initial-branch", "main")
    made.commit("feat: greet", SERVICE)
    made.commit(
        "build: release", {**ADOPTED, "release.toml": f'service = "{made.name}"\n[smoke]\nport = 8000\n'}
    )
    yield made
    lab.remove_service(engine, made.name)


def test_each_refusal_is_mended_by_its_own_words(service: Service) -> None:
    """The lock gate asks for a complete lockfile, the test gate for pytest; then it is released."""
    mended = {mend(service), mend(service)}
    assert mended == {"lock", "test"}
    ran = service.nox("release")
    assert ran.status == 0, ran.all
    assert "/ answered 200 OK, stopped with status 0" in ran.err
    assert "2 packages, as requirements.txt locks them" in ran.err
    assert ran.last_line.startswith(f"{service.name} 0.1.0 localhost/{service.name}@sha256:"), ran.all
    changed = service.git("diff", "--name-status", "--no-renames", "HEAD~3", "HEAD").splitlines()
    files = {name for line in changed for name in line.split("\t")[1:]}
    assert files == {*ADOPTED, "release.toml", "requirements.in", "requirements.txt"}
    assert service.git("show", "HEAD:Dockerfile") == DOCKERFILE.strip()


def mend(service: Service) -> str:
    """Release, follow the words of the refusal, and return the gate. The gates run at the same time."""
    ran = service.nox("release")
    assert ran.status == 1, ran.all
    command = re.search(r"`(git mv [^`]+)`", ran.err)
    settings = re.search(r"write (test\.install = \[.*?\]) and (test\.copy = \[.*?\])", ran.err)
    if command is not None:
        assert "requirements.txt is not a complete lockfile: packaging is needed and missing" in ran.err
        run_as_told(service, command[1])
        service.commit("build: lock")
        return "lock"
    assert settings is not None, ran.err
    table = (service.folder / "release.toml").read_text()
    service.commit("build: tests", {"release.toml": f"{settings[1]}\n{settings[2]}\n{table}"})
    return "test"


def run_as_told(service: Service, command: str) -> None:
    """Run a command of a message, as an operator would in the shell."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    environ = {**os.environ, **IDENTITY, "PATH": path}
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=service.folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
