"""A requirements.txt that people write by hand, in the commonest service there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from release.chain.lockgate.gate import check_lockfile
from tests.engine.chain.lockgate.index import serving
from tests.engine.chain.lockgate.test_tools import answer, commit
from tests.unit.repository import Repository

DOCKERFILE = """\
FROM python:3.12-slim
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
EXPOSE 8000
ENV PYTHONUNBUFFERED=1
USER nobody
CMD ["gunicorn", "--bind", "0.0.0.0:8000", "app:app"]
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("index")) as address:
        yield address


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str, cache: Path) -> Repository:
    monkeypatch.setenv("UV_DEFAULT_INDEX", index)
    monkeypatch.setenv("UV_CACHE_DIR", str(cache))
    return Repository.init(tmp_path / "here")


def said(repository: Repository, text: str, more: dict[str, str] | None = None, **settings: object) -> str:
    """What the gate says of this file, in the service of nine lines."""
    files = {"Dockerfile": DOCKERFILE, "requirements.txt": text, "app.py": "", **(more or {})}
    return answer(commit(repository, files, **settings))


def test_a_complete_file_is_accepted(repository: Repository) -> None:
    """Every package is pinned, with those that the others need; names are written as people write them."""
    files = {"Dockerfile": DOCKERFILE, "requirements.txt": "Alpha==1.0\nbeta == 2.0  # why\n\ndelta==1.0\n"}
    made = check_lockfile(commit(repository, files))
    assert made.file.packages == {"alpha": "1.0", "beta": "2.0", "delta": "1.0"}
    assert "is fresh" in made.summary


def test_what_is_needed_and_missing_is_given_as_lines_to_write(repository: Repository) -> None:
    """With the one command that makes it a compiled file, for the Python of the image."""
    answer = said(repository, "alpha[more]==1.0\n")
    assert "requirements.txt is not a complete lockfile: beta, gamma are needed and missing" in answer
    assert answer.splitlines()[-2:] == ["beta==2.0  # via alpha", "gamma==1.0  # via alpha"]
    command = "git mv requirements.txt requirements.in && uv pip compile --python-version 3.12"
    assert f"{command} requirements.in -o requirements.txt" in answer
    lines = "".join(f"{line}\n" for line in answer.splitlines()[-2:])
    assert "is fresh" in said(repository, f"alpha[more]==1.0\n{lines}")


def test_an_entry_without_a_version_gets_its_line(repository: Repository) -> None:
    """As pip would install it today."""
    answer = said(repository, "beta>=1 ; python_version > '3'\ndelta==1.0\n")
    assert "beta>=1 ; python_version > '3' is not pinned" in answer
    assert answer.splitlines()[-1] == 'beta==2.0 ; python_version > "3"'


def test_entries_that_exclude_each_other_are_named(repository: Repository) -> None:
    """In the words of uv."""
    answer = said(repository, "alpha==1.0\nbeta==0.9\n")
    assert "requirements.txt contradicts itself" in answer
    assert "you require beta==0.9" in answer


def test_included_files_and_constraints_are_followed(repository: Repository) -> None:
    """A package that only a constraint pins is pinned; what is only limited is not installed."""
    more = {
        "deps/base.txt": "-c limits.txt\nalpha\n",
        "deps/limits.txt": "alpha==1.0\nbeta==1.0\ngamma==1.0\n",
    }
    assert "is fresh, 2 packages" in said(repository, "-r deps/base.txt\n", more)


def test_a_file_that_is_not_committed_is_named(repository: Repository) -> None:
    """It is not a stale lockfile: nobody knows what it says."""
    answer = said(repository, "-r base.txt\nalpha==1.0\n")
    assert "could not be checked: it includes base.txt, which is not committed" in answer


@pytest.mark.parametrize("address", ["git+https://127.0.0.1:9/x.git@main", "git+https://127.0.0.1:9/x.git"])
def test_a_branch_is_not_a_version(repository: Repository, address: str) -> None:
    """It is refused before anything is fetched."""
    for line in (f"{address}#egg=x", f"x @ {address}"):
        answer = said(repository, f"beta==2.0\n{line}\n")
        assert f"{line} is not pinned" in answer
        assert "40 digits" in answer


def test_a_folder_of_the_service_is_never_built(repository: Repository) -> None:
    """What its pyproject.toml declares counts; what only its code tells is said not to be checked."""
    project = '[project]\nname = "api"\nversion = "1"\ndependencies = ["beta>=1"]\n'
    trap = {"setup.py": "open('/nowhere/ran', 'w')\n"}
    assert "beta is needed and missing" in said(repository, "-e .\n", {"pyproject.toml": project})
    assert "is fresh" in said(repository, "-e .\nbeta==2.0\n", {"pyproject.toml": project})
    assert "is fresh" in said(repository, "-e .\nbeta==2.0\n", trap)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("six @ file:///nowhere/x.whl", "which is a file of a machine"),
        ("six @ git+file:///nowhere@" + "1" * 40, "which is a file of a machine"),
        ("../x.whl", "which is a file of a machine"),
        ("-e ~/project", "which is a file of a machine"),
        ("-f /etc/passwd", "which is a file of a machine"),
        ("./x.whl", "no such file or project"),
        ("-e .", "no such file or project"),
        ("six @ file:libs/six", "no such file or project"),
    ],
)
def test_a_local_file_must_be_committed(repository: Repository, line: str, words: str) -> None:
    """Only what is in the commit is the same for everybody."""
    answer = said(repository, f"beta==2.0\n{line}\n")
    assert "could not be checked" in answer
    assert words in answer
    assert line.removeprefix("-e ") in answer


def test_a_local_file_of_the_commit_is_accepted(repository: Repository) -> None:
    """By a path from the folder of the lockfile, or from that of the service."""
    project = {"libs/six/setup.py": "", "deps/wheels/x-1-py3-none-any.whl": ""}
    lines = ["-e ./libs/six[fast]", "./wheels/x-1-py3-none-any.whl", "six @ file:///${PROJECT_ROOT}/libs/six"]
    text = "".join(f"{line}\n" for line in ["beta==2.0", *lines])
    more = {**project, "deps/a.txt": text}
    assert "is fresh" in said(repository, "", more, path="deps/a.txt")


def test_hashes_are_all_or_none(repository: Repository) -> None:
    """pip refuses a file in which only some entries have one, and so does the index's own file."""
    wrong = f"--hash=sha256:{'0' * 64}"
    assert "delta==1.0 has no hash" in said(repository, f"beta==2.0 {wrong}\ndelta==1.0\n")
    assert "a hash of no file that the index has" in said(repository, f"beta==2.0 {wrong}\n")
    assert "beta==2.0 has no hash" in said(repository, "beta==2.0\n", require_hashes=True)
    assert "--generate-hashes" in said(repository, "beta==2.0\n", require_hashes=True)


def test_packages_for_other_systems_are_no_trouble(repository: Repository) -> None:
    """The image runs Linux."""
    assert "is fresh" in said(repository, 'beta==2.0\nnosuch==3.0 ; sys_platform == "win32"\n')


def test_the_file_that_the_image_installs_is_found(repository: Repository) -> None:
    """By the Dockerfile; a file of developers is not taken for it."""
    dockerfile = DOCKERFILE.replace("-r requirements.txt", "-r /app/deps/prod.txt")
    files = {"Dockerfile": dockerfile, "deps/prod.txt": "beta==2.0\n", "requirements-dev.txt": "gamma\n"}
    assert "deps/prod.txt is fresh" in answer(commit(repository, files))
