"""Which Python of an image the tests use."""

from __future__ import annotations

import pytest

from release.chain.testing.interpreter import added_folders, python_name, search_path
from release.images.engine import StoredImage
from release.reference import Digest

USUAL = "PATH=/usr/local/bin:/usr/bin:/bin"


def image(
    *variables: str, command: tuple[str, ...] = (), entrypoint: tuple[str, ...] = (), folder: str = ""
) -> StoredImage:
    return StoredImage(
        id=Digest(f"sha256:{'a' * 64}"),
        diff_ids=(),
        references=(),
        user="",
        labels={},
        size=1,
        has_healthcheck=False,
        entrypoint=entrypoint,
        command=command,
        folder=folder,
        variables=variables,
    )


@pytest.mark.parametrize(
    ("made", "folders"),
    [
        (image(USUAL, command=("python", "app.py")), ()),
        (image("PATH=/venv/bin:/usr/bin", "VIRTUAL_ENV=/venv", command=("gunicorn", "app")), ()),
        (image(USUAL, "VIRTUAL_ENV=/venv"), ("/venv/bin",)),
        (image(USUAL, command=("/app/.venv/bin/gunicorn", "app")), ("/app/.venv/bin",)),
        (image(USUAL, command=("/usr/local/bin/python", "app.py")), ()),
        (image(USUAL, entrypoint=("/entry.sh",), command=("/venv/bin/gunicorn",)), ("/venv/bin",)),
        (image(USUAL, command=("/bin/sh", "-c", "exec /venv/bin/gunicorn app")), ("/venv/bin",)),
        (image(USUAL, command=("uv", "run", "app.py"), folder="/app"), ("/app/.venv/bin",)),
        (image(USUAL, "UV_PROJECT_ENVIRONMENT=/env", command=("uv", "run", "x")), ("/env/bin", "/.venv/bin")),
        (image(), ()),
    ],
)
def test_the_environment_of_the_service_comes_first(made: StoredImage, folders: tuple[str, ...]) -> None:
    """By VIRTUAL_ENV and the program that starts; nothing is added that PATH names already."""
    assert added_folders(made) == folders
    assert search_path(made).startswith(":".join(folders))


def test_the_python_of_the_command_installs() -> None:
    """Any other command runs with `python`."""
    assert python_name(("python3.12", "-m", "pytest")) == "python3.12"
    assert python_name(("/venv/bin/python", "x.py")) == "/venv/bin/python"
    assert python_name(("pytest", "-q")) == "python"
