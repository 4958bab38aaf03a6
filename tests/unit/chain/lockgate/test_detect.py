"""The lockfile of a commit, and its kind."""

from __future__ import annotations

import pytest

from release.chain.lockgate.detect import Lockfile, UnknownLockKind, detect_lockfile
from release.config import Lock


def found(*names: str, dockerfile: str = "", **config: str) -> Lockfile | None:
    """Among these files."""
    return detect_lockfile(Lock.model_validate(config), names, dockerfile)


@pytest.mark.parametrize(
    ("names", "path"),
    [
        (("app.py", "uv.lock", "poetry.lock"), "uv.lock"),
        (("requirements.txt", "poetry.lock"), "poetry.lock"),
        (("requirements.txt", "Pipfile.lock", "pdm.lock"), "pdm.lock"),
        (("requirements.txt", "pylock.toml"), "pylock.toml"),
        (("requirements.txt",), "requirements.txt"),
    ],
)
def test_the_order_of_kinds_decides(names: tuple[str, ...], path: str) -> None:
    """If the Dockerfile names none of them."""
    lockfile = found(*names)
    assert lockfile is not None
    assert (lockfile.path, lockfile.kind) == (path, path)
    assert {path, *lockfile.others} == {name for name in names if name != "app.py"}


def test_the_file_of_the_image_goes_before_the_order() -> None:
    """But never before uv.lock."""
    dockerfile = "FROM python:3.12\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\n"
    lockfile = found("poetry.lock", "requirements.txt", dockerfile=dockerfile)
    assert lockfile == Lockfile(path="requirements.txt", kind="requirements.txt", others=("poetry.lock",))
    lockfile = found("uv.lock", "requirements.txt", dockerfile=dockerfile)
    assert lockfile is not None
    assert lockfile.path == "uv.lock"


@pytest.mark.parametrize(
    "line",
    [
        "pip install -r deps/prod.txt",
        '["pip", "install", "-r", "deps/prod.txt"]',
        '["pip", "install", "--requirement=/srv/deps/prod.txt"]',
        "pip install -r /a/deps/prod.txt;",
    ],
)
def test_the_end_of_an_installed_path_names_a_committed_file(line: str) -> None:
    """The image has another folder for it."""
    lockfile = found("deps/prod.txt", "prod/x.txt", dockerfile=f"RUN {line}\n")
    assert lockfile is not None
    assert (lockfile.path, lockfile.kind) == ("deps/prod.txt", "requirements.txt")


def test_what_is_configured_is_taken() -> None:
    """By its path, with a kind for a name that tells none."""
    assert found("uv.lock", path="locks/api.txt") is None
    assert found("a.lock", path="a.lock", kind="poetry.lock") == Lockfile(path="a.lock", kind="poetry.lock")
    assert found("pylock.api.toml", path="pylock.api.toml") == Lockfile(
        path="pylock.api.toml", kind="pylock.toml"
    )
    chosen = found("uv.lock", "pdm.lock", kind="pdm.lock")
    assert chosen is not None
    assert chosen.path == "pdm.lock"
    with pytest.raises(UnknownLockKind, match=r"a\.lock"):
        found("a.lock", path="a.lock")
