"""`invoke explain`: pages that an installed package has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from release.text.help_pages import topics
from tests.messages import PACKAGE, strings

ROOT = Path(__file__).parents[3]
NAMED = {
    topic
    for module in PACKAGE.rglob("*.py")
    if "invoke explain" in module.read_text(encoding="utf-8")
    for _, text in strings(module)
    for topic in re.findall(r"invoke explain ([a-z0-9/-]+)", text)
}
"""Topics that messages name."""


def explain(python: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `invoke explain` in a folder with nothing but a tasks.py."""
    (folder / "tasks.py").write_text("import release\nns = release.namespace()\n")
    argv = [str(python), "-m", "invoke", "explain", *words]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with the built wheel; libraries come from this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv/bin/python"
    install = ["uv", "pip", "install", "--offline", "--no-deps", "--python", str(python), str(wheel)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(install, check=True, capture_output=True, env={**os.environ, "PATH": path})
    (live,) = (folder / "venv/lib").glob("*/site-packages")
    (live / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python


@pytest.mark.parametrize("topic", sorted(NAMED))
def test_a_topic_that_a_message_names_is_in_the_wheel(topic: str, installed: Path, tmp_path: Path) -> None:
    """The installed package shows the page as it is in docs, without a git repository and configuration."""
    shown = explain(installed, tmp_path, topic)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == topics()[topic].read_text(encoding="utf-8")


def test_the_wheel_lists_every_page_of_docs(installed: Path, tmp_path: Path) -> None:
    """One line for each, with its title."""
    shown = explain(installed, tmp_path)
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:]] == sorted(topics())
    assert re.search(r"^recover +Recover a ledger$", shown.stdout, re.MULTILINE)


def test_an_unknown_topic_gives_the_near_miss_and_the_list(tmp_path: Path) -> None:
    """On standard error, with exit status 2."""
    shown = explain(Path(sys.executable), tmp_path, "limit")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert ", ".join(sorted(topics())) in shown.stderr
    assert "→ invoke explain limits" in shown.stderr


def test_the_glossary_is_short_and_a_topic() -> None:
    """At most twenty terms, one row each."""
    page = topics()["glossary"].read_text(encoding="utf-8").partition("\n## ")[0]
    assert 10 < len(re.findall(r"^\| \*\*", page, re.MULTILINE)) <= 20


def test_every_page_of_docs_is_a_topic() -> None:
    """Two pages of one name have two topics."""
    assert sorted(topics().values()) == sorted((ROOT / "docs").glob("*/*.md"))
